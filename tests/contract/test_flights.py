"""One leader per question, whoever asks, however many, whoever dies."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from flair_ray.domain.calls import CallTally
from flair_ray.domain.events import EventDraft, EventName
from flair_ray.domain.ids import ItemId, RunId, StageName
from flair_ray.domain.runs import ModelChoice
from flair_ray.domain.work import Done, Skipped
from flair_ray.engine.order import Order
from flair_ray.errors import StoreUnavailable
from flair_ray.ports import Claim, Lead, Settled, Shared, StageJob
from flair_ray.stores import keys
from flair_ray.stores.ears import Ears
from flair_ray.stores.flights import RedisFlights
from flair_ray.stores.redis_store import RedisRunStore, connect, listener

MakeFlights = Callable[..., RedisFlights]
PROGRESS = EventDraft(EventName.S1_PROGRESS, {"video_id": "v"})


@pytest.fixture
async def make_flights(redis_url: str) -> AsyncIterator[MakeFlights]:
    """As many processes as a test wants."""
    made = []

    def make(lease_s: float = 10.0) -> RedisFlights:
        redis = connect(redis_url)
        made.append((RedisFlights(redis, Ears(listener(redis_url)), lease_s), redis))
        return made[-1][0]

    yield make
    for flights, redis in made:
        await flights.close()
        await redis.aclose()
        await redis.connection_pool.aclose()


@pytest.fixture
async def job(store: RedisRunStore, submit: Callable[[Order], Awaitable[RunId]], small_order: Order) -> StageJob:
    run_id = await submit(small_order)
    return StageJob(run_id, "me", "f", StageName.S1, None, (), 1, ModelChoice("offline", "m"), share=True)


def claim_in(job: StageJob, *, shared: bool = False, key: str = "") -> Claim:
    return Claim(key or uuid4().hex, job.run_id, job.fingerprint, job.stage, ItemId("v"), shared)


async def land(store: RedisRunStore, job: StageJob, claim: Claim, answer: str = "the answer") -> None:
    await store.record(job, claim.item_id, Done("{}"), PROGRESS, CallTally(calls=1), claim, answer)


async def kinds(turns: list[asyncio.Task[Lead | Shared | Settled]]) -> Counter[str]:
    return Counter(type(turn).__name__ for turn in await asyncio.gather(*turns))


def ask(flights: RedisFlights, claim: Claim, times: int) -> list[asyncio.Task[Lead | Shared | Settled]]:
    return [asyncio.create_task(flights.turn(claim)) for _ in range(times)]


async def leader_among(turns: list[asyncio.Task[Lead | Shared | Settled]]) -> None:
    """Wait for the one; the others keep waiting."""
    done, _ = await asyncio.wait(turns, return_when=asyncio.FIRST_COMPLETED)
    for _ in range(3):
        await asyncio.sleep(0.01)
    done = {turn for turn in turns if turn.done()}
    assert [turn.result() for turn in done] == [Lead()]


@pytest.mark.parametrize("round_", range(10))
async def test_five_thousand_claims_have_one_winner(
    make_flights: MakeFlights, store: RedisRunStore, job: StageJob, round_: int
) -> None:
    """From five processes' worth of connections."""
    processes = [make_flights() for _ in range(5)]
    claim = claim_in(job)
    turns = [turn for flights in processes for turn in ask(flights, claim, 1_000)]
    await leader_among(turns)
    await land(store, job, claim)
    assert await kinds(turns) == {"Lead": 1, "Settled": 4_999}


async def test_an_answer_that_suits_all_is_taken_by_other_runs(
    make_flights: MakeFlights, store: RedisRunStore, job: StageJob, submit: Callable[[Order], Awaitable[RunId]],
    small_order: Order,
) -> None:  # fmt: skip
    here, there = make_flights(), make_flights()
    claim = claim_in(job, shared=True)
    other = replace(claim, run_id=await submit(small_order))
    assert await here.turn(claim) == Lead()
    waiting = ask(there, other, 3)
    await land(store, job, claim)
    assert await asyncio.gather(*waiting) == [Shared("the answer")] * 3
    assert await there.turn(other) == Shared("the answer")
    assert await here.turn(claim) == Settled()
    assert 0 < await store._redis.ttl(keys.answer(claim.key)) <= 86_400


async def test_an_answer_of_one_run_is_no_other_runs(
    make_flights: MakeFlights, store: RedisRunStore, job: StageJob
) -> None:
    flights, claim = make_flights(), claim_in(job)
    assert await flights.turn(claim) == Lead()
    await land(store, job, claim)
    assert not await store._redis.exists(keys.answer(claim.key))


async def test_a_skip_settles_nothing(make_flights: MakeFlights, store: RedisRunStore, job: StageJob) -> None:
    flights, claim = make_flights(), claim_in(job)
    assert await flights.turn(claim) == Lead()
    await store.record(job, claim.item_id, Skipped("no"), PROGRESS, CallTally(), claim)
    await flights.leave(claim, landed=False)
    assert await flights.turn(claim) == Lead()


