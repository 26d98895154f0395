"""Whatever desks do, in whatever order: the books of an account balance. The real script, at times that we choose."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from uuid import uuid4

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from flair_ray.ports import Ask, Limits, Outcome, Settlement
from flair_ray.stores.permits import ABANDONED_GRACE_S, PERMIT_LEASE_S, RedisPermits
from flair_ray.stores.redis_store import connect

RPM, TPM, MOST = 240, 6000, 5
LARGEST = 400
LEASE_MS, GRACE_MS = round(PERMIT_LEASE_S * 1000), round(ABANDONED_GRACE_S * 1000)
OUTCOMES: list[Outcome] = ["ok", "failed", "unused", "abandoned"]


class Books(RuleBasedStateMachine):
    """A model beside the script: who holds what until when, and what started when."""

    url = ""

    @initialize()
    def open(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.redis = connect(self.url)
        self.permits = RedisPermits(self.redis, uuid4().hex)
        self.now = 1_700_000_000_000
        self.count = 0
        self.held: dict[str, int] = {}
        self.ending: dict[str, int] = {}
        self.estimates: dict[str, int] = {}
        self.starts: dict[str, int] = {}

        limits = Limits(rpm=RPM, tpm=TPM, max_in_flight=MOST)
        self.loop.run_until_complete(self.permits.declare(limits))

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self.loop.run_until_complete(self.redis.aclose())
            self.loop.run_until_complete(self.redis.connection_pool.aclose())
            self.loop.close()

    def exchange(
        self, asks: list[Ask], settled: tuple[Settlement, ...] = (), renewed: tuple[str, ...] = ()
    ) -> set[str]:
        for alive in (self.held, self.ending):
            for permit in [p for p, until in alive.items() if until <= self.now]:
                del alive[permit]
        got = self.loop.run_until_complete(self.permits.exchange(asks, settled, renewed, now_ms=self.now))
        for permit in got.permit_ids:
            if permit not in self.held:
                self.starts[permit] = self.now
            self.held[permit] = self.now + LEASE_MS
        self.in_flight = got.in_flight
        return set(got.permit_ids)

    @rule(tokens=st.lists(st.integers(1, LARGEST), min_size=1, max_size=8))
    def ask(self, tokens: list[int]) -> None:
        asks = [Ask(f"p{self.count + i}", t) for i, t in enumerate(tokens)]
        self.count += len(asks)
        self.estimates |= {ask.permit_id: ask.tokens for ask in asks}
        self.exchange(asks)

    @rule(index=st.integers(0, 99))
    def ask_again(self, index: int) -> None:
        if held := sorted(p for p, until in self.held.items() if until > self.now):
            permit = held[index % len(held)]
            assert self.exchange([Ask(permit, self.estimates[permit])]) == {permit}

    @rule(
        index=st.integers(0, 99), outcome=st.sampled_from(OUTCOMES), used=st.integers(1, LARGEST), twice=st.booleans()
    )
    def settle(self, index: int, outcome: Outcome, used: int, twice: bool) -> None:
        if held := sorted(p for p, until in self.held.items() if until > self.now):
            permit = held[index % len(held)]
            del self.held[permit]
            if outcome == "abandoned":
                self.ending[permit] = self.now + GRACE_MS
            if outcome == "unused":
                del self.starts[permit]
            elif outcome == "ok":
                self.estimates[permit] = used
            for _ in range(1 + twice):
                self.exchange([], (Settlement(permit, outcome, used),))

    @rule(index=st.integers(0, 99))
    def renew(self, index: int) -> None:
        if held := sorted(p for p, until in self.held.items() if until > self.now):
            permit = held[index % len(held)]
            self.held[permit] = self.now + LEASE_MS
            self.exchange([], renewed=(permit,))

    @rule(ms=st.sampled_from([1, 20, 250, 1000, 5000]))
    def wait(self, ms: int) -> None:
        self.now += ms

    @rule()
    def all_die(self) -> None:
        self.now += LEASE_MS
        self.exchange([])
        assert self.in_flight == 0

    @invariant()
    def nothing_is_over_admitted(self) -> None:
        if not hasattr(self, "held"):
            return
        self.exchange([])
        assert self.in_flight == len(self.held) + len(self.ending) <= MOST
        starts = sorted((at, self.estimates[permit]) for permit, at in self.starts.items())
        for i, (first, _) in enumerate(starts):
            for j in range(i, len(starts)):
                seconds = (starts[j][0] - first) / 1000
                assert j - i + 1 <= RPM / 60 * (seconds + 0.5) + 1e-6
                tokens = sum(t for _, t in starts[i : j + 1])
                assert tokens <= TPM / 60 * (seconds + 10) + MOST * LARGEST


@pytest.fixture
def machine(redis_url: str) -> Iterator[type[Books]]:
    return type("BooksHere", (Books,), {"url": redis_url})


def test_the_books_balance(machine: type[Books]) -> None:
    run_state_machine_as_test(machine, settings=settings(max_examples=30, stateful_step_count=30, deadline=None))  # type: ignore[no-untyped-call]
