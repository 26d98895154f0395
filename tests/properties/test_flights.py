"""Whatever processes do, in whatever order: one live leader per question, and everybody who waits comes to an end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from flair_ray.domain.calls import CallTally
from flair_ray.domain.events import EventDraft, EventName
from flair_ray.domain.ids import ItemId, RunId, StageName
from flair_ray.domain.runs import ModelChoice
from flair_ray.domain.work import Done, Skipped
from flair_ray.ports import Claim, Lead, Shared, StageJob
from flair_ray.stores import keys
from flair_ray.stores.ears import Ears
from flair_ray.stores.flights import RedisFlights
from flair_ray.stores.redis_store import RedisRunStore, connect, listener

PROCESSES, ITEM = st.integers(0, 2), ItemId("v")
CLAIMS = st.integers(0, 2)
"""Two runs that share a question, and one that keeps it to itself."""
PROGRESS = EventDraft(EventName.S1_PROGRESS, {"video_id": "v"})

Turn = asyncio.Task[Any]


class Process:
    """A worker's flights, what it waits for and what it leads."""

    def __init__(self, url: str) -> None:
        self.redis = connect(url)
        self.flights = RedisFlights(self.redis, Ears(listener(url)))
        self.waiting: list[tuple[int, Turn]] = []
        self.leads: list[int] = []

    async def close(self) -> None:
        for _, turn in self.waiting:
            turn.cancel()
        await asyncio.gather(*(turn for _, turn in self.waiting), return_exceptions=True)
        await self.flights.close()
        await self.redis.aclose()
        await self.redis.connection_pool.aclose()


