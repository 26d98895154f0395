"""One shard: many items on one loop, each recorded the moment its answer is there."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace

import pytest

from flair_ray.domain.calls import ChatRequest, Completion
from flair_ray.domain.ids import ItemId, RunId, StageName
from flair_ray.domain.videos import Video
from flair_ray.engine.order import Order
from flair_ray.engine.plan import MAP_STAGES
from flair_ray.engine.shard import OnDuty, Tools, run_shard
from flair_ray.errors import AuthRefused
from flair_ray.ports import Delivered, StageJob
from flair_ray.providers.offline import OfflineProvider
from flair_ray.stages import s1_analyze
from flair_ray.stores.redis_store import RedisRunStore
from flair_ray.telemetry import logs

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
    """Knows how often it was asked for a prompt."""

    def __init__(self) -> None:
        self.built: Counter[str] = Counter()

    def request(self, shared: None, item: Video) -> ChatRequest:
        self.built[item.video_id] += 1
        return super().request(shared, item)


@pytest.fixture
def make_job(store: RedisRunStore, submit: Callable[[Order], Awaitable[RunId]], small_order: Order) -> MakeJob:
    async def make(items: int) -> StageJob:
        run_id = await submit(replace(small_order, num_videos=items))
        spec = await store.spec(run_id)
        pairs = s1_analyze.work(small_order.videos[:items]).items
        return StageJob(run_id, "me", spec.fingerprint, StageName.S1, None, pairs, items, spec.model)

    return make


async def deliveries(job: StageJob, tools: Tools) -> AsyncGenerator[Delivered, None]:
    """What a shard delivers, once it has said who works."""
    async with aclosing(run_shard(job, tools)) as steps:
        assert await anext(steps) == OnDuty("alone")
        async for step in steps:
            assert isinstance(step, Delivered)
            yield step


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  # a count, not an event
        await asyncio.sleep(0)


async def test_a_prompt_is_built_once_for_its_claim_its_size_and_its_call(
    make_job: MakeJob, local_tools: Callable[..., Tools], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Counting()
    monkeypatch.setitem(MAP_STAGES, StageName.S1, stage)
    job = await make_job(6)
    async for _ in deliveries(replace(job, share=True), local_tools()):
        pass
    assert stage.built == {item_id: 1 for item_id, _ in job.items}


async def test_what_was_answered_is_recorded_even_when_the_shard_is_cancelled(
    make_job: MakeJob, local_tools: Callable[..., Tools], store: RedisRunStore
) -> None:
    """In that very moment: it was paid for."""
    job, stalls = await make_job(12), Stalls(answers=7)
    async with aclosing(deliveries(job, local_tools(stalls))) as shard:
        step = asyncio.ensure_future(anext(shard))
        await until(lambda: stalls.waiting == 5)
        step.cancel()
        await asyncio.wait({step})
    assert len(await store.outcomes(job.run_id, job.fingerprint, job.stage)) == 7
    assert (await store.snapshot(job.run_id)).tally.calls == 7


async def test_what_is_logged_has_the_request_that_wanted_the_run(
    make_job: MakeJob, local_tools: Callable[..., Tools]
) -> None:
    about: set[tuple[str, str]] = set()

    class Asked(OfflineProvider):
        async def complete(self, request: ChatRequest, timeout_s: float) -> Completion:
            about.add((logs.known("request_id"), logs.known("stage")))
            return await super().complete(request, timeout_s)

    async for _ in deliveries(replace(await make_job(2), request_id="order-7"), local_tools(Asked())):
        pass
    assert about == {("order-7", "S1_MAP")}


async def test_an_item_is_recorded_before_it_is_delivered(
    make_job: MakeJob, local_tools: Callable[..., Tools], store: RedisRunStore
) -> None:
    job = await make_job(6)
    async for delivered in deliveries(job, local_tools()):
        assert delivered.item_id in await store.outcomes(job.run_id, job.fingerprint, job.stage)


async def test_a_start_is_told_before_its_end(
    make_job: MakeJob, local_tools: Callable[..., Tools], store: RedisRunStore
) -> None:
    job = await make_job(12)
    async for _ in deliveries(job, local_tools()):
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

    job = await make_job(12)
    with pytest.raises(AuthRefused, match="Check the key"):
        async for _ in deliveries(job, local_tools(Refused(answers=4))):
            pass
    recorded = await store.outcomes(job.run_id, job.fingerprint, job.stage)
    assert len(recorded) <= 3
    assert ItemId(job.items[3][0]) not in recorded
