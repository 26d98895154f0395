"""How limits that nobody declared are found: the real script against a simulated server, in virtual time."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field
from itertools import count
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from flair_ray.domain.runs import Limits
from flair_ray.ports import Ask, Settlement
from flair_ray.stores.permits import RedisPermits

TICK_MS = 20
T0 = 1_700_000_000_000


@pytest.fixture
def permits(redis: Redis) -> RedisPermits:
    return RedisPermits(redis, uuid4().hex)


@dataclass
class Simulation:
    """A server that admits so many in flight and a bucket of one second's requests; callers who always want more."""

    permits: RedisPermits
    latency_s: float
    in_flight: int = 29
    per_s: float = 10.0
    now_ms: int = 0
    ok: int = 0
    refused: int = 0
    inside: int = 0
    bucket: float = 10.0
    events: list[tuple[float, int, str, str]] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    told: list[Settlement] = field(default_factory=list)
    rng: random.Random = field(default_factory=lambda: random.Random(7))  # noqa: S311
    number: count[int] = field(default_factory=count)
    filled_ms: float = 0

    async def run(self, seconds: float) -> tuple[int, int]:
        """Answers and refusals of so many seconds."""
        ok, refused, end_ms = self.ok, self.refused, self.now_ms + seconds * 1000
        while self.now_ms < end_ms:
            self._happen()
            self.waiting += [f"c{next(self.number)}" for _ in range(40 - len(self.waiting))]
            got = await self.permits.exchange([Ask(i, 10) for i in self.waiting], self.told, now_ms=T0 + self.now_ms)
            self.told = []
            self.waiting = [i for i in self.waiting if i not in got.permit_ids]
            for permit in got.permit_ids:
                self._at(self.now_ms + self.rng.uniform(1, 15), "arrive", permit)
            self.now_ms += TICK_MS
        return self.ok - ok, self.refused - refused

    def _at(self, when_ms: float, what: str, permit: str) -> None:
        heapq.heappush(self.events, (when_ms, next(self.number), what, permit))

    def _happen(self) -> None:
        while self.events and self.events[0][0] <= self.now_ms:
            when_ms, _, what, permit = heapq.heappop(self.events)
            if what == "arrive":
                self._arrive(when_ms, permit)
            else:
                self.inside -= 1
                self.ok += 1
                self.told.append(Settlement(permit, "ok", 10))

    def _arrive(self, when_ms: float, permit: str) -> None:
        size = max(1.0, self.per_s)
        self.bucket = min(size, self.bucket + (when_ms - self.filled_ms) / 1000 * self.per_s)
        self.filled_ms = when_ms
        if self.inside >= self.in_flight or self.bucket < 1:
            self.refused += 1
            self.told.append(Settlement(permit, "refused", 0, 100))
            return
        self.bucket -= 1
        self.inside += 1
        self._at(when_ms + self.latency_s * 1000 * self.rng.uniform(0.9, 1.1), "leave", permit)


def allowed(sim: Simulation, seconds: float) -> float:
    return seconds * min(sim.per_s, sim.in_flight / sim.latency_s)


LONG = [pytest.param(latency_s, marks=pytest.mark.long) for latency_s in (0.2, 5.0)]


@pytest.mark.parametrize("latency_s", [1.0, *LONG])
async def test_declared_limits_are_used_and_never_overrun(permits: RedisPermits, latency_s: float) -> None:
    await permits.declare(Limits(rpm=600, max_in_flight=29))
    sim = Simulation(permits, latency_s)
    await sim.run(10)
    ok, refused = await sim.run(60)
    assert sim.refused == refused == 0
    assert ok >= 0.95 * allowed(sim, 60)


async def test_limits_that_are_declared_later_hold(permits: RedisPermits) -> None:
    """An account that was used before anything was declared has felt its way to other limits."""
    sim = Simulation(permits, 1.0, in_flight=500, per_s=100.0)
    await sim.run(20)
    await permits.declare(Limits(rpm=60))  # less than the server would stand
    await sim.run(10)
    assert await sim.run(20) == (pytest.approx(20, abs=1), 0)


async def test_limits_that_are_declared_later_are_open_at_once(permits: RedisPermits) -> None:
    sim = Simulation(permits, 5.0, in_flight=100, per_s=20.0)
    await sim.run(2)
    await permits.declare(Limits(rpm=1200, max_in_flight=100))
    await sim.run(10)
    ok, refused = await sim.run(20)
    assert refused == 0
    assert ok >= 0.95 * allowed(sim, 20)


@pytest.mark.parametrize("latency_s", [1.0, *LONG])
async def test_unknown_limits_are_found(permits: RedisPermits, latency_s: float) -> None:
    sim = Simulation(permits, latency_s)
    await sim.run(30)
    ok, refused = await sim.run(120)
    assert refused <= 0.01 * (ok + refused)
    assert ok >= 0.95 * allowed(sim, 120)


@pytest.mark.parametrize("latency_s", [0.2, LONG[-1]])
@pytest.mark.parametrize("declared", [True, False])
async def test_a_limit_that_changes_is_found_again(permits: RedisPermits, latency_s: float, declared: bool) -> None:
    """Halved, within ten seconds; raised, within a minute or so. A long call hides for long what it was cut for."""
    if declared:
        await permits.declare(Limits(rpm=600, max_in_flight=29))
    sim = Simulation(permits, latency_s)
    await sim.run(60)
    sim.in_flight, sim.per_s = 14, 5.0
    await sim.run(10)
    ok, refused = await sim.run(60)
    assert refused <= 0.02 * (ok + refused)
    assert ok >= 0.8 * allowed(sim, 60)
    sim.in_flight, sim.per_s = 29, 10.0
    await sim.run(75)
    ok, refused = await sim.run(30)
    assert ok >= 0.9 * allowed(sim, 30)
