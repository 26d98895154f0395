"""Do many tenants on one account keep within its limits, share it evenly, and use it up? See README.md."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from experiments.harness import Chart, Claim, Point, Series, of, the
from experiments.rig import SMALL, Ground, after_a_move, ground
from flair_ray.domain.runs import Limits
from flair_ray.engine.driver import Driver
from flair_ray.engine.shard import Tools
from flair_ray.flow.in_flight import InFlightLimiter
from flair_ray.testing.mock_llm import MockOptions, MockServer

PER_MINUTE, AT_ONCE = 3_000, 29
PER_S = PER_MINUTE / 60
MODEL = MockOptions(latency_s=0.5, max_in_flight=AT_ONCE, rpm=PER_MINUTE)
SLOW = 50
TENANTS, MOVED = "tenants on one limit", "the limits fall to half while runs are under way"
CHART = Chart(TENANTS, x="tenants", y=("refused, %",), by="limiter", unit="429s, % of all requests", log="x")


@dataclass(frozen=True, slots=True)
class Form:
    """How large an execution is."""

    tenants: Sequence[int]
    ways: Sequence[str]
    repetitions: int
    crowd: int
    """Tenants while the limits move."""
    windows: tuple[float, float]
    """Seconds after the change: until then it is being learned, from then on it counts."""
    moves: int
    """Repetitions of that, and of cases with SLOW tenants or more."""


FULL = Form((1, 10, 50, 100), ("declared", "found", "none"), 5, 60, (6.0, 6.0), 3)
SHORT = Form((36,), ("declared", "none"), 1, 36, (2.0, 3.0), 1)


def unlimited(tools: Tools) -> Tools:
    """Everybody calls as they like, and waits when refused."""
    return replace(tools, limiter_for=lambda job: InFlightLimiter(100_000))


def measure(short: bool) -> list[Point]:
    return asyncio.run(_measure(SHORT if short else FULL))


async def _measure(form: Form) -> list[Point]:
    series = Series()
    async with ground(hedged_share=0) as here:
        drivers = dict.fromkeys(form.ways, here.opened.driver)
        drivers["none"] = here.driver("unlimited", unlimited)
        with MockServer() as other:  # warm, on another account
            await here.many(other, SMALL, max(form.tenants), Limits(), 1000)
            await here.many(other, SMALL, 2, Limits(), 2000, drivers["none"])
        for repetition in range(form.repetitions):
            for tenants in form.tenants:
                if tenants >= SLOW and repetition >= form.moves:
                    continue
                for way in form.ways:
                    await _shared(series, here, drivers[way], way, tenants)
        for _ in range(form.moves):
            for way in form.ways:
                await _moved(series, here, drivers[way], way, form)
    return sorted(series.points(), key=lambda p: (p.part == MOVED, form.ways.index(str(p.case["limiter"]))))


def _limits(way: str) -> Limits:
    return Limits(AT_ONCE, PER_MINUTE) if way == "declared" else Limits()


async def _shared(series: Series, here: Ground, driver: Driver, way: str, tenants: int) -> None:
    """A server of its own each time: what was learned of a limit is kept for the account."""
    with MockServer(MODEL) as mock:
        wall, took, lost = await here.many(mock, SMALL, tenants, _limits(way), 0, driver)
        stats = mock.stats()
    answered, refused = stats["ok"], stats["rejected_429"]
    fairness = sum(took) ** 2 / (len(took) * sum(t * t for t in took))
    figures = {
        "answered": answered, "429s": refused, "refused, %": 100 * refused / (answered + refused), "runs lost": lost,
        "all runs, s": wall, "of the limit used": answered / wall / PER_S, "fairness": fairness,
    }  # fmt: skip
    series.add(TENANTS, {"limiter": way, "tenants": tenants}, **figures)


async def _moved(series: Series, here: Ground, driver: Driver, way: str, form: Form) -> None:
    with MockServer(MODEL) as mock:
        working = here.many(mock, SMALL, form.crowd, _limits(way), 0, driver)
        now = {"max_in_flight": (AT_ONCE + 1) // 2, "rpm": PER_MINUTE // 2}
        learning, answered, refused = await after_a_move(mock, working, form.crowd, now, form.windows)
    figures = {
        "429s while it is learned": learning,
        "refused later, %": 100 * refused / max(1, answered + refused),
        "of the new limit used later": answered / form.windows[1] / (PER_S / 2),
    }
    series.add(MOVED, {"limiter": way}, **figures)


def claims(points: Sequence[Point]) -> list[Claim]:
    most = max(int(p.case["tenants"]) for p in of(points, TENANTS))
    kept = the(points, TENANTS, limiter="declared", tenants=most)
    free = the(points, TENANTS, limiter="none", tenants=most)
    declared = [p for p in of(points, TENANTS) if p.case["limiter"] == "declared"]
    moved = {str(p.case["limiter"]): p for p in of(points, MOVED)}
    return [
        Claim(
            "With declared limits nothing is refused, however many tenants.",
            not any(sum(p.all("429s")) for p in declared),
        ),
        Claim(
            f"Without the limiter {most} tenants have {free['refused, %']:.3g} % of their requests refused.",
            free["429s"] > 0,
        ),
        Claim(
            "No run is lost, with the limiter or without.",
            not any(sum(p.all("runs lost")) for p in of(points, TENANTS)),
        ),
        Claim(
            f"{most} tenants use {kept['of the limit used']:.0%} of what the account stands.",
            kept["of the limit used"] > (0.6 if most >= 50 else 0.3),
            timed=True,
        ),
        Claim(
            f"They share it evenly: the least of Jain's indices is {min(p['fairness'] for p in declared):.2f}.",
            all(p["fairness"] > 0.9 for p in declared),
            timed=True,
        ),
        Claim(
            f"When the limits fall to half, {moved['declared']['refused later, %']:.3g} % are refused once that is "
            f"learned; without the limiter {moved['none']['refused later, %']:.3g} %.",
            moved["declared"]["refused later, %"] < moved["none"]["refused later, %"],
        ),
    ]  # fmt: skip
