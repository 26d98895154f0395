"""The persona pools as actors of a real Ray, killed while they hold a panel."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from flair_ray.data import sample_personas
from flair_ray.domain.ids import RunId, ScriptId, StageName, new_run_id
from flair_ray.domain.personas import Seat, persona_key
from flair_ray.domain.work import Voter
from flair_ray.engine.driver import Driver
from flair_ray.engine.loading import load_state
from flair_ray.engine.order import Order
from flair_ray.engine.ray_executor import NAMESPACE
from flair_ray.engine.ray_personas import PersonasIn, RayPanel, pool_name
from flair_ray.engine.shard import Tools, run_shard, split
from flair_ray.errors import StoreUnavailable
from flair_ray.ports import StageJob
from flair_ray.stages import s4_vote
from flair_ray.stores.redis_store import RedisRunStore


def test_the_recipe_travels_and_shows_no_password() -> None:
    recipe = PersonasIn("redis://:secret@localhost/0", 600, 2)
    assert pickle.loads(pickle.dumps(recipe)) == recipe  # noqa: S301
    assert "secret" not in repr(recipe)


class Counting(RayPanel):
    """Counts the calls that leave for a pool."""

    def __init__(self, redis_url: str, version: str) -> None:
        super().__init__(PersonasIn(redis_url, 600, 2), version)
        self.calls = Counter[tuple[int, str]]()

    async def _ask(self, index: int, method: str, *args: object) -> Any:
        self.calls[index, method] += 1
        return await super()._ask(index, method, *args)


@pytest.fixture
async def pools(ray_cluster: None, redis_url: str) -> AsyncIterator[Counting]:
    import ray

    panel = Counting(redis_url, uuid4().hex[:8])
    panel.start()
    yield panel
    for index in range(2):
        ray.kill(ray.get_actor(pool_name(index, panel._version), namespace=NAMESPACE))


async def test_pools_that_are_killed_know_everything_again(pools: Counting) -> None:
    import ray

    run_id, voters = new_run_id(), [Voter(persona, n % 6) for n, persona in enumerate(sample_personas()[:20])]
    keys = [persona_key(voter.persona) for voter in voters]
    await pools.seat(run_id, voters)
    await pools.remember(run_id, dict.fromkeys(keys, (ScriptId("S02"), ScriptId("S01"))))
    assert await pools.scored(keys[0], run_id, ScriptId("S01"), 0.5)
    before = await pools.states(run_id, keys)
    for index in range(2):
        ray.kill(ray.get_actor(pool_name(index, pools._version), namespace=NAMESPACE), no_restart=False)
    assert await pools.states(run_id, keys) == before
    assert [(before[key].persona, before[key].block) for key in keys] == [(v.persona, v.block) for v in voters]
    assert (before[keys[0]].scored, before[keys[0]].past[-1].run_id) == (1, run_id)


async def test_an_error_of_ours_arrives_as_itself(pools: Counting) -> None:
    with pytest.raises(StoreUnavailable, match="lost the panel"):
        await pools.states(new_run_id(), [persona_key(sample_personas()[0])])


async def test_a_shard_asks_each_pool_once(
    pools: Counting,
    store: RedisRunStore,
    submit: Callable[[Order], Awaitable[RunId]],
    local_driver: Callable[..., Driver],
    local_tools: Callable[..., Tools],
    small_order: Order,
) -> None:
    """24 voters in three shards, over two pools: six questions."""
    run_id = await submit(replace(small_order, num_personas=24))
    await local_driver().drive(run_id)
    state = await load_state(store, run_id)
    work = s4_vote.work(state.scripts, state.personas, state.spec.seed)
    await pools.seat(run_id, [voter for _, voter in work.items])
    seats = tuple((item_id, Seat(persona_key(voter.persona))) for item_id, voter in work.items)
    job = StageJob(run_id, "me", "again", StageName.S4, work.shared, seats, len(seats), state.spec.model)
    for shard in split(job, 3):
        async with aclosing(run_shard(shard, replace(local_tools(), panel=pools))) as steps:
            async for _ in steps:
                pass
    assert len(await store.outcomes(run_id, "again", StageName.S4)) == 24
    assert pools.calls == {(0, "seat"): 1, (1, "seat"): 1, (0, "states"): 3, (1, "states"): 3}
