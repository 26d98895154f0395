"""The persona pool on a real server: what it remembers, once, and that it never knows better than Redis."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from uuid import uuid4

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from flair_ray.actors.persona_pool import PersonaPool
from flair_ray.data import sample_personas
from flair_ray.domain.calls import ChatRequest, Completion
from flair_ray.domain.ids import RunId, ScriptId, StageName, new_run_id
from flair_ray.domain.people import Persona
from flair_ray.domain.personas import (
    PAST_BALLOTS,
    PastBallot,
    PersonaKey,
    PersonaState,
    ballots_by_key,
    persona_key,
    track_record,
)
from flair_ray.domain.work import Voter
from flair_ray.engine.driver import Driver
from flair_ray.engine.loading import load_state
from flair_ray.engine.order import Order
from flair_ray.engine.plan import MAP_STAGES
from flair_ray.errors import StoreUnavailable
from flair_ray.providers.offline import OfflineProvider
from flair_ray.stages import s4_vote
from flair_ray.stores import keys
from flair_ray.stores.personas import RedisPersonas
from flair_ray.stores.redis_store import RedisRunStore

A, B, C = ScriptId("S01"), ScriptId("S02"), ScriptId("S03")
Submit = Callable[[Order], Awaitable[RunId]]


class CountingPersonas(RedisPersonas):
    """Notes what is read."""

    def __init__(self, redis: Redis) -> None:
        super().__init__(redis, run_ttl_s=600)
        self.loads: list[int] = []

    async def load(self, run_id: RunId, wanted: Sequence[PersonaKey]) -> dict[PersonaKey, PersonaState]:
        self.loads.append(len(wanted))
        return await super().load(run_id, wanted)


@pytest.fixture
def personas(redis: Redis) -> CountingPersonas:
    return CountingPersonas(redis)


@pytest.fixture
def pool(personas: CountingPersonas) -> PersonaPool:
    return PersonaPool(personas)


def nobody(count: int) -> list[Persona]:
    """Personas that no other test knows."""
    return [replace(persona, name=uuid4().hex) for persona in sample_personas()[:count]]


async def seated(pool: PersonaPool, run_id: RunId, people: list[Persona]) -> list[PersonaKey]:
    """For the session in which the tests' orders are."""
    await pool.seat(run_id, [Voter(persona, n, owner="anonymous") for n, persona in enumerate(people)])
    return [persona_key(persona, "anonymous") for persona in people]


async def test_a_persona_comes_as_it_was_seated_with_what_it_voted_before(pool: PersonaPool) -> None:
    first, second, people = new_run_id(), new_run_id(), nobody(3)
    names = await seated(pool, first, people)
    await pool.remember(first, {names[1]: (B, A)})
    await seated(pool, second, people[::-1])
    states = await pool.states(second, names)
    assert [states[name].persona for name in names] == people
    assert [states[name].block for name in names] == [2, 1, 0]
    assert [states[name].past for name in names] == [(), (PastBallot(first, (B, A)),), ()]
    assert (await pool.states(first, names))[names[0]].block == 0


async def test_a_ballot_counts_once_however_often_it_is_told(pool: PersonaPool) -> None:
    run_id = new_run_id()
    (name,) = await seated(pool, run_id, nobody(1))
    for _ in range(3):
        await pool.remember(run_id, {name: (A,)})
    assert (await pool.states(run_id, [name]))[name].past == (PastBallot(run_id, (A,)),)


async def test_the_last_ballots_are_remembered(pool: PersonaPool) -> None:
    runs = [new_run_id() for _ in range(PAST_BALLOTS + 2)]
    (name,) = await seated(pool, runs[-1], nobody(1))
    for run_id in runs:
        await pool.remember(run_id, {name: (A, B)})
    state = (await pool.states(runs[-1], [name]))[name]
    assert [ballot.run_id for ballot in state.past] == runs[2:]


async def test_a_result_counts_once_and_only_for_what_was_ranked(pool: PersonaPool) -> None:
    run_id = new_run_id()
    (name,) = await seated(pool, run_id, nobody(1))
    assert track_record((await pool.states(run_id, [name]))[name]) is None
    assert not await pool.scored(name, run_id, A, 1.0), "no ballot yet"
    await pool.remember(run_id, {name: (A, B)})
    assert await pool.scored(name, run_id, A, 1.0)
    assert not await pool.scored(name, run_id, A, 1.0)
    assert not await pool.scored(name, run_id, C, 1.0)
    assert await pool.scored(name, run_id, B, 0.25)
    state = (await pool.states(run_id, [name]))[name]
    assert (state.scored, state.agreed, track_record(state)) == (2, 1.25, 0.625)
    assert state.past == (PastBallot(run_id, (A, B), (A, B)),)


