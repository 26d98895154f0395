"""Whatever workers bring, in whatever order: counters, results and events agree; nothing is lost or counted twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import uuid4

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from flair_ray.config import Settings
from flair_ray.domain.calls import CallTally, Usage
from flair_ray.domain.events import EventDraft, EventName
from flair_ray.domain.ids import ItemId, RunId, StageName, new_run_id
from flair_ray.domain.runs import RunInputs, RunSpec
from flair_ray.domain.work import Done, Skipped
from flair_ray.engine.order import Order, first_event, prepare
from flair_ray.errors import RunNotFound
from flair_ray.ports import Claim, Recorded, StageJob
from flair_ray.stores import keys
from flair_ray.stores.redis_store import RedisRunStore, connect

T = TypeVar("T")
STAGES = (StageName.S1, StageName.S4)
ITEMS = tuple(ItemId(name) for name in "abcde")
WORKERS = 3
LEASE_MS = 60_000


@dataclass(frozen=True)
class Brought:
    """What a worker brings for an item."""

    worker: int
    stage: StageName
    item: ItemId
    done: bool
    claimed: bool
    calls: int
    tokens: int

    @property
    def tally(self) -> CallTally:
        return CallTally(calls=self.calls, retries=self.calls // 2, usage=Usage(self.tokens, 0, self.tokens // 3))


WORKER, STAGE, ITEM = st.integers(0, WORKERS - 1), st.sampled_from(STAGES), st.sampled_from(ITEMS)
BROUGHT = st.builds(
    Brought, WORKER, STAGE, ITEM, done=st.booleans(), claimed=st.booleans(), calls=st.integers(0, 3),
    tokens=st.integers(0, 50),
)  # fmt: skip


class Recording(RuleBasedStateMachine):
    """A model of what one run should have by now; runs that are gone are kept to be tried again."""

    url = ""
    asked: tuple[RunSpec, RunInputs]

    @initialize()
    def open(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.stores = [RedisRunStore(connect(self.url), run_ttl_s=60) for _ in range(WORKERS)]
        self.gone: list[RunId] = []
        self.begin()

    def begin(self) -> None:
        self.run_id, self.question = new_run_id(), uuid4().hex
        self.run(self.stores[0].create(self.run_id, *self.asked, first_event(self.run_id, self.asked[0])))
        self.outcomes: dict[StageName, dict[ItemId, Done | Skipped]] = {stage: {} for stage in STAGES}
        self.told: Counter[tuple[StageName, ItemId]] = Counter()
        self.tallies = {stage: CallTally() for stage in STAGES}
        self.answered: dict[str, set[str]] = {}
        self.leads: dict[str, int] = {}

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            for store in self.stores:
                self.run(store.close())
            self.loop.close()

    def run(self, what: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(what)

    def claim(self, stage: StageName, item: ItemId) -> Claim:
        """S1's answers are anybody's, S4's are the run's own: as in the product."""
        key = f"{self.question}-{stage.value}-{item}"
        return Claim(key, self.run_id, self.asked[0].fingerprint, stage, item, shared=stage is StageName.S1)

    async def record(self, run_id: RunId, brought: Brought, value: str) -> Recorded:
        spec = self.asked[0]
        job = StageJob(run_id, "me", spec.fingerprint, brought.stage, None, (), len(ITEMS), spec.model)
        name = EventName.VOTE_CAST if brought.done else EventName.ITEM_SKIPPED
        draft = EventDraft(name, {"stage": brought.stage.value, "item_id": brought.item})
        claim = self.claim(brought.stage, brought.item) if brought.claimed else None
        outcome = Done(value) if brought.done else Skipped(value)
        return await self.stores[brought.worker].record(
            job, brought.item, outcome, draft, brought.tally, claim, value if brought.done else None
        )

    @rule(all_at_once=st.lists(BROUGHT, min_size=1, max_size=8))
    def bring(self, all_at_once: list[Brought]) -> None:
        values = [f'"{uuid4().hex}"' for _ in all_at_once]
        pairs = list(zip(all_at_once, values, strict=True))

        async def together() -> list[Recorded]:
            return await asyncio.gather(*(self.record(self.run_id, brought, value) for brought, value in pairs))

        said = self.run(together())
        stored = {stage: self.run(self.read(stage)) for stage in STAGES}
        for stage, item in {(brought.stage, brought.item) for brought in all_at_once}:
            mine = [
                (b.done, value, s.first)
                for (b, value), s in zip(pairs, said, strict=True)
                if (b.stage, b.item) == (stage, item)
            ]
            self.settled(stage, item, mine, stored[stage].get(item))
        for brought, value in pairs:
            self.tallies[brought.stage] += brought.tally
            if brought.done and brought.claimed:
                key = self.claim(brought.stage, brought.item).key
                self.answered.setdefault(key, set()).add(value)
                self.leads.pop(key, None)

    def settled(
        self, stage: StageName, item: ItemId, brought: list[tuple[bool, str, bool]], now: Done | Skipped | None
    ) -> None:
        """One item's outcome, after several came at once: an answer beats a skip, else the first one stays."""
        before = self.outcomes[stage].get(item)
        skips = [(value, first) for done, value, first in brought if not done]
        answers = [(value, first) for done, value, first in brought if done]
        if isinstance(before, Done) or (before and not answers):
            assert now == before
            assert not any(first for *_, first in brought)
        elif answers:
            assert [Done(value) for value, first in answers if first] == [now]
            assert sum(first for _, first in skips) <= (before is None)
        else:
            assert [Skipped(value) for value, first in skips if first] == [now]
        assert now is not None
        self.outcomes[stage][item] = now
        self.told[stage, item] += sum(first for *_, first in brought)

    async def read(self, stage: StageName) -> dict[ItemId, Done | Skipped]:
        return await self.stores[0].outcomes(self.run_id, self.asked[0].fingerprint, stage)

    @rule(worker=WORKER, stage=STAGE, items=st.lists(ITEM, min_size=1, unique=True))
    def claims(self, worker: int, stage: StageName, items: list[ItemId]) -> None:
        for item in items:
            self.claimed(worker, stage, item)

    def claimed(self, worker: int, stage: StageName, item: ItemId) -> None:
        """Before a worker asks a model: it hears of a result, of an answer, of another's lead, or leads."""
        claim, store = self.claim(stage, item), self.stores[worker]
        owner = f"{self.run_id}-{worker}"
        results = keys.results(self.run_id, claim.fingerprint, stage)
        reply: Any = self.run(
            store._lua["claim"](
                keys=[keys.owner(owner), keys.claim(claim.key), results, keys.answer(claim.key)],
                args=[LEASE_MS, LEASE_MS, keys.owner(""), f"{owner}:1", item, int(claim.shared)],
            )
        )
        turn = reply[0]
        if isinstance(self.outcomes[stage].get(item), Done):
            assert turn == ["settled"]
        elif claim.shared and claim.key in self.answered:
            assert turn[1] in self.answered[claim.key]
        elif self.leads.setdefault(claim.key, worker) == worker:
            assert turn == ["lead"]
        else:
            assert turn[:2] == ["follow", f"{self.run_id}-{self.leads[claim.key]}"]

    @rule()
    def the_run_goes(self) -> None:
        """Its time is over, or a failover forgot it; a new one takes its place."""
        spec = self.asked[0]
        per_stage = [
            k for s in STAGES for k in (keys.results(self.run_id, spec.fingerprint, s), keys.tally(self.run_id, s))
        ]
        redis = self.stores[0]._redis
        self.run(self._deleted(redis, [keys.run(self.run_id), keys.events(self.run_id), *per_stage]))
        self.gone.append(self.run_id)
        self.begin()

    async def _deleted(self, redis: Any, names: list[str]) -> None:
        await redis.delete(*names)

    @rule(index=st.integers(0, 99), brought=BROUGHT)
    def bring_for_one_that_is_gone(self, index: int, brought: Brought) -> None:
        if self.gone:
            run_id = self.gone[index % len(self.gone)]
            with pytest.raises(RunNotFound):
                self.run(self.record(run_id, brought, '"late"'))
            assert self.run(self.left_of(run_id)) == []

    async def left_of(self, run_id: RunId) -> list[str]:
        """SCAN is for tests only."""
        return [key async for key in self.stores[0]._redis.scan_iter(match=f"flair:run:{run_id}*", count=1000)]

    @invariant()
    def all_of_it_agrees(self) -> None:
        if hasattr(self, "leads"):
            self.run(self.compared())

    async def compared(self) -> None:
        claims = {self.claim(stage, item).key for stage in STAGES for item in ITEMS}
        redis = self.stores[0]._redis
        assert {key for key in claims if await redis.exists(keys.claim(key))} == set(self.leads)
        kept = {key for key in self.answered if key.startswith(f"{self.question}-{StageName.S1.value}")}
        assert {key for key in claims if await redis.exists(keys.answer(key))} == kept
        snapshot, log = await self.stores[0].snapshot(self.run_id), await self.stores[0].events(self.run_id)
        for stage in STAGES:
            stored, counts = self.outcomes[stage], snapshot.stages[stage]
            assert await self.read(stage) == stored
            assert counts.completed == len(stored)
            assert counts.skipped == sum(isinstance(outcome, Skipped) for outcome in stored.values())
            assert counts.tally == self.tallies[stage]
            events = [event.data for event in log if event.data.get("stage") == stage.value]
            assert Counter((stage, data["item_id"]) for data in events) == {
                k: n for k, n in self.told.items() if k[0] == stage and n
            }
            told = [data["completed"] for data in events]
            assert told == sorted(told)  # type: ignore[type-var]
            assert set(told) == set(range(1, len(stored) + 1))


@pytest.fixture
def machine(redis_url: str, small_order: Order, settings: Settings) -> Iterator[type[Recording]]:
    return type("RecordingHere", (Recording,), {"url": redis_url, "asked": prepare(small_order, settings)})


def test_counters_results_and_events_agree(machine: type[Recording]) -> None:
    run_state_machine_as_test(machine, settings=settings(max_examples=40, stateful_step_count=30, deadline=None))  # type: ignore[no-untyped-call]
