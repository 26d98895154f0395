"""Whatever drivers do, in whatever order: one may write, a stale one changes nothing, what is decided stays so."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from flair_ray.config import Settings
from flair_ray.domain.events import TERMINAL, EventDraft, EventName
from flair_ray.domain.ids import ItemId, StageName, new_run_id
from flair_ray.domain.runs import RunInputs, RunSpec, RunStatus
from flair_ray.engine.order import Order, first_event, prepare
from flair_ray.errors import LeaseLost, RunConflict
from flair_ray.ports import Lease
from flair_ray.stores import keys
from flair_ray.stores.redis_store import RedisRunStore, connect

T = TypeVar("T")
TTL_S = 60.0
DRIVERS, STAGES = st.integers(0, 99), st.sampled_from([StageName.S1, StageName.S2, StageName.S3])
ENDS = {
    RunStatus.COMPLETED: EventName.PIPELINE_COMPLETE,
    RunStatus.FAILED: EventName.PIPELINE_ERROR,
    RunStatus.CANCELLED: EventName.PIPELINE_CANCELLED,
}
ENDED_AS = {name.value: status for status, name in ENDS.items()}


@dataclass
class Hand:
    """A driver: its lease, and how far it has come. It may go on for as long as it does not hear that it is stale."""

    lease: Lease
    opened: bool
    reopened: bool = False
    ended: bool = False


class Driving(RuleBasedStateMachine):
    """A model beside the store: which token is the newest, who holds the lease, what is decided."""

    url = ""
    asked: tuple[RunSpec, RunInputs]

    @initialize()
    def open(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.store = RedisRunStore(connect(self.url), run_ttl_s=60)
        self.run_id = new_run_id()
        self.run(self.store.create(self.run_id, *self.asked, first_event(self.run_id, self.asked[0])))
        self.hands: list[Hand] = []
        self.newest, self.held = 0, 0
        self.status, self.wished = RunStatus.PENDING, False
        self.totals: dict[StageName, int] = {}
        self.frozen: dict[StageName, tuple[ItemId, ...]] = {}
        self.ends: list[RunStatus] = []

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self.run(self.store.close())
            self.loop.close()

    def run(self, what: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(what)

    async def everything(self) -> tuple[object, ...]:
        """The run's hash, its log and who holds its lease, as they are stored."""
        redis: Any = self.store._redis
        return (
            await redis.hgetall(keys.run(self.run_id)),
            await redis.xrange(keys.events(self.run_id)),
            await redis.get(keys.lease(self.run_id)),
        )

    def hand(self, index: int) -> Hand | None:
        return self.hands[index % len(self.hands)] if self.hands else None

    def wrote(self, hand: Hand, what: Coroutine[Any, Any, T]) -> T | None:
        """What the write came to; None from a driver that is stale, which leaves no trace."""
        if hand.lease.token == self.newest:
            return self.run(what)
        before = self.run(self.everything())
        with pytest.raises(LeaseLost):
            self.run(what)
        assert self.run(self.everything()) == before
        return None

    @rule(rivals=st.integers(1, 3))
    def acquire(self, rivals: int) -> None:
        """Several at once."""

        async def race() -> list[Lease | BaseException]:
            asking = (self.store.acquire(self.run_id, TTL_S) for _ in range(rivals))
            return await asyncio.gather(*asking, return_exceptions=True)

        got = self.run(race())
        won = [lease for lease in got if isinstance(lease, Lease)]
        assert all(isinstance(other, RunConflict) for other in got if other not in won)
        assert len(won) == (0 if self.held else 1)
        for lease in won:
            assert lease.token > self.newest
            self.newest = self.held = lease.token
            self.hands.append(Hand(lease, opened=self.status is RunStatus.PENDING))

    @rule()
    def the_lease_expires(self) -> None:
        self.run(self.delete(keys.lease(self.run_id)))
        self.held = 0

    async def delete(self, key: str) -> None:
        await self.store._redis.delete(key)

    @rule(index=DRIVERS)
    def renew(self, index: int) -> None:
        if hand := self.hand(index):
            told = self.wrote(hand, self.store.renew(hand.lease, TTL_S))
            if told is not None:
                assert told is self.wished
                self.held = self.newest

    @rule(index=DRIVERS)
    def release(self, index: int) -> None:
        if hand := self.hand(index):
            self.run(self.store.release(hand.lease))
            if self.held == hand.lease.token:
                self.held = 0

    @rule(index=DRIVERS)
    def reopen(self, index: int) -> None:
        """What a driver begins with, unless the run was waiting; and once more, at any time."""
        hand = self.hand(index)
        if not hand or self.status is RunStatus.COMPLETED:
            return
        if not hand.opened or hand.reopened or hand.lease.token != self.newest:
            recovered = EventDraft(EventName.PIPELINE_RECOVERED, {"run_id": self.run_id})
            if self.wrote(hand, self._done(self.store.reopen(hand.lease, recovered))) and not hand.reopened:
                hand.opened = hand.reopened = True
                self.status = RunStatus.RUNNING

    @rule(index=DRIVERS, stage=STAGES, total=st.integers(1, 9))
    def begin(self, index: int, stage: StageName, total: int) -> None:
        if (hand := self.working(index)) and self.wrote(
            hand, self._done(self.store.begin_stage(hand.lease, stage, total))
        ):
            if stage not in self.totals:
                self.status = RunStatus.RUNNING
            self.totals.setdefault(stage, total)

    @rule(index=DRIVERS, stage=STAGES, used=st.lists(st.sampled_from("abc"), unique=True))
    def freeze(self, index: int, stage: StageName, used: list[str]) -> None:
        if hand := self.working(index):
            ids = tuple(ItemId(item) for item in used)
            draft = EventDraft(EventName.STAGE_COMPLETED, {"stage": stage.value})
            stored = self.wrote(hand, self.store.complete_stage(hand.lease, stage, ids, [draft]))
            if stored is not None:
                assert stored == self.frozen.setdefault(stage, ids)

    @rule(index=DRIVERS, status=st.sampled_from(list(ENDS)), times=st.integers(1, 2))
    def finish(self, index: int, status: RunStatus, times: int) -> None:
        """Twice: the first reply was lost."""
        if hand := self.working(index):
            for _ in range(times):
                if self.wrote(hand, self._done(self._finish(hand, status))) and not hand.ended:
                    hand.ended, self.status, self.wished = True, status, False
                    self.ends.append(status)

    @rule()
    def cancel(self) -> None:
        if self.status in (RunStatus.COMPLETED, RunStatus.FAILED):
            with pytest.raises(RunConflict):
                self.run(self.store.request_cancel(self.run_id))
            return
        self.run(self.store.request_cancel(self.run_id))
        if self.status is RunStatus.CANCELLED:
            return
        self.wished = True
        if not self.held:  # whoever drove it is stale from now on
            self.newest += 1
            self.status, self.wished = RunStatus.CANCELLED, False
            self.ends.append(RunStatus.CANCELLED)

    def working(self, index: int) -> Hand | None:
        """A driver in the midst of a run, or one that is stale and does not know it."""
        hand = self.hand(index)
        stale = hand and hand.lease.token != self.newest
        return hand if hand and (stale or (hand.opened and not hand.ended)) else None

    async def _finish(self, hand: Hand, status: RunStatus) -> None:
        await self.store.finish(hand.lease, status, EventDraft(ENDS[status], {"run_id": self.run_id}))

    async def _done(self, what: Coroutine[Any, Any, None]) -> bool:
        await what
        return True

    @rule(stage=STAGES)
    def all_try(self, stage: StageName) -> None:
        """At most one of all who ever drove the run can write, and it is the newest."""

        async def repeated(hand: Hand) -> bool:
            """What this stage has frozen, once more: it changes nothing, and only who may write hears of it."""
            try:
                await self.store.complete_stage(hand.lease, stage, [], [])
            except LeaseLost:
                return False
            return True

        if stage in self.frozen:
            allowed = [hand.lease.token for hand in self.hands if self.run(repeated(hand))]
            assert allowed in ([], [self.newest])

    @invariant()
    def the_store_agrees(self) -> None:
        if hasattr(self, "ends"):
            self.run(self.compared())

    async def compared(self) -> None:
        found, log = await self.store.snapshot(self.run_id), await self.store.events(self.run_id)
        fence = await self.store._redis.hget(keys.run(self.run_id), "fence")
        assert int(fence or 0) == self.newest
        assert found.status is self.status
        assert dict(await self.store.frozen(self.run_id)) == self.frozen
        assert {s: c.total for s, c in found.stages.items() if c.total} == self.totals
        for name, told in ((EventName.STAGE_STARTED, self.totals), (EventName.STAGE_COMPLETED, self.frozen)):
            assert sorted(str(e.data["stage"]) for e in log if e.name == name) == sorted(s.value for s in told)
        assert [ENDED_AS[e.name] for e in log if e.name in TERMINAL] == self.ends
        if self.status.terminal:
            assert self.ends[-1] is self.status
        assert (found.finished_at_ms is not None) == self.status.terminal


@pytest.fixture
def machine(redis_url: str, small_order: Order, settings: Settings) -> Iterator[type[Driving]]:
    return type("DrivingHere", (Driving,), {"url": redis_url, "asked": prepare(small_order, settings)})


def test_one_may_write_and_what_was_decided_stays(machine: type[Driving]) -> None:
    run_state_machine_as_test(machine, settings=settings(max_examples=40, stateful_step_count=40, deadline=None))  # type: ignore[no-untyped-call]
