"""One pass of an executor over a stage's open items, watched until it is done enough.

    items ──▶ executor ──▶ deliveries ──▶ all in ─────────────────────▶ over
                                     └──▶ the quorum, then its grace ──▶ over; what is late still comes

The last few of many calls take far longer than the rest, and a vote of 42 does not hang on two of them. When enough
items have their result the others get a short grace, as long as the typical call takes twice, and then the stage
moves on. The executor is left running: what comes late is paid for, and recorded like any other.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import aclosing
from statistics import median

from flair_ray.ports import Clock, Delivered, Executor, Lost, StageJob

LEAST_GRACE_S, MOST_GRACE_S = 1.0, 15.0
UNKNOWN_GRACE_S = 5.0
"""Where no item has come back yet: a run that is resumed with its quorum there already."""
GRACE_CALLS = 2.0
"""Times what a typical item took."""


def grace_s(took_s: list[float]) -> float:
    """How long to wait for the rest once the quorum is there."""
    if not took_s:
        return UNKNOWN_GRACE_S
    return min(MOST_GRACE_S, max(LEAST_GRACE_S, GRACE_CALLS * median(took_s)))


def needed(total: int, quorum: float) -> int:
    """Results a stage of ``total`` items may move on with. Below twenty items at 95 % that is all of them."""
    return math.ceil(quorum * total - 1e-9)


class Round:
    """Starts at once; ``over`` waits, and leaving its context ends what is still running."""

    def __init__(self, executor: Executor, job: StageJob, missing: int, clock: Clock) -> None:
        """``missing``: results this round has to bring before it may be left to itself."""
        self._executor, self._job, self._clock = executor, job, clock
        self._missing = missing
        self._enough = asyncio.Event()
        if missing <= 0:
            self._enough.set()
        self._took_s: list[float] = []
        self.lost: list[Lost] = []
        self._pump = asyncio.create_task(self._deliver())

    async def over(self) -> bool:
        """Whether every item has been tried; False where late ones are still to come. Raises the executor's error."""
        enough = asyncio.create_task(self._enough.wait())
        try:
            await asyncio.wait({self._pump, enough}, return_when=asyncio.FIRST_COMPLETED)
            if not self._pump.done():
                await self._grace()
        finally:
            enough.cancel()
        if self._pump.done():
            self._pump.result()
        return self._pump.done()

    async def __aenter__(self) -> Round:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Cancel what is still running. What it had to say no longer matters."""
        self._pump.cancel()
        await asyncio.gather(self._pump, return_exceptions=True)

    async def _grace(self) -> None:
        grace = asyncio.ensure_future(self._clock.sleep(grace_s(self._took_s)))
        try:
            await asyncio.wait({self._pump, grace}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            grace.cancel()

    async def _deliver(self) -> None:
        async with aclosing(self._executor.map(self._job)) as deliveries:
            async for delivery in deliveries:
                if isinstance(delivery, Lost):
                    self.lost.append(delivery)
                elif delivery.ok:
                    self._take(delivery)

    def _take(self, delivery: Delivered) -> None:
        self._missing -= 1
        if delivery.took_s:
            self._took_s.append(delivery.took_s)
        if self._missing <= 0:
            self._enough.set()
