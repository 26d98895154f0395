"""What do a quorum and hedges save when one call in twenty is slow, and what do they cost? See README.md."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from experiments.harness import Chart, Claim, Point, Series, the
from experiments.rig import DEFAULT, SMALL, Ground, Sizes, ground, order
from flair_ray.domain.runs import Limits
from flair_ray.engine.driver import Driver
from flair_ray.flow.clock import SystemClock
from flair_ray.testing.mock_llm import MockOptions, MockServer
from flair_ray.testing.mock_options import Tail
from flair_ray.wiring import driver_settings

WAYS: Mapping[str, Mapping[str, float]] = {
    "all waited for": {"quorum": 1.0, "hedged_share": 0.0},
    "quorum": {"hedged_share": 0.0},
    "hedges": {"quorum": 1.0},
    "quorum and hedges": {},
}
TAILS, SLOW_SHARE = (3, 10, 20), 0.05
IN_FLIGHT = 200
CHART = Chart("", x="slow calls take", y=("share of waiting for all",), by="way", unit="time ÷ time of waiting for all")


def measure(short: bool) -> list[Point]:
    if short:
        return asyncio.run(measured((10,), (40, 4, 40, 2), 0.2, 1))
    return asyncio.run(measured(TAILS, DEFAULT, 0.3, 5))


async def measured(tails: Sequence[int], sizes: Sizes, latency_s: float, repetitions: int) -> list[Point]:
    series = Series()
    options = MockOptions(latency_s=latency_s, max_in_flight=IN_FLIGHT)
    async with ground() as here:
        with MockServer(options) as other:  # warm
            await here.many(other, SMALL, 2, Limits(IN_FLIGHT), 999)
        for tail in tails:
            for repetition in range(min(3, repetitions) if tail > 3 else repetitions):  # these rows take long
                slow = options.model_copy(update={"tail": Tail(SLOW_SHARE, tail), "seed": repetition})
                with MockServer(slow) as mock:
                    await _all_ways(series, here, mock, sizes, tail, repetition)
    return series.points()


async def _all_ways(series: Series, here: Ground, mock: MockServer, sizes: Sizes, tail: int, repetition: int) -> None:
    waited = 0.0
    for number, (way, chosen) in enumerate(WAYS.items()):
        mock.reset()  # and with it the luck: the n-th call of each way meets the same
        wanted = order(mock, sizes, 1000 * tail + 10 * repetition + number, Limits(IN_FLIGHT))
        run_id = await here.submit(wanted)
        await _driver(here, chosen).drive(run_id)
        seen = await here.opened.store.snapshot(run_id)
        took = sum(c.elapsed_s or 0.0 for c in seen.stages.values())
        waited = waited or took
        stats, tally = mock.stats(), seen.tally
        figures = {
            "run, s": took, "share of waiting for all": took / waited, "calls": stats["calls"],
            "second calls, %": 100 * tally.hedges / sum(sizes), "cut off": stats["abandoned"],
        }  # fmt: skip
        series.add("", {"slow calls take": f"{tail} ×", "way": way}, **figures)


def _driver(here: Ground, chosen: Mapping[str, float]) -> Driver:
    """The studio's own, with other rules about who is waited for."""
    ours = here.opened.driver
    rules = driver_settings(here.settings.model_copy(update=dict(chosen)))
    return Driver(here.opened.store, ours._executor, rules, SystemClock(), ours._panel)


def claims(points: Sequence[Point]) -> list[Claim]:
    tails = list(dict.fromkeys(str(p.case["slow calls take"]) for p in points))
    found = []
    for tail in tails:
        shares = {
            way: the(points, "", way=way, **{"slow calls take": tail})["share of waiting for all"] for way in WAYS
        }
        told = ", ".join(f"{way} {share:.2f}" for way, share in list(shares.items())[1:])
        held = shares["quorum and hedges"] < 1 if tail != "3 ×" else shares["quorum and hedges"] < 1.2
        verb = "no slower than" if tail == "3 ×" else "faster than"
        found.append(Claim(f"Tails of {tail}: both together are {verb} waiting for all ({told}).", held, timed=True))
    most = max(figure for p in points for figure in p.all("second calls, %"))
    return [*found, Claim(f"Second calls stay within a tenth of the items: {most:.3g} % at most.", most <= 10)]
