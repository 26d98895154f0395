"""What was answered once is not asked again: not by another run, not by the same one."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from uuid import uuid4

import pytest

from flair_ray.domain.calls import ChatRequest, Completion
from flair_ray.domain.ids import RunId, StageName
from flair_ray.domain.runs import RunStatus
from flair_ray.engine.driver import Driver
from flair_ray.engine.local_executor import LocalExecutor
from flair_ray.engine.order import Order
from flair_ray.engine.results import gather_result
from flair_ray.engine.shard import Tools
from flair_ray.errors import ServerTrouble
from flair_ray.ports import Executor, StageJob
from flair_ray.providers.offline import OfflineProvider
from flair_ray.stages import s1_analyze
from flair_ray.stores.ears import Ears
from flair_ray.stores.flights import RedisFlights
from flair_ray.stores.redis_store import RedisRunStore, connect, listener

Submit = Callable[[Order], Awaitable[RunId]]


class Counting(OfflineProvider):
    """Counts what it is asked; takes a moment, so that others come meanwhile."""

    def __init__(self, refuses: int = 0) -> None:
        super().__init__()
        self.asked: Counter[StageName] = Counter()
        self.refuses = refuses

    async def complete(self, request: ChatRequest, timeout_s: float) -> Completion:
        self.asked[request.stage] += 1
        await asyncio.sleep(0.01)
        if self.refuses:
            self.refuses -= 1
            raise ServerTrouble("500")
        return await super().complete(request, timeout_s)


@pytest.fixture
async def process(
    redis_url: str, local_tools: Callable[..., Tools]
) -> AsyncIterator[Callable[[OfflineProvider], Tools]]:
    """The tools of a worker process of its own."""
    opened = []

    def make(provider: OfflineProvider) -> Tools:
        redis = connect(redis_url)
        flights = RedisFlights(redis, Ears(listener(redis_url)))
        opened.append((flights, redis))
        return replace(local_tools(provider), flights=flights)

    yield make
    for flights, redis in opened:
        await flights.close()
        await redis.aclose()
        await redis.connection_pool.aclose()


@pytest.fixture
def fresh_order(small_order: Order) -> Order:
    """Videos that nobody has seen yet: the cache outlives a test."""
    videos = tuple(replace(v, transcript=f"{v.transcript} {uuid4()}") for v in small_order.videos[:12])
    return replace(small_order, videos=videos, cache=True)


async def test_a_second_run_over_the_same_videos_analyzes_none(
    store: RedisRunStore, submit: Submit, make_driver: Callable[[Executor], Driver],
    process: Callable[..., Tools], fresh_order: Order,
) -> None:  # fmt: skip
    results = []
    for _ in range(2):
        counting, run_id = Counting(), await submit(fresh_order)
        assert await make_driver(LocalExecutor(process(counting))).drive(run_id) is RunStatus.COMPLETED
        results.append((counting.asked[StageName.S1], await gather_result(store, run_id)))
    (first_calls, first), (second_calls, second) = results
    assert (first_calls, second_calls) == (12, 0)
    assert second.patterns == first.patterns
    assert second.stages[StageName.S1].tally.cache_hits == 12
    assert (second.stages[StageName.S1].tally.calls, second.tally.calls) == (0, 6 + 7 + 3)


async def test_a_video_keeps_its_own_name_in_each_collection(
    store: RedisRunStore, submit: Submit, make_driver: Callable[[Executor], Driver],
    process: Callable[..., Tools], fresh_order: Order,
) -> None:  # fmt: skip
    renamed = replace(fresh_order, videos=tuple(replace(v, video_id=f"my-{v.video_id}") for v in fresh_order.videos))  # type: ignore[arg-type]
    counting = Counting()
    for order in (fresh_order, renamed):
        run_id = await submit(order)
        await make_driver(LocalExecutor(process(counting))).drive(run_id)
    assert counting.asked[StageName.S1] == 12
    assert {p.video_id for p in (await gather_result(store, run_id)).patterns} == {v.video_id for v in renamed.videos}


async def test_without_the_cache_every_run_asks_for_itself_and_leaves_nothing(
    submit: Submit, make_driver: Callable[[Executor], Driver], process: Callable[..., Tools], fresh_order: Order
) -> None:
    counting = Counting()
    for cache in (False, True):
        run_id = await submit(replace(fresh_order, cache=cache))
        await make_driver(LocalExecutor(process(counting))).drive(run_id)
    assert counting.asked[StageName.S1] == 24


async def test_runs_at_the_same_time_ask_once_between_them(
    store: RedisRunStore, submit: Submit, make_driver: Callable[[Executor], Driver],
    process: Callable[..., Tools], fresh_order: Order,
) -> None:  # fmt: skip
    """Ten runs in ten processes; the first two calls fail, and whoever comes next leads."""
    counting = Counting(refuses=2)
    runs = [await submit(fresh_order) for _ in range(10)]
    driving = (make_driver(LocalExecutor(process(counting))).drive(run_id) for run_id in runs)
    assert await asyncio.gather(*driving) == [RunStatus.COMPLETED] * 10
    assert counting.asked[StageName.S1] == 12 + 2
    tallies = [(await store.snapshot(run_id)).stages[StageName.S1].tally for run_id in runs]
    assert sum(t.cache_hits for t in tallies) == 9 * 12


@pytest.mark.parametrize("cache", [True, False])
async def test_an_item_that_is_delivered_fifty_times_is_asked_once(
    store: RedisRunStore, submit: Submit, process: Callable[..., Tools], fresh_order: Order, cache: bool
) -> None:
    """A job that was sent again while its first sending is still at work."""
    counting = Counting()
    run_id = await submit(replace(fresh_order, cache=cache))
    spec = await store.spec(run_id)
    item = s1_analyze.work(fresh_order.videos).items[:1]
    job = StageJob(run_id, "me", spec.fingerprint, StageName.S1, None, item, 1, spec.model, share=cache)

    async def deliver(tools: Tools) -> int:
        return len([delivery async for delivery in LocalExecutor(tools).map(job)])

    processes = [process(counting) for _ in range(5)]
    delivered = await asyncio.gather(*(deliver(processes[i % 5]) for i in range(50)))
    assert delivered == [1] * 50
    assert counting.asked == {StageName.S1: 1}
    s1 = (await store.snapshot(run_id)).stages[StageName.S1]
    assert (s1.completed, s1.tally.calls) == (1, 1)
    events = [e.name for e in await store.events(run_id) if e.name == "s1_progress"]
    assert events == ["s1_progress"]