async def test_what_is_held_is_not_read_again_and_a_blank_pool_reads_it(
    pool: PersonaPool, personas: CountingPersonas
) -> None:
    run_id = new_run_id()
    names = await seated(pool, run_id, nobody(4))
    before = await pool.states(run_id, names)
    assert await pool.states(run_id, names) == before
    assert personas.loads == [4]
    assert await PersonaPool(personas).states(run_id, names) == before
    assert personas.loads == [4, 4]


async def test_a_pool_holds_no_more_than_it_has_room_for(personas: CountingPersonas) -> None:
    pool, run_id = PersonaPool(personas, capacity=3), new_run_id()
    names = await seated(pool, run_id, nobody(5))
    assert len(await pool.states(run_id, names)) == 5
    await pool.states(run_id, names[2:])
    await pool.states(run_id, names[:2])
    assert personas.loads == [5, 2], "those that were asked for longest ago made room"


async def test_everything_has_its_time(pool: PersonaPool, redis: Redis) -> None:
    run_id = new_run_id()
    (name,) = await seated(pool, run_id, nobody(1))
    assert 590 < await redis.ttl(keys.seats(run_id)) <= 600
    assert 5900 < await redis.ttl(keys.persona(name)) <= 6000


async def test_a_panel_that_redis_has_lost_leaves_the_run_open(pool: PersonaPool, redis: Redis) -> None:
    run_id = new_run_id()
    names = await seated(pool, run_id, nobody(2))
    await redis.delete(keys.seats(run_id))
    with pytest.raises(StoreUnavailable, match="flair resume"):
        await pool.states(run_id, names)


async def test_without_redis_the_store_is_unavailable() -> None:
    gone = Redis(host="127.0.0.1", port=1, retry=Retry(NoBackoff(), 0))
    with pytest.raises(StoreUnavailable):
        await PersonaPool(RedisPersonas(gone, 600)).states(new_run_id(), [PersonaKey("p")])
    await gone.aclose()


async def test_a_run_seats_its_panel_and_leaves_its_ballots_once(
    store: RedisRunStore,
    submit: Submit,
    local_driver: Callable[..., Driver],
    panel: PersonaPool,
    small_order: Order,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[RunId] = []
    remember = panel.remember

    async def noting(run_id: RunId, ballots: Mapping[PersonaKey, tuple[ScriptId, ...]]) -> None:
        told.append(run_id)
        await remember(run_id, ballots)

    monkeypatch.setattr(panel, "remember", noting)
    run_id = await submit(small_order)
    await local_driver().drive(run_id)
    state = await load_state(store, run_id)
    tops = ballots_by_key(state.personas, state.ballots, state.spec.session_id)
    await store._redis.hset(keys.run(run_id), "status", "failed")  # another driver goes over all of it
    await local_driver().drive(run_id)
    assert told == [run_id, run_id]
    for name, known in (await panel.states(run_id, list(tops))).items():
        assert [ballot.top for ballot in known.past if ballot.run_id == run_id] == [tops[name]]


class Reading(OfflineProvider):
    """Keeps the words of every vote that is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, str, str]] = []

    async def complete(self, request: ChatRequest, timeout_s: float) -> Completion:
        if request.stage is StageName.S4:
            self.asked.append((request.system, request.shared, request.varying))
        return await super().complete(request, timeout_s)


async def test_the_seats_change_no_prompt_and_the_ballot_keeps_the_record(
    store: RedisRunStore, submit: Submit, local_driver: Callable[..., Driver], panel: PersonaPool, small_order: Order
) -> None:
    """What is asked is what the plan's own voters would be asked, byte for byte."""
    async for key in store._redis.scan_iter("flair:persona:*"):  # what results in other tests have taught it
        await store._redis.delete(key)
    run_id, earlier, reading = await submit(small_order), new_run_id(), Reading()
    inputs = await store.inputs((await store.spec(run_id)).inputs_key)
    (knowing, *_) = await seated(panel, earlier, list(inputs.personas[:1]))
    await panel.remember(earlier, {knowing: (A,)})
    await panel.scored(knowing, earlier, A, 0.75)
    await local_driver(reading).drive(run_id)
    state = await load_state(store, run_id)
    sheet = s4_vote.work(state.scripts, state.personas, state.spec.seed)
    asked = [MAP_STAGES[StageName.S4].request(sheet.shared, voter) for _, voter in sheet.items]
    assert sorted(reading.asked) == sorted((r.system, r.shared, r.varying) for r in asked)
    records = {ballot.persona_id: ballot.record for ballot in state.ballots}
    assert records[inputs.personas[0].persona_id] == 0.75
    assert set(records.values()) == {0.75, None}
