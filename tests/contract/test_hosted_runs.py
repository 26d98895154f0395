"""The queue of runs that the hosts are to drive: first come, first driven."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from flair_ray.config import Settings
from flair_ray.domain.events import EventDraft, EventName
from flair_ray.domain.ids import ItemId, StageName, new_run_id
from flair_ray.domain.runs import RunInputs, RunSpec, RunStatus
from flair_ray.domain.work import Done
from flair_ray.engine.order import Order, first_event, prepare
from flair_ray.stores import keys
from flair_ray.stores.redis_store import RedisRunStore
from tests.contract.test_run_store import begun, record


@pytest.fixture
def order_parts(small_order: Order, settings: Settings) -> tuple[RunSpec, RunInputs]:
    return prepare(small_order, settings)


async def test_a_run_that_waits_keeps_its_place_when_it_is_handed_over_again(
    store: RedisRunStore, redis: Redis, order_parts: tuple[RunSpec, RunInputs]
) -> None:
    await redis.delete(keys.hosted_runs())  # other tests' runs
    waiting = [new_run_id() for _ in range(3)]
    for run_id in waiting[:2]:
        await store.create(run_id, *order_parts, first_event(run_id, order_parts[0]), hosted=True)
        await passed(redis)
    await store.create(waiting[2], *order_parts, first_event(waiting[2], order_parts[0]))
    for run_id in (waiting[2], waiting[0], waiting[1], waiting[0]):
        await store.host(run_id)
        await passed(redis)
    assert await store.adoptable(9) == waiting

    await store.request_cancel(waiting[0])
    assert await store.adoptable(9) == waiting[1:]
    await store.host(waiting[0])  # it had left the queue
    assert await store.adoptable(9) == [*waiting[1:], waiting[0]]


async def passed(redis: Redis) -> None:
    """A millisecond: within one, a queue has no order."""
    seconds, micros = await redis.time()
    while (now := await redis.time())[0] == seconds and now[1] // 1000 == micros // 1000:
        pass


async def test_take_ups_in_vain_are_counted_until_something_is_recorded(
    store: RedisRunStore, redis: Redis, order_parts: tuple[RunSpec, RunInputs]
) -> None:
    run_id = new_run_id()
    await store.create(run_id, *order_parts, first_event(run_id, order_parts[0]))

    async def taken() -> int:
        lease = await begun(store, run_id)
        await redis.delete(f"flair:run:{run_id}:lease")  # its driver died
        return lease.taken

    assert [await taken() for _ in range(3)] == [1, 2, 3]
    await record(store, run_id, "v", Done("{}"))
    assert [await taken() for _ in range(2)] == [1, 2]
    await record(store, run_id, "v", Done("{}"))  # nothing new
    lease = await begun(store, run_id)
    assert lease.taken == 3
    await store.complete_stage(lease, StageName.S1, [ItemId("v")], [])
    await redis.delete(f"flair:run:{run_id}:lease")
    assert [await taken() for _ in range(2)] == [1, 2]
    lease = await store.acquire(run_id, 60)
    await store.release(lease)  # it lives, and leaves the run as it is
    assert [await taken() for _ in range(2)] == [1, 2]
    lease = await store.acquire(run_id, 60)
    await store.finish(lease, RunStatus.FAILED, EventDraft(EventName.PIPELINE_ERROR, {}))
    await redis.delete(f"flair:run:{run_id}:lease")
    assert await taken() == 1


async def test_runs_that_may_have_ended_their_hosts_are_tried_one_at_a_time(
    store: RedisRunStore, redis: Redis, order_parts: tuple[RunSpec, RunInputs]
) -> None:
    """Or each death would count against all that a host drove."""
    await redis.delete(keys.hosted_runs())
    one, other, fresh = (new_run_id() for _ in range(3))
    for run_id in (one, other, fresh):
        await store.create(run_id, *order_parts, first_event(run_id, order_parts[0]), hosted=True)
        await passed(redis)
    for _ in range(2):
        assert await store.adoptable(9) == [one, other, fresh]
        for run_id in (one, other):
            await store.acquire(run_id, 60)
            await redis.delete(keys.lease(run_id))
    assert await store.adoptable(9) == [fresh, one]
    assert await store.adoptable(1) == [one]
    lease = await store.acquire(one, 60)
    assert await store.adoptable(9) == [fresh]
    await store.complete_stage(lease, StageName.S1, [], [])  # it was another's fault
    assert await store.adoptable(9) == [fresh, other]
