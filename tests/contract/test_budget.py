"""A run's budget on a real server: what is reserved, spent and unsure never passes what a stage may reach."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest
from redis.asyncio import Redis

from flair_ray.domain.answers import VideoAnalysis
from flair_ray.domain.calls import ChatRequest, Usage
from flair_ray.domain.ids import RunId, StageName, new_run_id
from flair_ray.domain.money import Price, Purse
from flair_ray.errors import BudgetSpent
from flair_ray.stores import keys
from flair_ray.stores.budget import RedisBudget

ASKED = ChatRequest(StageName.S1, "s", "s", "v", VideoAnalysis, None, max_output_tokens=1000)
PRICE = Price(0.0, 0.0, 1.0, "a test")
"""A micro-dollar for each token of output: the worst call is 1,000."""
Shard = Callable[..., RedisBudget]


@pytest.fixture
def run_id() -> RunId:
    return new_run_id()


@pytest.fixture
def shard(redis: Redis, run_id: RunId) -> Shard:
    """A worker's view of one and the same budget."""
    return lambda allowance, stage=StageName.S1: RedisBudget(redis, run_id, stage, Purse(allowance, PRICE, 0), 60)


async def kept(redis: Redis, run_id: RunId, stage: StageName = StageName.S1) -> tuple[int, int, int, int]:
    """Total, reserved, unsure, open."""
    names = ["total", *(f"{name}:{stage.value}" for name in ("reserved", "unsure", "open"))]
    total, reserved, unsure, open_ = (int(n or 0) for n in await redis.hmget(keys.budget(run_id), names))
    return total, reserved, unsure, open_


async def test_a_call_is_reserved_at_its_worst_and_settled_at_what_it_took(
    redis: Redis, run_id: RunId, shard: Shard
) -> None:
    budget = shard(5000)
    assert await budget.reserve("S1:v:1", ASKED)
    assert await kept(redis, run_id) == (1000, 1000, 0, 1)
    await budget.settle("S1:v:1", Usage(output_tokens=300))
    assert await kept(redis, run_id) == (300, 0, 0, 0)
    assert await redis.exists(keys.reservations(run_id, StageName.S1)) == 0


async def test_both_may_be_repeated(redis: Redis, run_id: RunId, shard: Shard) -> None:
    budget = shard(5000)
    for _ in range(2):
        assert await budget.reserve("S1:v:1", ASKED)
    for _ in range(2):
        await budget.settle("S1:v:1", Usage(output_tokens=300))
    assert await kept(redis, run_id) == (300, 0, 0, 0)


async def test_no_room_is_no_end_while_a_call_is_in_flight(shard: Shard) -> None:
    first, second = shard(1500), shard(1500)
    assert await first.reserve("S1:v:1", ASKED)
    assert not await second.reserve("S1:w:1", ASKED)
    await first.settle("S1:v:1", Usage(output_tokens=500))
    assert await second.reserve("S1:w:1", ASKED)
    await second.settle("S1:w:1", Usage(output_tokens=501))
    with pytest.raises(BudgetSpent):
        await first.reserve("S1:x:1", ASKED)


async def test_a_refused_call_costs_nothing_and_a_lost_one_its_reservation(
    redis: Redis, run_id: RunId, shard: Shard
) -> None:
    budget = shard(5000)
    for call, usage in (("S1:v:1", Usage()), ("S1:v:2", None)):
        await budget.reserve(call, ASKED)
        await budget.settle(call, usage)
    assert await kept(redis, run_id) == (1000, 0, 1000, 0)


async def test_what_a_dead_worker_left_is_unsure_when_its_item_is_asked_again(
    redis: Redis, run_id: RunId, shard: Shard
) -> None:
    dead, heir = shard(5000), shard(5000)
    await dead.reserve("S1:a:b:1", ASKED)
    assert await heir.reserve("S1:a:b:1", ASKED)
    assert await kept(redis, run_id) == (2000, 1000, 1000, 1)
    await heir.settle("S1:a:b:1", Usage(output_tokens=10))
    await dead.settle("S1:a:b:1", Usage(output_tokens=20))  # it was alive after all
    assert await kept(redis, run_id) == (30, 0, 0, 0)


async def test_a_hedge_is_no_sign_of_death(redis: Redis, run_id: RunId, shard: Shard) -> None:
    budget = shard(5000)
    for call in ("S1:v:1", "S1:v:2"):
        assert await budget.reserve(call, ASKED)
    assert await kept(redis, run_id) == (2000, 2000, 0, 2)


async def test_a_dead_worker_of_an_earlier_stage_holds_nobody_up(shard: Shard) -> None:
    await shard(1000).reserve("S1:v:1", ASKED)
    with pytest.raises(BudgetSpent):
        await shard(1500, StageName.S3).reserve("S3:s:1", ASKED)


async def test_more_than_was_reserved_is_counted_all_the_same(redis: Redis, run_id: RunId, shard: Shard) -> None:
    budget = shard(1000)
    await budget.reserve("S1:v:1", ASKED)
    await budget.settle("S1:v:1", Usage(output_tokens=4000))
    assert (await kept(redis, run_id))[0] == 4000


async def test_everything_goes_when_its_time_comes(redis: Redis, run_id: RunId, shard: Shard) -> None:
    await shard(1000).reserve("S1:v:1", ASKED)
    assert 0 < await redis.ttl(keys.budget(run_id)) <= 60
    assert 0 < await redis.ttl(keys.reservations(run_id, StageName.S1)) <= 60


async def test_many_workers_never_pass_the_allowance_and_later_stages_have_theirs(
    redis: Redis, run_id: RunId, shard: Shard
) -> None:
    luck, refused = random.Random(7), 0  # noqa: S311
    stages = ((StageName.S1, 20_000), (StageName.S3, 30_000), (StageName.S6, 40_000))
    for stage, allowance in stages:
        workers = [shard(allowance, stage) for _ in range(4)]

        async def item(n: int, budget: RedisBudget, stage: StageName = stage, allowance: int = allowance) -> bool:
            call = f"{stage.value}:{n}:1"
            try:
                while not await budget.reserve(call, ASKED):  # noqa: ASYNC110  # as the asker looks again
                    await asyncio.sleep(0)
            except BudgetSpent:
                return False
            assert (await kept(redis, run_id))[0] <= allowance
            took = luck.choice([None, Usage(), Usage(output_tokens=luck.randint(1, 1000))])
            await budget.settle(call, took)
            return True

        done = await asyncio.gather(*(item(n, workers[n % 4]) for n in range(60)))
        refused += done.count(False)
        assert done.count(True) >= 10
    assert refused > 0
    assert (await kept(redis, run_id))[0] <= 40_000
