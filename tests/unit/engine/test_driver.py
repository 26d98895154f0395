"""What the driver decides: when a stage has failed, when a cluster is broken, whom it believes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace

import pytest

from flair_ray.domain.calls import ChatRequest, Completion
from flair_ray.domain.ids import ItemId, RunId, StageName
from flair_ray.domain.runs import RunStatus
from flair_ray.domain.videos import Video
from flair_ray.engine.driver import MAX_LOSSES, Driver
from flair_ray.engine.loading import load_state
from flair_ray.engine.local_executor import LocalExecutor
from flair_ray.engine.order import Order
from flair_ray.engine.results import gather_result
from flair_ray.engine.shard import Tools
from flair_ray.errors import BadRequest, InfrastructureError, RunNotFound, StoreUnavailable
from flair_ray.ports import Delivered, Executor, Lost, StageJob
from flair_ray.providers.offline import OfflineProvider
from flair_ray.stores import keys
from flair_ray.stores.redis_store import RedisRunStore

Submit = Callable[[Order], Awaitable[RunId]]


class RefusesVideos(OfflineProvider):
    """Refuses the first so many videos."""

    def __init__(self, videos: tuple[Video, ...]) -> None:
        super().__init__()
        self._refused = {v.video_id for v in videos}

    async def complete(self, request: ChatRequest, timeout_s: float) -> Completion:
        match request.material:
            case (_, Video(video_id=name)) if name in self._refused:
                raise BadRequest("The provider answered 400.")
        return await super().complete(request, timeout_s)


class LosesFirst(LocalExecutor):
    """Loses its worker some times before it does what it should."""

    def __init__(self, tools: Tools, losses: int) -> None:
        super().__init__(tools)
        self.losses = losses

    async def map(self, job: StageJob) -> AsyncGenerator[Delivered | Lost, None]:
        if self.losses:
            self.losses -= 1
            yield Lost(tuple(item_id for item_id, _ in job.items), "WorkerCrashedError")
            return
        async for delivery in super().map(job):
            yield delivery


@pytest.mark.parametrize(("refused", "status"), [(6, RunStatus.COMPLETED), (7, RunStatus.FAILED)])
async def test_a_stage_may_lose_half_of_its_items(
    store: RedisRunStore,
    submit: Submit,
    local_driver: Callable[..., Driver],
    small_order: Order,
    refused: int,
    status: RunStatus,
) -> None:
    run_id = await submit(small_order)
    assert await local_driver(RefusesVideos(small_order.videos[:refused])).drive(run_id) is status
    s1 = (await store.snapshot(run_id)).stages[StageName.S1]
    assert (s1.completed, s1.skipped) == (12, refused)
    result = await gather_result(store, run_id)
    assert set(result.skipped[StageName.S1]) == {v.video_id for v in small_order.videos[:refused]}


async def test_one_of_one_is_all(
    store: RedisRunStore, submit: Submit, local_driver: Callable[..., Driver], small_order: Order
) -> None:
    run_id = await submit(replace(small_order, num_videos=1))
    assert await local_driver(RefusesVideos(small_order.videos[:1])).drive(run_id) is RunStatus.FAILED


async def test_lost_workers_are_replaced(
    submit: Submit,
    make_driver: Callable[[Executor], Driver],
    local_tools: Callable[..., Tools],
    small_order: Order,
) -> None:
    run_id = await submit(small_order)
    assert await make_driver(LosesFirst(local_tools(), MAX_LOSSES)).drive(run_id) is RunStatus.COMPLETED


async def test_a_cluster_that_keeps_losing_them_is_not_fed_for_ever(
    store: RedisRunStore,
    submit: Submit,
    make_driver: Callable[[Executor], Driver],
    local_tools: Callable[..., Tools],
    small_order: Order,
) -> None:
    run_id = await submit(small_order)
    executor = LosesFirst(local_tools(), 1000)
    assert await make_driver(executor).drive(run_id) is RunStatus.FAILED
    assert 1000 - executor.losses == MAX_LOSSES + 1
    snapshot = await store.snapshot(run_id)
    assert snapshot.exit_code == 4
    assert f"flair resume {run_id}" in str(snapshot.error)
    executor.losses = 0
    assert await make_driver(executor).drive(run_id) is RunStatus.COMPLETED


async def test_rounds_that_do_nothing_and_say_nothing_end_too(
    submit: Submit, make_driver: Callable[[Executor], Driver], local_tools: Callable[..., Tools], small_order: Order
) -> None:
    class Idle(LocalExecutor):
        rounds = 0

        async def map(self, job: StageJob) -> AsyncGenerator[Delivered | Lost, None]:
            Idle.rounds += 1
            for delivery in ():
                yield delivery

    assert await make_driver(Idle(local_tools())).drive(await submit(small_order)) is RunStatus.FAILED
    assert Idle.rounds == MAX_LOSSES + 1


async def test_a_bug_ends_the_run_and_is_heard(
    store: RedisRunStore, submit: Submit, local_driver: Callable[..., Driver], small_order: Order
) -> None:
    class Broken(OfflineProvider):
        async def complete(self, request: ChatRequest, timeout_s: float) -> Completion:
            raise ZeroDivisionError("a secret detail")

    run_id = await submit(small_order)
    with pytest.raises(ZeroDivisionError):
        await local_driver(Broken()).drive(run_id)
    snapshot = await store.snapshot(run_id)
    assert snapshot.status is RunStatus.FAILED
    assert snapshot.error == "An unexpected ZeroDivisionError; see the log."


async def test_a_run_that_is_not_there_cannot_be_driven(local_driver: Callable[..., Driver]) -> None:
    with pytest.raises(RunNotFound):
        await local_driver().drive(RunId("nobody"))


async def test_a_run_that_ended_while_we_waited_for_its_lease_is_left_alone(
    store: RedisRunStore, submit: Submit, local_driver: Callable[..., Driver], small_order: Order
) -> None:
    run_id = await submit(small_order)
    both = await asyncio.gather(*(local_driver().drive(run_id) for _ in range(2)))
    assert both == [RunStatus.COMPLETED, RunStatus.COMPLETED]
    names = [e.name for e in await store.events(run_id)]
    assert names.count("pipeline_complete") == 1
    assert "pipeline_recovered" not in names


async def test_a_driver_that_lost_its_lease_stops_its_work(
    store: RedisRunStore,
    submit: Submit,
    make_driver: Callable[[Executor], Driver],
    local_tools: Callable[..., Tools],
    small_order: Order,
) -> None:
    from flair_ray.errors import LeaseLost

    class Waits(OfflineProvider):
        def __init__(self) -> None:
            super().__init__()
            self.asked, self.dropped = asyncio.Event(), 0

        async def complete(self, request: ChatRequest, timeout_s: float) -> Completion:
            self.asked.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.dropped += 1
            raise AssertionError

    run_id, provider = await submit(small_order), Waits()
    driving = asyncio.create_task(make_driver(LocalExecutor(local_tools(provider))).drive(run_id))
    await provider.asked.wait()
    await store._redis.delete(keys.lease(run_id))  # as if its time were over
    heir = await store.acquire(run_id, 60)
    with pytest.raises(LeaseLost):
        await driving
    assert provider.dropped == 12
    assert await store.renew(heir, 60) is False  # the loser has not given the heir's lease away


async def test_without_a_store_a_run_stays_open(
    store: RedisRunStore, submit: Submit, local_tools: Callable[..., Tools], small_order: Order,
    make_driver: Callable[[Executor], Driver],
) -> None:  # fmt: skip
    class Gone(LocalExecutor):
        def map(self, job: StageJob) -> AsyncGenerator[Delivered | Lost, None]:
            raise StoreUnavailable("Redis cannot be reached.")

    run_id = await submit(small_order)
    with pytest.raises(StoreUnavailable):
        await make_driver(Gone(local_tools())).drive(run_id)
    assert (await store.snapshot(run_id)).status is RunStatus.RUNNING
    assert await make_driver(LocalExecutor(local_tools())).drive(run_id) is RunStatus.COMPLETED


async def test_results_that_are_gone_are_said_and_not_made_up(
    store: RedisRunStore, submit: Submit, local_driver: Callable[..., Driver], small_order: Order
) -> None:
    run_id = await submit(small_order)
    await local_driver().drive(run_id)
    fingerprint = (await store.spec(run_id)).fingerprint
    await store._redis.hdel(keys.results(run_id, fingerprint, StageName.S1), str(small_order.videos[0].video_id))
    with pytest.raises(InfrastructureError, match=r"1 results of S1_MAP .* are gone from Redis"):
        await load_state(store, run_id)


async def test_a_run_under_way_can_be_looked_at(
    store: RedisRunStore, submit: Submit, local_tools: Callable[..., Tools], small_order: Order,
    make_driver: Callable[[Executor], Driver],
) -> None:  # fmt: skip
    """The stage that is being done comes with what it has; nothing after it."""

    class StopsAfterThree(LocalExecutor):
        async def map(self, job: StageJob) -> AsyncGenerator[Delivered | Lost, None]:
            async for delivery in super().map(replace(job, items=job.items[:3])):
                yield delivery
            raise StoreUnavailable("dead")

    run_id = await submit(small_order)
    with pytest.raises(StoreUnavailable):
        await make_driver(StopsAfterThree(local_tools())).drive(run_id)
    result = await gather_result(store, run_id)
    assert (len(result.patterns), result.library, result.scripts) == (3, None, ())
    assert ItemId(result.patterns[0].video_id) in {v.video_id for v in small_order.videos[:3]}