class Sharing(RuleBasedStateMachine):
    """Who leads what is known from what the turns came to, and compared with what may be."""

    url = ""

    @initialize()
    def open(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.run(self.opened())

    async def opened(self) -> None:
        self.store = RedisRunStore(connect(self.url), run_ttl_s=60)
        self.processes = [Process(self.url) for _ in range(3)]
        self.dead: list[Process] = []
        runs = [RunId(uuid4().hex) for _ in range(2)]
        for run_id in runs:
            await self.store._redis.hset(keys.run(run_id), mapping={"maxlen": 1000, "ttl": 60})
            await self.store._redis.expire(keys.run(run_id), 60)
        ours, own = uuid4().hex, uuid4().hex
        asked = ((ours, runs[0], True, "f"), (ours, runs[1], True, "f"), (own, runs[0], False, "g"))
        self.claims = [Claim(key, run_id, fp, StageName.S1, ITEM, shared) for key, run_id, shared, fp in asked]
        self.answers: dict[str, list[str]] = {ours: [], own: []}
        self.results: dict[int, str] = {}

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self.run(self.ended())
            self.run(self.closed())
            self.loop.close()

    async def ended(self) -> None:
        """Everybody who waits comes to an end, once those who lead have brought something."""
        async with asyncio.timeout(20):
            while any(p.waiting or p.leads for p in self.processes):
                for process in self.processes:
                    for n in list(process.leads):
                        await self.landed(process, n)
                await asyncio.sleep(0.005)
                self.look()

    async def closed(self) -> None:
        for process in (*self.processes, *self.dead):
            await process.close()
        await self.store.close()

    def run(self, what: Any) -> None:
        self.loop.run_until_complete(what)

    def look(self) -> None:
        """What the turns came to meanwhile."""
        for process in self.processes:
            for n, turn in [pair for pair in process.waiting if pair[1].done()]:
                process.waiting.remove((n, turn))
                match turn.result():
                    case Lead():
                        assert not self.answers[self.claims[n].key]
                        process.leads.append(n)
                    case Shared(answer):
                        assert self.claims[n].shared
                        assert answer in self.answers[self.claims[n].key]
                    case _:
                        assert n in self.results
        leads = [self.claims[n].key for process in self.processes for n in process.leads]
        assert len(leads) == len(set(leads))

    async def landed(self, process: Process, n: int) -> None:
        """The answer of a leader, dead or alive."""
        claim, answer = self.claims[n], uuid4().hex
        model = ModelChoice("offline", "m")
        job = StageJob(claim.run_id, "me", claim.fingerprint, claim.stage, None, (), 1, model, share=claim.shared)
        await self.store.record(job, ITEM, Done(f'"{answer}"'), PROGRESS, CallTally(calls=1), claim, answer)
        self.answers[claim.key].append(answer)
        self.results.setdefault(n, f'"{answer}"')
        process.leads.remove(n)
        await process.flights.leave(claim, landed=True)

    @rule(p=PROCESSES, n=CLAIMS, times=st.integers(1, 4), twice=st.booleans())
    def ask(self, p: int, n: int, times: int, twice: bool) -> None:
        """``twice``: the reply to the first sending is lost."""
        process = self.processes[p]
        script = process.flights._lua["claim"]

        async def sent_twice(**command: Any) -> Any:
            await script(**command)
            return await script(**command)

        async def begin() -> None:
            turns = [asyncio.create_task(process.flights.turn(self.claims[n])) for _ in range(times)]
            process.waiting += [(n, turn) for turn in turns]
            if twice:
                process.flights._lua["claim"] = sent_twice  # type: ignore[assignment]
                await asyncio.sleep(0.002)
                process.flights._lua["claim"] = script

        self.run(begin())

    @rule(ms=st.sampled_from([0, 1, 5]))
    def go_on(self, ms: int) -> None:
        self.run(asyncio.sleep(ms / 1000))

    @rule(p=PROCESSES)
    def land(self, p: int) -> None:
        self.look()
        if self.processes[p].leads:
            self.run(self.landed(self.processes[p], self.processes[p].leads[0]))

    @rule(p=PROCESSES, skip=st.booleans())
    def give_up(self, p: int, skip: bool) -> None:
        self.look()
        process = self.processes[p]
        if process.leads:
            n = process.leads.pop(0)
            claim = self.claims[n]
            job = StageJob(claim.run_id, "me", claim.fingerprint, claim.stage, None, (), 1, ModelChoice("offline", "m"))
            if skip:
                self.run(self.store.record(job, ITEM, Skipped("no"), PROGRESS, CallTally(), claim))
            self.run(process.flights.leave(claim, landed=False))

    @rule(p=PROCESSES, which=st.integers(0, 9))
    def stop_waiting(self, p: int, which: int) -> None:
        self.look()
        if waiting := self.processes[p].waiting:
            pair = waiting.pop(which % len(waiting))
            pair[1].cancel()

            async def stopped() -> None:
                await asyncio.wait({pair[1]})

            self.run(stopped())
            if not pair[1].cancelled():
                waiting.append(pair)

    @rule(p=PROCESSES, told=st.booleans())
    def kill(self, p: int, told: bool) -> None:
        """Nobody waits for its lease: somebody saw it die, or it has run out by now."""
        self.look()
        process = self.processes[p]
        if process.flights._renewing:
            process.flights._renewing.cancel()
        self.dead.append(process)
        self.processes[p] = Process(self.url)
        self.run(self.buried(process, told))

    async def buried(self, process: Process, told: bool) -> None:
        for _, turn in process.waiting:
            turn.cancel()
        await asyncio.gather(*(turn for _, turn in process.waiting), return_exceptions=True)
        process.waiting.clear()
        if told:
            await self.store.revoke(process.flights.owner)
        else:
            await self.store._redis.delete(keys.owner(process.flights.owner))
            await self.store._redis.client_kill_filter(_type="pubsub")

    @rule()
    def a_dead_ones_answer_arrives(self) -> None:
        self.look()
        if late := [process for process in self.dead if process.leads]:
            self.run(self.landed(late[0], late[0].leads[0]))

    @rule()
    def connections_break(self) -> None:
        self.run(self.store._redis.client_kill_filter(_type="pubsub"))

    @invariant()
    def nothing_is_led_twice_and_no_result_changes(self) -> None:
        if not hasattr(self, "processes"):
            return
        self.look()
        self.run(self.compared())

    async def compared(self) -> None:
        for n, claim in enumerate(self.claims):
            outcomes = await self.store.outcomes(claim.run_id, claim.fingerprint, claim.stage)
            stored = outcomes.get(ITEM)
            assert stored == Done(self.results[n]) if n in self.results else not isinstance(stored, Done)


@pytest.fixture
def machine(redis_url: str) -> Iterator[type[Sharing]]:
    return type("SharingHere", (Sharing,), {"url": redis_url})


def test_nothing_is_led_twice_and_everybody_ends(machine: type[Sharing]) -> None:
    run_state_machine_as_test(machine, settings=settings(max_examples=25, stateful_step_count=30, deadline=None))  # type: ignore[no-untyped-call]
