"""Is a video that K people use at the same time put to the model once? See README.md."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

from experiments.harness import Chart, Claim, Point, Series
from experiments.rig import Ground, fresh_videos, ground, order
from flair_ray.actors.run_host import RunHost
from flair_ray.domain.events import TERMINAL, Event
from flair_ray.domain.ids import RunId, StageName
from flair_ray.domain.runs import Limits, RunStatus
from flair_ray.flow.clock import SystemClock
from flair_ray.testing.mock_llm import MockOptions, MockServer

VIDEOS = 10
SIZES = (VIDEOS, 1, 1, 1)
LATENCY_S = 0.5
FULL = {2: 5, 10: 5, 100: 3, 1000: 3}
SHORT = {2: 1, 20: 1}
"""Concurrent runs, and how often that is repeated."""
CHART = Chart("", x="runs", y=("S1 calls",), by="cache", unit=f"calls for {VIDEOS} videos", log="xy")


def measure(short: bool) -> list[Point]:
    return asyncio.run(_measure(SHORT if short else FULL))


async def _measure(repeated: dict[int, int]) -> list[Point]:
    series = Series()
    with MockServer(MockOptions(latency_s=LATENCY_S)) as mock:
        async with ground(quorum=1.0, hedged_share=0.0, run_ttl_s=3600) as here:
            host = RunHost(here.opened.store, here.opened.driver, SystemClock(), capacity=max(repeated))
            hosting = asyncio.create_task(host.run())
            for runs, repetitions in repeated.items():
                for repetition in range(repetitions):
                    await _case(series, here, mock, host, runs, repetition, cache=True)
                    if runs <= 10:
                        await _case(series, here, mock, host, runs, repetition, cache=False)
            hosting.cancel()
            await asyncio.wait({hosting})
    return sorted(series.points(), key=lambda p: str(p.case["cache"]), reverse=True)


async def _case(
    series: Series, here: Ground, mock: MockServer, host: RunHost, runs: int, number: int, *, cache: bool
) -> None:
    videos = fresh_videos(f"Of {runs}, take {number}, {cache}.", VIDEOS)
    mock.reset()
    begun = time.monotonic()
    ids = [
        await here.submit(replace(order(mock, SIZES, i, Limits(500), videos), cache=cache), hosted=True)
        for i in range(runs)
    ]
    host.nudge()
    for run_id in ids:
        await _ended(here, run_id)
    took = time.monotonic() - begun
    snapshots = [await here.opened.store.snapshot(run_id) for run_id in ids]
    s1 = [snapshot.stages[StageName.S1] for snapshot in snapshots]
    case = {"cache": "shared" if cache else "off", "runs": runs}
    calls = mock.stats()["by_stage"][StageName.S1.value]
    series.add(
        "", case, S1_calls=calls, calls_per_video=calls / VIDEOS, shared_answers=sum(c.tally.cache_hits for c in s1),
        results=sum(c.completed for c in s1), runs_lost=sum(s.status is not RunStatus.COMPLETED for s in snapshots),
        **{"all runs, s": took},
    )  # fmt: skip


async def _ended(here: Ground, run_id: RunId) -> None:
    last, news = "0", list[Event]()
    while not any(event.name in TERMINAL for event in news):
        news = await here.opened.store.events(run_id, last, block_ms=1000)
        last = news[-1].event_id if news else last


def claims(points: Sequence[Point]) -> list[Claim]:
    ours = [p for p in points if p.case["cache"] == "shared"]
    bare = [p for p in points if p not in ours]
    most = max(int(p.case["runs"]) for p in ours)
    return [
        Claim(
            f"{VIDEOS} videos are {VIDEOS} calls for every K up to {most:,} concurrent runs.",
            all(calls == VIDEOS for p in ours for calls in p.all("S1 calls")),
        ),
        Claim(
            "Every run has every result all the same, and none is lost.",
            all(n == int(p.case["runs"]) * VIDEOS for p in points for n in p.all("results"))
            and not any(n for p in points for n in p.all("runs lost")),
        ),
        Claim(
            "With the cache off each run pays for its own videos.",
            all(p["S1 calls"] == int(p.case["runs"]) * VIDEOS for p in bare),
        ),
    ]
