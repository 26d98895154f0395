"""What does a worker cost that is killed, the run that had it and the run beside it? See README.md."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from uuid import uuid4

from experiments.harness import Chart, Claim, Point, Series, of
from experiments.rig import Ground, Sizes, as_they_are, ground, order
from flair_ray.domain.calls import ChatRequest, Completion
from flair_ray.domain.ids import RunId, StageName
from flair_ray.domain.runs import Limits, RunStatus
from flair_ray.engine.driver import Driver
from flair_ray.engine.shard import Tools
from flair_ray.ports import Provider
from flair_ray.stores.permits import PERMIT_LEASE_S
from flair_ray.testing.mock_llm import MockOptions, MockServer

SIZES: Sizes = (24, 9, 20, 8)
SHORT_SIZES: Sizes = (4, 4, 20, 1)
MAPS = (StageName.S1, StageName.S3, StageName.S4, StageName.S6)
SHARES = (0.25, 0.5, 0.75)
IN_FLIGHT = 4
"""Every stage takes several waves, so that there is a middle to be killed in."""
WARM_S = 0.02
WHOLE, KILLED = "two runs, and nothing is killed", "a worker of one of them is killed"
CHART = Chart(KILLED, x="stage", y=("time lost, s",), by="killed at", unit="seconds that the killed run lost")


class Noting:
    """A provider that notes its process while a call is under way."""

    def __init__(self, inner: Provider, folder: str) -> None:
        self._inner, self._folder = inner, Path(folder)

    async def complete(self, request: ChatRequest, timeout_s: float) -> Completion:
        note = self._folder / f"{os.getpid()} {uuid4().hex}"
        note.touch()
        try:
            return await self._inner.complete(request, timeout_s)
        finally:
            note.unlink(missing_ok=True)

    async def check(self) -> None:
        await self._inner.check()

    async def close(self) -> None:
        await self._inner.close()


def noting(folder: str, tools: Tools) -> Tools:
    return replace(tools, provider_for=cache(lambda model: Noting(tools.provider_for(model), folder)))


@dataclass(frozen=True, slots=True)
class Rig:
    """Two runs at once: one on a model that counts what it is asked, its sibling on another account."""

    sizes: Sizes
    latency_s: float
    here: Ground
    driver: Driver
    sibling: Driver
    notes: Path

    async def pair(self, number: int, stage: StageName | None = None, share: float = 0.0) -> tuple[float, float, int]:
        """Seconds of the run and of its sibling, and how many calls were repeated; with a kill if a stage is named.

        On accounts of their own and after a quick pair: the kill before has left permits that nobody gives back, and
        one process too few.
        """
        options = MockOptions(latency_s=WARM_S, jitter=0.2)
        with MockServer(options) as mock, MockServer(options) as other:
            await self._both(number, mock, other, None, 0.0)
            for server in (mock, other):
                server.reset()
                server.configure(latency_s=self.latency_s)
            return await self._both(number, mock, other, stage, share)

    async def _both(
        self, number: int, mock: MockServer, other: MockServer, stage: StageName | None, share: float
    ) -> tuple[float, float, int]:
        for note in self.notes.iterdir():
            note.unlink()
        ours, theirs = [
            await self.here.submit(replace(order(server, self.sizes, number, Limits(IN_FLIGHT)), cache=False))
            for server in (mock, other)
        ]
        killing = [self._kill(ours, stage, share)] if stage else []
        took, beside, *_ = await asyncio.gather(_timed(self.driver, ours), _timed(self.sibling, theirs), *killing)
        snapshot = await self.here.opened.store.snapshot(ours)
        assert sum(counts.completed for counts in snapshot.stages.values()) >= sum(self.sizes)
        assert other.stats()["calls"] == sum(self.sizes)  # it was ours that was hit
        return took, beside, mock.stats()["calls"] - sum(self.sizes)

    async def _kill(self, run_id: RunId, stage: StageName, share: float) -> None:
        items = self.sizes[MAPS.index(stage)]
        while True:
            counts = (await self.here.opened.store.snapshot(run_id)).stages.get(stage)
            if counts and counts.completed >= max(1, min(items - 1, round(share * items))):
                break
            await asyncio.sleep(0.01)
        while not (calling := Counter(int(note.name.split()[0]) for note in self.notes.iterdir())):  # noqa: ASYNC110  # other processes' notes
            await asyncio.sleep(0.01)
        os.kill(calling.most_common(1)[0][0], signal.SIGKILL)


async def _timed(driver: Driver, run_id: RunId) -> float:
    begun = time.monotonic()
    assert await driver.drive(run_id) is RunStatus.COMPLETED
    return time.monotonic() - begun


def measure(short: bool) -> list[Point]:
    if short:
        return asyncio.run(_measure(SHORT_SIZES, 0.2, (StageName.S4,), (0.5,), 1))
    return asyncio.run(_measure(SIZES, 0.4, MAPS, SHARES, 3))


async def _measure(
    sizes: Sizes, latency_s: float, stages: Sequence[StageName], shares: Sequence[float], repetitions: int
) -> list[Point]:
    series = Series()
    with tempfile.TemporaryDirectory() as notes:
        async with ground(quorum=1.0, hedged_share=0.0) as here:
            driver = here.driver("victim", partial(noting, notes))
            rig = Rig(sizes, latency_s, here, driver, here.driver("sibling", as_they_are), Path(notes))
            for number in range(1, repetitions + 1):
                whole, beside, extra = await rig.pair(number)
                series.add(WHOLE, {"stage": "all"}, **{"run, s": whole, "sibling, s": beside, "calls repeated": extra})
                for stage in stages:
                    for share in shares:
                        took, sibling, extra = await rig.pair(number, stage, share)
                        figures = {
                            "run, s": took, "time lost, s": took - whole, "calls repeated": extra,
                            "sibling, s": sibling, "sibling, ratio": sibling / beside,
                        }  # fmt: skip
                        series.add(KILLED, {"stage": stage.value[:2], "killed at": f"{share:.0%}"}, **figures)
    return sorted(series.points(), key=lambda p: p.part == KILLED)


def claims(points: Sequence[Point]) -> list[Claim]:
    killed = of(points, KILLED)
    most = max(n for p in killed for n in p.all("calls repeated"))
    fewest = min(n for p in points for n in p.all("calls repeated"))
    ratios = sorted(p["sibling, ratio"] for p in killed)
    lost = sorted(p["time lost, s"] for p in killed)
    usual, worst = ratios[len(ratios) // 2], ratios[-1]
    return [
        Claim(
            f"What is repeated is what was in flight: {most:g} calls at most, of {IN_FLIGHT}; no other is.",
            fewest >= 0 and most <= IN_FLIGHT,
        ),
        Claim(
            f"A kill costs its run less than a permit's lease of {PERMIT_LEASE_S:g} s and a new worker: "
            f"{lost[len(lost) // 2]:.2g} s in the median case, {lost[-1]:.2g} s in the worst.",
            lost[-1] < PERMIT_LEASE_S + 2,
            timed=True,
        ),
        Claim(
            f"The run beside it is slowed by less than 5 %: it takes {usual:.3f} times as long in the median case, "
            f"{worst:.3f} in the worst.",
            worst < 1.05,
            timed=True,
        ),
    ]
