"""One leader per question, whoever asks, however many, whoever dies."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from uuid import uuid4

import pytest

from flair_ray.domain.calls import CallTally
from flair_ray.domain.events import EventDraft, EventName
from flair_ray.domain.ids import ItemId, RunId, StageName
from flair_ray.domain.runs import ModelChoice
from flair_ray.domain.work import Done, Skipped
from flair_ray.engine.order import Order
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

    async def counted(claims: list[Claim]) -> list[object]:
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
