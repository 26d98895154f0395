"""When a call is so late that a second one is worth its price: hedged requests.

    calls of a shard ──began──▶ in flight ──ended──▶ durations
                                   │  look(): past the usual, and few are
                                   └──────────▶ ``overdue`` is set, the caller sends the same question again

A call is overdue when it takes longer than 95 % of those that came back, and clearly longer than the typical one
(where every call takes the same second, half of them are "past the p95" by microseconds). Only outliers are hedged:
where many are overdue at once the provider is slow everywhere and a second call would only slow it further. A stage
has a budget of hedges, a tenth of its items.

Source: J. Dean, L. A. Barroso, "The Tail at Scale", CACM 56(2), 2013.
"""

from __future__ import annotations

import asyncio
from bisect import insort
from dataclasses import dataclass

from flair_ray.ports import Clock

QUANTILE = 0.95
CLEARLY = 1.3
"""Times the median: less is no straggler, however narrow the spread."""
ENOUGH = 5
"""Durations it takes to know what is usual."""
OUTLIERS = 0.2
"""Share of all calls so far that may be overdue before the provider counts as slow everywhere."""
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

    def look(self) -> None:
        """Tell the calls that are overdue now, longest in flight first."""
        if not self._left or len(self._durations) < ENOUGH:
            return
        began_before_s = self._clock.now_s() - self._usual_s()
        late = sorted((c for c in self._underway if c.began_s < began_before_s), key=lambda c: c.began_s)
        if len(late) > OUTLIERS * (len(self._durations) + len(self._underway)):
            return
        for call in [c for c in late if not c.overdue.is_set()][: self._left]:
            call.overdue.set()
            self._left -= 1

    async def watch(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await self._clock.sleep(EVERY_S)
            self.look()

    def _usual_s(self) -> float:
        known = self._durations
        return max(known[min(len(known) - 1, int(QUANTILE * len(known)))], CLEARLY * known[len(known) // 2])
