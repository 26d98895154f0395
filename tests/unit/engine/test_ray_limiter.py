"""The limiter as an actor of a real Ray, killed while its desks wait."""

from __future__ import annotations

import asyncio
import pickle
from typing import Any
from uuid import uuid4

import pytest

from flair_ray.engine.ray_executor import NAMESPACE
from flair_ray.engine.ray_limiter import LIMITER_GONE, RedisAccounts, limiter_exchange, limiter_name
from flair_ray.flow.clock import SystemClock
from flair_ray.flow.permits import PermitDesk
from flair_ray.ports import Limits
from flair_ray.stores.permits import PERMIT_LEASE_S, RedisPermits
from flair_ray.stores.redis_store import connect


def test_the_recipe_travels_and_shows_no_password() -> None:
    recipe = RedisAccounts("redis://:secret@localhost/0")
    assert pickle.loads(pickle.dumps(recipe)) == recipe  # noqa: S301
    assert "secret" not in repr(recipe)


@pytest.mark.usefixtures("ray_cluster")
async def test_a_limiter_that_is_killed_grants_nothing_twice_and_loses_nothing(redis_url: str) -> None:
    import ray

    version, account, limits = uuid4().hex[:8], uuid4().hex, Limits(max_in_flight=4)
    exchange = limiter_exchange(RedisAccounts(redis_url), version, account, limits)
    desks = [PermitDesk(exchange, LIMITER_GONE, PERMIT_LEASE_S, SystemClock()) for _ in range(2)]
    now, most, done = 0, 0, 0

    async def call(desk: PermitDesk) -> None:
        nonlocal now, most, done
        async with desk.limiter("r", "s").permit(1):
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.01)
            now -= 1
            done += 1

    calls = asyncio.gather(*(call(desk) for desk in desks for _ in range(60)))
    for share in (20, 70):
        while done < share:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        ray.kill(ray.get_actor(limiter_name(version), namespace=NAMESPACE), no_restart=False)
    await calls
    for desk in desks:
        await desk.close()
    redis = connect(redis_url)
    left = await RedisPermits(redis, account).exchange([])
    await redis.aclose()
    await redis.connection_pool.aclose()
    ray.kill(ray.get_actor(limiter_name(version), namespace=NAMESPACE))
    assert (most, done, left.in_flight) == (4, 120, 0)


@pytest.mark.usefixtures("ray_cluster")
async def test_a_call_that_is_cancelled_with_its_task_costs_nobody_else_his_turn(redis_url: str) -> None:
    """As Ray does with what a cancelled shard has begun, while the next shard of the process waits for the answer."""
    import ray

    version, account, limits = uuid4().hex[:8], uuid4().hex, Limits(max_in_flight=4)
    exchange = limiter_exchange(RedisAccounts(redis_url), version, account, limits)
    await exchange("somebody", [], [], [], 0.0)
    actor, to_cancel = ray.get_actor(limiter_name(version), namespace=NAMESPACE), 3

    async def cut_short(*args: object) -> Any:
        nonlocal to_cancel
        ref = actor.exchange.remote(account, limits, *args)
        if to_cancel:
            to_cancel -= 1
            ray.cancel(ref)
        return await ref

    desk = PermitDesk(cut_short, LIMITER_GONE, PERMIT_LEASE_S, SystemClock())
    async with desk.limiter("r", "s").permit(1):
        assert to_cancel == 0
    await desk.close()
    ray.kill(actor)
