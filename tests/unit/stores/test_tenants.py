"""Rates and books of tenants, against a real Redis and a clock of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from flair_ray.domain.ids import new_run_id
from flair_ray.stores import keys
from flair_ray.stores.redis_store import connect
from flair_ray.stores.tenants import RedisTenants

NOVEMBER_30 = 1_796_082_300.0
"""A quarter of an hour before a month ends, on the minute."""


class Clock:
    def __init__(self) -> None:
        self.now = NOVEMBER_30

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def tenants(redis_url: str, clock: Clock) -> AsyncIterator[RedisTenants]:
    redis = connect(redis_url)
    if old := [key async for key in redis.scan_iter("flair:tenant:*")]:
        await redis.delete(*old)
    yield RedisTenants(redis, clock)
    await redis.aclose()
    await redis.connection_pool.aclose()


async def test_so_many_a_minute_and_then_the_next_minute(tenants: RedisTenants, clock: Clock) -> None:
    clock.now += 20
    assert [await tenants.admit("ada", "starts", 2) for _ in range(3)] == [0, 0, 40]
    assert await tenants.admit("ada", "requests", 2) == 0
    assert await tenants.admit("bob", "starts", 2) == 0
    clock.now += 39.5
    assert await tenants.admit("ada", "starts", 2) == 1
    clock.now += 0.5
    assert await tenants.admit("ada", "starts", 2) == 0


async def test_a_run_counts_as_its_cap_and_then_as_what_it_took(tenants: RedisTenants) -> None:
    first, second = new_run_id(), new_run_id()
    assert await tenants.reserve("ada", first, 6, 10)
    assert not await tenants.reserve("ada", second, 5, 10)
    assert await tenants.spent("ada") == 6
    assert await tenants.reserve("ada", second, 4, 10)
    assert await tenants.unsettled("ada") == {first, second}
    for _ in range(2):  # settling again changes nothing
        await tenants.settle("ada", first, 1)
        assert await tenants.spent("ada") == 5
    assert await tenants.unsettled("ada") == {second}
    assert await tenants.spent("bob") == 0


async def test_a_start_that_is_repeated_has_its_room_already(tenants: RedisTenants) -> None:
    run_id = new_run_id()
    for _ in range(2):
        assert await tenants.reserve("ada", run_id, 10, 10)
    await tenants.settle("ada", run_id, 3)
    assert await tenants.reserve("ada", run_id, 10, 10)
    assert await tenants.spent("ada") == 3


async def test_a_run_that_goes_on_needs_its_room_again(tenants: RedisTenants) -> None:
    run_id, other = new_run_id(), new_run_id()
    await tenants.reserve("ada", run_id, 6, 10)
    await tenants.settle("ada", run_id, 2)
    await tenants.reserve("ada", other, 5, 10)
    assert not await tenants.reserve("ada", run_id, 6, 10, again=True)
    await tenants.settle("ada", other, 0)
    assert await tenants.reserve("ada", run_id, 6, 10, again=True)
    assert await tenants.spent("ada") == 6
    assert await tenants.unsettled("ada") == {run_id}


async def test_an_end_that_a_run_goes_on_from_settles_nothing_any_more(tenants: RedisTenants, redis: Redis) -> None:
    """Whoever read it may write late."""
    run_id = new_run_id()
    await tenants.reserve("ada", run_id, 6, 10)
    await redis.hset(keys.run(run_id), "finished_ms", 1_000)
    await tenants.settle("ada", run_id, 2, ended_ms=1_000)
    await tenants.reserve("ada", run_id, 6, 10, again=True)
    await tenants.settle("ada", run_id, 2, ended_ms=1_000)
    assert (await tenants.spent("ada"), await tenants.unsettled("ada")) == (6, {run_id})
    await tenants.settle("ada", run_id, 3, ended_ms=2_000)
    assert (await tenants.spent("ada"), await tenants.unsettled("ada")) == (3, set())


async def test_a_month_ends(tenants: RedisTenants, clock: Clock) -> None:
    run_id = new_run_id()
    await tenants.reserve("ada", run_id, 10, 10)
    clock.now += 3600
    assert await tenants.spent("ada") == 0
    await tenants.settle("ada", run_id, 3)  # of another month's book
    assert await tenants.spent("ada") == 0


async def test_what_is_given_out_is_good_until_it_is_revoked(tenants: RedisTenants) -> None:
    secret = await tenants.issue("cookie", "ada", 60)
    assert await tenants.redeem("cookie", secret) == "ada"
    assert await tenants.redeem("ticket", secret) is None
    assert await tenants.redeem("cookie", secret + "x") is None
    await tenants.revoke("cookie", secret)
    assert await tenants.redeem("cookie", secret) is None
