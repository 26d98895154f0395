"""One shard: many items on one loop, each recorded the moment its answer is there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace

import pytest

from flair_ray.domain.calls import ChatRequest, Completion
from flair_ray.domain.ids import ItemId, RunId, StageName
from flair_ray.domain.videos import Video
from flair_ray.engine.order import Order
from flair_ray.engine.plan import MAP_STAGES
from flair_ray.engine.shard import Tools, run_shard
from flair_ray.errors import AuthRefused
from flair_ray.ports import StageJob
from flair_ray.providers.offline import OfflineProvider
from flair_ray.stages import s1_analyze
from flair_ray.stores.redis_store import RedisRunStore

MakeJob = Callable[..., Awaitable[StageJob]]


class Stalls(OfflineProvider):
    """Answers until it is told not to."""

    def __init__(self, answers: int = 0) -> None:
        super().__init__()
        self.left = answers
        self.waiting = 0

    async def complete(self, request: ChatRequest, timeout_s: float) -> Completion:
        self.left -= 1
        if self.left < 0:
            self.waiting += 1
            await asyncio.Event().wait()
        return await super().complete(request, timeout_s)


class Counting(s1_analyze.Analyze):
    """Counts the prompts it writes."""

    written = 0

    def request(self, shared: None, item: Video) -> ChatRequest:
        Counting.written += 1
        return super().request(shared, item)


@pytest.fixture
def make_job(store: RedisRunStore, submit: Callable[[Order], Awaitable[RunId]], small_order: Order) -> MakeJob:
    async def make(items: int, max_in_flight: int = 5) -> StageJob:
        run_id = await submit(replace(small_order, num_videos=items))
        spec = await store.spec(run_id)
        pairs = s1_analyze.work(small_order.videos[:items]).items
        return StageJob(run_id, spec.fingerprint, StageName.S1, None, pairs, items, spec.model, max_in_flight)

    return make


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  # a count, not an event
        await asyncio.sleep(0)


async def test_only_items_that_may_call_have_a_prompt(
    make_job: MakeJob, local_tools: Callable[..., Tools], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten thousand voters would hold ten thousand copies of the sheet."""
    monkeypatch.setitem(MAP_STAGES, StageName.S1, Counting())
    stalls = Stalls()
    Counting.written = 0
    async with aclosing(run_shard(await make_job(100), local_tools(stalls))) as shard:
        step = asyncio.ensure_future(anext(shard))
        await until(lambda: stalls.waiting == 5)
        assert Counting.written == 5
        step.cancel()
        await asyncio.wait({step})


async def test_what_was_answered_is_recorded_even_when_the_shard_is_cancelled(
    make_job: MakeJob, local_tools: Callable[..., Tools], store: RedisRunStore
) -> None:
    """In that very moment: it was paid for."""
    job, stalls = await make_job(12, max_in_flight=12), Stalls(answers=7)
    async with aclosing(run_shard(job, local_tools(stalls))) as shard:
        step = asyncio.ensure_future(anext(shard))
        await until(lambda: stalls.waiting == 5)
        step.cancel()
        await asyncio.wait({step})
    assert len(await store.outcomes(job.run_id, job.fingerprint, job.stage)) == 7
    assert (await store.snapshot(job.run_id)).tally.calls == 7


async def test_an_item_is_recorded_before_it_is_delivered(
    make_job: MakeJob, local_tools: Callable[..., Tools], store: RedisRunStore
) -> None:
    job = await make_job(6)
    async for delivered in run_shard(job, local_tools()):
        assert delivered.item_id in await store.outcomes(job.run_id, job.fingerprint, job.stage)


async def test_a_start_is_told_before_its_end(
    make_job: MakeJob, local_tools: Callable[..., Tools], store: RedisRunStore
) -> None:
    job = await make_job(12)
    async for _ in run_shard(job, local_tools()):
        pass
    told = [(e.name, e.data["video_id"]) for e in await store.events(job.run_id) if e.name.startswith("s1_")]
    for video_id in {video_id for _, video_id in told}:
        assert told.index(("s1_task_started", video_id)) < told.index(("s1_progress", video_id))


async def test_a_fatal_error_ends_the_shard_and_drops_the_rest(
    make_job: MakeJob, local_tools: Callable[..., Tools], store: RedisRunStore
) -> None:
    class Refused(Stalls):
        async def complete(self, request: ChatRequest, timeout_s: float) -> Completion:
            if self.left == 1:
                raise AuthRefused("Check the key.")
            return await super().complete(request, timeout_s)

    job = await make_job(12, max_in_flight=12)
    with pytest.raises(AuthRefused, match="Check the key"):
        async for _ in run_shard(job, local_tools(Refused(answers=4))):
            pass
    recorded = await store.outcomes(job.run_id, job.fingerprint, job.stage)
    assert len(recorded) <= 3
    assert ItemId(job.items[3][0]) not in recorded
