"""A shard: part of a map stage's items, multiplexed on one event loop in one worker process.

Items wait far more than they compute, so all of them run as tasks at once and the limiter decides who may
call. An item is recorded the moment its answer is there, by this worker, before anyone else hears of it:
what was paid for is safe even if the shard, its node or its driver dies in the next instant. A shard that is
cancelled drops its calls in flight, and records first what has been answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from dataclasses import dataclass, replace

from flair_ray.domain.ids import ItemId
from flair_ray.domain.runs import ModelChoice
from flair_ray.domain.work import Done, Skipped
from flair_ray.engine.asking import Asker, Patience, Verdict
from flair_ray.engine.plan import MAP_STAGES
from flair_ray.flow.in_flight import InFlightLimiter
from flair_ray.ports import Clock, Delivered, Provider, RunStore, StageJob


@dataclass(frozen=True, slots=True)
class Tools:
    """What a worker process keeps between shards: one HTTP client, one Redis pool."""

    provider_for: Callable[[ModelChoice], Provider]
    """The same provider for the same model, every time."""
    store: RunStore
    patience: Patience
    clock: Clock


async def run_shard(job: StageJob, tools: Tools) -> AsyncGenerator[Delivered, None]:
    """One Delivered per item of ``job``, in completion order. Raises the first fatal FlairError.

    Closing the iterator cancels what is still running.
    """
    asker = Asker(tools.provider_for(job.model), InFlightLimiter(job.max_in_flight), tools.patience, tools.clock)
    tasks = [asyncio.create_task(_one(job, item_id, item, asker, tools.store)) for item_id, item in job.items]
    try:
        for finished in asyncio.as_completed(tasks):
            yield await finished
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _one(job: StageJob, item_id: ItemId, item: object, asker: Asker, store: RunStore) -> Delivered:
    stage = MAP_STAGES[job.stage]
    announced: list[asyncio.Task[None]] = []

    def on_start() -> None:
        # Beside the call, not before it: a permit is for calling, and the event only has to precede the result.
        if not announced:
            announced.append(asyncio.create_task(store.announce(job, item_id, stage.started(item))))

    async def settle(verdict: Verdict) -> None:
        await asyncio.gather(*announced)
        if isinstance(verdict.outcome, Skipped):
            draft = stage.skipped(item, verdict.outcome.reason)
        else:
            draft = stage.progress(item, verdict.output)
        await store.record(job, item_id, verdict.outcome, draft, verdict.tally)

    try:
        verdict = await asker.ask(stage, job.shared, item, on_start)
        await _to_the_end(settle(verdict))
    finally:
        await asyncio.gather(*announced)
    return Delivered(item_id, ok=isinstance(verdict.outcome, Done))


async def _to_the_end(work: Coroutine[None, None, None]) -> None:
    """Finish ``work`` even if cancelled meanwhile: an answer in hand was paid for and must be recorded."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.gather(task, return_exceptions=True)
        raise


def split(job: StageJob, shards: int) -> list[StageJob]:
    """At most ``shards`` jobs over the same items, dealt round, with the in-flight limit shared exactly.

    Dealt and not cut: neighbours in a list are often alike, and one shard must not get all the long ones.
    """
    count = max(1, min(shards, len(job.items), job.max_in_flight))
    base, extra = divmod(job.max_in_flight, count)
    return [replace(job, items=job.items[i::count], max_in_flight=base + (i < extra)) for i in range(count)]
