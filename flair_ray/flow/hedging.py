"""When a call is so late that a second one is worth its price: hedged requests.

    calls of a shard ──began──▶ in flight ──ended──▶ durations
                                   │  look(): past the usual, and few are
                                   └──────────▶ ``overdue`` is set, the caller sends the same question again

A call is overdue when it takes longer than 95 % of those that came back, and clearly longer than the typical one
(where every call takes the same second, half of them are "past the p95" by microseconds). Only outliers are hedged:
where many of those that began since are overdue too, the provider is slow everywhere by now, and a second call would
only slow it further. A stage has a budget of hedges, a tenth of its items.

Source: J. Dean, L. A. Barroso, "The Tail at Scale", CACM 56(2), 2013.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, insort
from dataclasses import dataclass

from flair_ray.ports import Clock

QUANTILE = 0.95
CLEARLY = 1.3
"""Times the median: less is no straggler, however narrow the spread."""
ENOUGH = 5
"""Durations it takes to know what is usual, and answers that a call which began last is compared with."""
OUTLIERS = 0.2
"""Share of calls that may be overdue before the provider counts as slow everywhere."""
EVERY_S = 0.1


@dataclass(eq=False, slots=True)
class Underway:
    """One call in flight."""

    began_s: float
    overdue: asyncio.Event


class Hedger:
    """Watches the calls of one shard of a stage, and spends at most ``budget`` hedges on them."""

    def __init__(self, budget: int, clock: Clock) -> None:
        self._left = budget
        self._clock = clock
        self._durations: list[float] = []
        self._answered_began_s: list[float] = []
        self._underway: set[Underway] = set()

    def began(self, overdue: asyncio.Event) -> Underway:
        """A call has been sent; ``overdue`` is set when it should be sent again."""
        call = Underway(self._clock.now_s(), overdue)
        self._underway.add(call)
        return call

    def ended(self, call: Underway, *, answered: bool) -> None:
        """Only answers tell what is usual: a refusal is quick, and a call we cut off is as long as we let it be."""
        self._underway.discard(call)
        if answered:
            insort(self._durations, self._clock.now_s() - call.began_s)
            insort(self._answered_began_s, call.began_s)

    def look(self) -> None:
        """Tell the calls that are overdue now, longest in flight first."""
        if not self._left or len(self._durations) < ENOUGH:
            return
        began_before_s = self._clock.now_s() - self._usual_s()
        late = sorted((c for c in self._underway if c.began_s < began_before_s), key=lambda c: c.began_s)
        news = [call for call in late if not call.overdue.is_set()]
        if not news or self._slow_since(news[0].began_s, late):
            return
        for call in news[: self._left]:
            call.overdue.set()
            self._left -= 1

    def _slow_since(self, began_s: float, late: list[Underway]) -> bool:
        """Whether too many of the calls that began then or later are late: those before knew another provider."""
        answered = len(self._durations) - bisect_left(self._answered_began_s, began_s)
        out = sum(call.began_s >= began_s for call in self._underway)
        slow = sum(call.began_s >= began_s for call in late)
        return slow > OUTLIERS * (max(answered, ENOUGH) + out)

    async def watch(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await self._clock.sleep(EVERY_S)
            self.look()

    def _usual_s(self) -> float:
        known = self._durations
        return max(known[min(len(known) - 1, int(QUANTILE * len(known)))], CLEARLY * known[len(known) // 2])