async def test_who_gives_up_hands_over_to_exactly_one(make_flights: MakeFlights, job: StageJob) -> None:
    here, there = make_flights(), make_flights()
    claim = claim_in(job)
    assert await here.turn(claim) == Lead()
    waiting = ask(there, claim, 20)
    await asyncio.sleep(0.02)
    await here.leave(claim, landed=False)
    await leader_among(waiting)
    for turn in waiting:
        turn.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_dead_leader_holds_nothing_past_its_lease(make_flights: MakeFlights, job: StageJob) -> None:
    dead, alive = make_flights(lease_s=0.2), make_flights()
    claims = [claim_in(job) for _ in range(3)]
    assert [await dead.turn(claim) for claim in claims] == [Lead()] * 3
    assert dead._renewing
    dead._renewing.cancel()  # as a killed process: it never says anything again
    assert [await alive.turn(claim) for claim in claims] == [Lead()] * 3


async def test_a_leader_that_lives_keeps_its_claim_past_its_lease(make_flights: MakeFlights, job: StageJob) -> None:
    slow, other = make_flights(lease_s=0.06), make_flights()
    claim = claim_in(job)
    assert await slow.turn(claim) == Lead()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(other.turn(claim), 0.3)


async def test_a_leader_that_is_known_to_be_dead_is_replaced_at_once(
    make_flights: MakeFlights, store: RedisRunStore, job: StageJob
) -> None:
    """Nobody waits for a lease of an hour."""
    dead, alive = make_flights(lease_s=3_600), make_flights()
    claim = claim_in(job)
    assert await dead.turn(claim) == Lead()
    (waiting,) = ask(alive, claim, 1)
    await asyncio.sleep(0.02)
    await store.revoke(dead.owner)
    assert await waiting == Lead()


async def test_followers_are_woken_and_do_not_ask_again_and_again(
    make_flights: MakeFlights, store: RedisRunStore, job: StageJob
) -> None:
    here, there = make_flights(), make_flights()
    claim = claim_in(job)
    assert await here.turn(claim) == Lead()
    asked = 0
    decide = there._decided

    async def counted(claims: list[Any]) -> list[object]:
        nonlocal asked
        asked += len(claims)
        return await decide(claims)  # type: ignore[return-value]

    there._decided = counted  # type: ignore[method-assign,assignment]
    waiting = ask(there, claim, 50)
    await asyncio.sleep(0.05)
    before = asked
    await asyncio.sleep(0.05)
    assert asked == before == 100  # once to learn that somebody leads, once when listening
    await land(store, job, claim)
    await asyncio.gather(*waiting)
    assert asked == 150


async def test_whoever_stops_waiting_leaves_no_claim_behind(make_flights: MakeFlights, job: StageJob) -> None:
    flights, other = make_flights(), make_flights()
    for delay in range(6):
        claim = claim_in(job)
        (asking,) = ask(flights, claim, 1)
        for _ in range(delay):
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait({asking})
        if asking.cancelled():
            assert await asyncio.wait_for(other.turn(claim), 5) == Lead()


async def test_a_lost_connection_for_news_costs_no_answer(
    make_flights: MakeFlights, store: RedisRunStore, job: StageJob
) -> None:
    here, there = make_flights(), make_flights()
    claim = claim_in(job)
    assert await here.turn(claim) == Lead()
    waiting = ask(there, claim, 2)
    await asyncio.sleep(0.05)
    await store._redis.client_kill_filter(_type="pubsub")
    await land(store, job, claim)
    assert await kinds(waiting) == {"Settled": 2}


async def test_connections_for_news_that_keep_breaking_cost_no_answer(
    make_flights: MakeFlights, store: RedisRunStore, job: StageJob
) -> None:
    here, there = make_flights(), make_flights()
    claims = [claim_in(job) for _ in range(40)]
    raging = True

    async def rage() -> None:
        while raging:
            await store._redis.client_kill_filter(_type="pubsub")
            await asyncio.sleep(0.005)

    async def hand_over(claim: Claim) -> Lead | Shared | Settled:
        assert await here.turn(claim) == Lead()
        (waiting,) = ask(there, claim, 1)
        await asyncio.sleep(0.02)
        await here.leave(claim, landed=False)
        return await waiting

    raging_on = asyncio.create_task(rage())
    assert await asyncio.gather(*map(hand_over, claims)) == [Lead()] * 40
    raging = False
    await raging_on


@pytest.mark.parametrize("turns", range(0, 40, 4))
async def test_a_follower_that_is_cancelled_takes_no_other_with_it(
    make_flights: MakeFlights, job: StageJob, turns: int
) -> None:
    """Not even the one whose subscription the others rely on."""
    here, there = make_flights(), make_flights()
    claim = claim_in(job)
    assert await here.turn(claim) == Lead()
    first, second = ask(there, claim, 2)
    for _ in range(turns):
        await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0.01)
    await here.leave(claim, landed=False)
    assert await asyncio.wait_for(second, 5) == Lead()


