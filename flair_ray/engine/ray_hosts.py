"""Run hosts on the cluster: a few detached actors that drive whatever was handed in.

Detached, so that a run does not end with whoever submitted it; restarted by Ray when their process or node dies, and
blank then: ``RunHost`` finds in Redis what is to be done. Named with the version, so that two versions that run side by
side during a rollout do not use each other's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from flair_ray.actors.run_host import RunHost
from flair_ray.engine.naming import detached
from flair_ray.engine.ray_worker import step_back

BuildHost = Callable[[], Awaitable[RunHost]]


class RunHostActor:
    """A RunHost and its life."""

    async def __init__(self, build: BuildHost) -> None:  # type: ignore[misc]  # Ray awaits it
        step_back()
        self._host = await build()
        self._life = asyncio.create_task(self._host.run())

    async def nudge(self) -> int:
        """There may be something to adopt. Returns how many runs are under way here; raises what ended this host."""
        if self._life.done():
            self._life.result()
        self._host.nudge()
        return self._host.driving


def run_hosts(build: BuildHost, version: str, count: int) -> list[Any]:
    """The cluster's run hosts, started where they are missing."""
    return [
        detached(RunHostActor, run_host_name(index, version), 100, build, max_task_retries=-1) for index in range(count)
    ]


def run_host_name(index: int, version: str) -> str:
    return f"run-host-{index}-{version}"
