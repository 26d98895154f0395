"""The executor without Ray: one shard, in this process, on this event loop. For tests and for comparison."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from flair_ray.engine.shard import Tools, run_shard
from flair_ray.ports import Delivered, Lost, StageJob


class LocalExecutor:
    """Runs every job as a single shard with the tools it was given."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def map(self, job: StageJob) -> AsyncGenerator[Delivered | Lost, None]:
        async with aclosing(run_shard(job, self._tools)) as shard:
            async for step in shard:
                if isinstance(step, Delivered):
                    yield step
