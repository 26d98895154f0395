"""Which calls are sent twice: outliers, few of them, and only once it is known what is usual."""

from __future__ import annotations

import asyncio

import pytest

from flair_ray.flow.hedging import ENOUGH, Hedger, Underway


class Clock:
    now = 100.0

    def now_s(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


class Calls:
    """Calls of a shard: some have come back, some are out."""

    def __init__(self, budget: int, came_back_s: list[float]) -> None:
        self.clock = Clock()
        self.hedger = Hedger(budget, self.clock)
        for took_s in came_back_s:
            call = self.hedger.began(asyncio.Event())
            self.clock.now += took_s
            self.hedger.ended(call, answered=True)

    def out(self, count: int, beside: int = 0) -> list[Underway]:
        """Calls that begin now; so many beside them come back after a second."""
        out, quick = [[self.hedger.began(asyncio.Event()) for _ in range(some)] for some in (count, beside)]
        self.clock.now += beside and 1.0
        for call in quick:
            self.hedger.ended(call, answered=True)
        return out

    def hedged(self, calls: list[Underway], after_s: float) -> int:
        self.clock.now += after_s
        self.hedger.look()
        return sum(call.overdue.is_set() for call in calls)


def test_an_outlier_is_hedged_once_it_is_past_the_usual() -> None:
    calls = Calls(5, [1.0] * 40)
    out = calls.out(2, beside=27)
    assert calls.hedged(out, 0.25) == 0  # past the p95, not clearly past the median
    assert calls.hedged(out, 0.1) == 2
    assert calls.hedged(out, 5.0) == 2


def test_a_wide_spread_is_usual_too() -> None:
    calls = Calls(5, [1.0] * 30 + [3.0] * 10)
    assert calls.hedged(out := calls.out(1), 2.9) == 0
    assert calls.hedged(out, 0.2) == 1


def test_the_budget_holds() -> None:
    calls = Calls(2, [1.0] * 60)
    assert calls.hedged(calls.out(6, beside=40), 10.0) == 2
    assert calls.hedged(calls.out(6, beside=40), 10.0) == 0


def test_the_longest_in_flight_comes_first() -> None:
    calls = Calls(1, [1.0] * 40)
    (old,) = calls.out(1, beside=20)
    (new,) = calls.out(1)
    assert calls.hedged([old, new], 5.0) == 1
    assert old.overdue.is_set()


@pytest.mark.parametrize(("came_back", "out"), [(10, 5), (0, 29), (ENOUGH - 1, 1), (400, 40)])
def test_a_provider_that_is_slow_everywhere_is_left_alone(came_back: int, out: int) -> None:
    """Then a second call is no faster than the first, and one more for a server that is behind."""
    calls = Calls(5, [1.0] * came_back)
    assert calls.hedged(calls.out(out), 60.0) == 0


def test_one_that_is_late_from_before_hides_no_slowness() -> None:
    calls = Calls(50, [1.0] * 40)
    assert calls.hedged(calls.out(1, beside=20), 5.0) == 1
    assert calls.hedged(calls.out(40), 60.0) == 0


def test_the_last_of_a_stage_has_a_second_call_too() -> None:
    assert (calls := Calls(5, [1.0] * 40)).hedged(calls.out(1), 60.0) == 1


def test_a_call_that_failed_tells_nothing_of_what_is_usual() -> None:
    calls = Calls(5, [])
    for call in calls.out(20):
        calls.hedger.ended(call, answered=False)
    assert calls.hedged(calls.out(1), 60.0) == 0