async def test_a_claim_whose_reply_was_lost_is_granted_again(make_flights: MakeFlights, job: StageJob) -> None:
    """The client sends it a second time, and must not find a stranger in itself."""
    flights, other = make_flights(), make_flights()
    script = flights._lua["claim"]

    async def sent_twice(**command: Any) -> object:
        await script(**command)
        return await script(**command)

    flights._lua["claim"] = sent_twice  # type: ignore[assignment]
    claim = claim_in(job)
    assert await asyncio.wait_for(flights.turn(claim), 5) == Lead()
    (waiting,) = ask(other, claim, 1)
    await flights.leave(claim, landed=False)
    assert await waiting == Lead()


async def test_a_claim_that_could_not_be_ended_is_ended_later(make_flights: MakeFlights, job: StageJob) -> None:
    """The process lives on and leads others: its lease would protect what it has forgotten."""
    flights, other = make_flights(lease_s=0.06), make_flights()
    kept, claim = claim_in(job), claim_in(job)
    assert [await flights.turn(kept), await flights.turn(claim)] == [Lead()] * 2
    script = flights._lua["give_up"]

    async def away(**_: Any) -> None:
        raise StoreUnavailable("away")

    flights._lua["give_up"] = away  # type: ignore[assignment]
    await flights.leave(claim, landed=False)
    flights._lua["give_up"] = script
    assert await asyncio.wait_for(other.turn(claim), 5) == Lead()
    assert kept.key in flights._leading


async def test_whoever_asks_while_redis_is_away_is_told(job: StageJob) -> None:
    """All of a batch, also where one of them was cancelled."""
    redis = Redis.from_url("redis://127.0.0.1:1", retry=Retry(NoBackoff(), 0))
    flights = RedisFlights(redis, Ears(redis))
    turns = [*ask(flights, claim_in(job), 2), *ask(flights, claim_in(job), 1)]
    await asyncio.sleep(0)
    turns[0].cancel()
    cancelled, *told = await asyncio.gather(*turns, return_exceptions=True)
    assert isinstance(cancelled, asyncio.CancelledError)
    assert [type(err) for err in told] == [StoreUnavailable] * 2
    await flights.close()


async def test_nothing_runs_on_once_it_is_closed(make_flights: MakeFlights, job: StageJob) -> None:
    before = asyncio.all_tasks()
    here, there = make_flights(), make_flights()
    claim = claim_in(job)
    assert await here.turn(claim) == Lead()
    waiting = ask(there, claim, 3)
    await asyncio.sleep(0.02)
    last = ask(there, claim, 1)
    await asyncio.sleep(0)
    for flights in (here, there):
        await flights.close()
    for turn in (*waiting, *last):
        turn.cancel()
    await asyncio.wait((*waiting, *last))
    assert asyncio.all_tasks() == before


class _Failing:
    """A pub/sub connection that fails in the moment in which it is left."""

    async def __aenter__(self) -> _Failing:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def connect(self) -> None: ...

    async def subscribe(self, *_: str) -> None: ...

    async def get_message(self, **_: object) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ConnectionError


async def test_a_connection_that_fails_while_it_is_closed_holds_nobody_up() -> None:
    redis = Redis.from_url("redis://127.0.0.1:1")
    redis.pubsub = _Failing  # type: ignore[assignment,method-assign]
    ears = Ears(redis)
    async with ears.listening("news"):
        await asyncio.sleep(0)
    await asyncio.wait_for(ears.close(), 10)


LEADER = """
import asyncio, sys
from flair_ray.domain.ids import ItemId, RunId, StageName
from flair_ray.ports import Claim
from flair_ray.stores.ears import Ears
from flair_ray.stores.flights import RedisFlights
from flair_ray.stores.redis_store import connect, listener

async def lead(url, key, run_id):
    flights = RedisFlights(connect(url), Ears(listener(url)), lease_s=0.3)
    print(await flights.turn(Claim(key, RunId(run_id), "f", StageName.S1, ItemId("v"), False)), flush=True)
    await asyncio.sleep(60)

asyncio.run(lead(*sys.argv[1:]))
"""


async def test_a_process_that_is_killed_is_replaced_by_exactly_one(
    make_flights: MakeFlights, store: RedisRunStore, job: StageJob, redis_url: str
) -> None:
    claim = claim_in(job)
    leader = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LEADER, redis_url, claim.key, job.run_id, stdout=asyncio.subprocess.PIPE
    )
    assert leader.stdout
    try:
        assert await leader.stdout.readline() == b"Lead()\n"
        waiting = [turn for flights in (make_flights(), make_flights()) for turn in ask(flights, claim, 20)]
        await asyncio.sleep(0.05)
        assert not any(turn.done() for turn in waiting)
    finally:
        leader.kill()
        await leader.wait()
    await leader_among(waiting)
    await land(store, job, claim)
    assert await kinds(waiting) == {"Lead": 1, "Settled": 39}
