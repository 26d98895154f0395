"""How many people does the HTTP API carry, in closed and in open loop, and how many viewers? See README.md."""

from __future__ import annotations

import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx2
from redis import Redis

from experiments.api_load import BODY
from experiments.api_load.__main__ import Load, drained, load
from experiments.api_load.processes import studio
from experiments.api_load.watching import viewers
from experiments.harness import Chart, Claim, Point, Series, of, the
from flair_ray.testing.mock_llm import MockOptions, MockServer

THINK_S = 2.0
"""Of a user, on average: users.py."""
MAX_WAITING = 100
"""Runs that the API lets wait. More would only keep the next level waiting."""
CLOSED, OPEN, VIEWERS = (
    "closed loop: users who wait for their answers",
    "open loop: starts that come whatever happens",
    "viewers of one run",
)
CHART = Chart(OPEN, x="starts offered a second", y=("95 %, ms", "median, ms"), unit="ms from when it was due", log="xy")


@dataclass(frozen=True, slots=True)
class Form:
    """How large an execution is."""

    users: Sequence[int]
    closed_s: float
    ramp_s: float
    rates: Sequence[int]
    open_s: float
    viewers: Sequence[int]
    latency_s: float
    """Of the run that is watched."""
    repetitions: int


FULL = Form((10, 50, 100, 500, 1_000), 8, 3, (5, 10, 20, 40, 80, 160), 5, (1_000,), 6.0, 3)
SHORT = Form((20,), 6, 1, (5,), 2, (50,), 1.0, 1)


def measure(short: bool) -> list[Point]:
    form, series = SHORT if short else FULL, Series()
    with (
        tempfile.TemporaryDirectory(prefix="flair-") as temporary,
        MockServer(MockOptions(latency_s=form.latency_s)) as mock,
    ):
        folder = Path(temporary)
        settings = {"OPENAI_API_KEY": "bench", "OPENAI_BASE_URL": mock.base_url, "MAX_WAITING": str(MAX_WAITING)}
        env = {f"FLAIR_{name}": value for name, value in settings.items()}
        with studio(folder, **env) as (url, redis_url), Redis.from_url(redis_url) as redis:
            asyncio.run(_arrivals(series, url, redis, 5, 1.0, "warm"))
            for _ in range(form.repetitions):
                for users in form.users:
                    _closed(series, load(url, users, form.closed_s, folder, form.ramp_s), redis, users)
                for rate in form.rates:
                    asyncio.run(_arrivals(series, url, redis, rate, form.open_s, OPEN))
                for count in form.viewers:
                    without, late, readers = asyncio.run(viewers(url, redis_url, count))
                    figures = {"without every event": without.value, "who came too late": late.value}
                    series.add(VIEWERS, {"viewers": count}, **figures, **{"waiting Redis connections": readers.value})
    return sorted((p for p in series.points() if p.part != "warm"), key=lambda p: (CLOSED, OPEN, VIEWERS).index(p.part))


def _closed(series: Series, seen: Load, redis: Redis, users: int) -> None:
    took, unfinished = drained(redis, seen.accepted)
    pace = seen.pace(users, THINK_S)
    figures = {
        "requests a second": seen.rate, "users ÷ (think + latency)": pace, "ratio": seen.rate / pace,
        "start, median ms": statistics.median(seen.starts_ms) if seen.starts_ms else None,
        "start, 95 % ms": seen.p95_ms if len(seen.starts_ms) > 1 else None,
        "shed, %": 100 * seen.shed / seen.requests, "failed": seen.failed, "runs not completed": unfinished,
        "last run ended after, s": took,
    }  # fmt: skip
    series.add(CLOSED, {"users": users}, **figures)


async def _arrivals(series: Series, url: str, redis: Redis, rate: int, seconds: float, part: str) -> None:
    """Starts at moments that are drawn beforehand; each is timed from when it was due, sent late or not."""
    chance, due, at = random.Random(7), list[float](), 0.0
    while (at := at + chance.expovariate(rate)) < seconds:
        due.append(at)
    limits = httpx2.Limits(max_connections=1_000, max_keepalive_connections=1_000)
    async with httpx2.AsyncClient(base_url=url, timeout=60, limits=limits) as client:
        began = time.perf_counter()

        async def start(moment: float) -> tuple[float, int, str]:
            await asyncio.sleep(moment - (time.perf_counter() - began))
            try:
                answer = await client.post("/api/pipeline/start?session_id=open", json=BODY)
            except httpx2.TransportError:
                return 1000 * (time.perf_counter() - began - moment), 0, ""
            run_id = answer.json()["run_id"] if answer.status_code == 200 else ""
            return 1000 * (time.perf_counter() - began - moment), answer.status_code, run_id

        seen = await asyncio.gather(*(start(moment) for moment in due))
        took = time.perf_counter() - began
    ms = sorted(ms for ms, *_ in seen)
    accepted = [run_id for *_, run_id in seen if run_id]
    drain_s, unfinished = await asyncio.to_thread(drained, redis, accepted)
    figures = {
        "offered": len(due) / seconds, "started a second": len(accepted) / max(took, seconds),
        "median, ms": statistics.median(ms), "95 %, ms": ms[int(0.95 * (len(ms) - 1))],
        "shed, %": 100 * sum(status == 429 for _, status, _ in seen) / len(seen),
        "failed": sum(status not in (200, 429) for _, status, _ in seen), "runs not completed": unfinished,
        "last run ended after, s": drain_s,
    }  # fmt: skip
    series.add(part, {"starts offered a second": rate}, **figures)


def claims(points: Sequence[Point]) -> list[Claim]:
    closed, arrived, watched = of(points, CLOSED), of(points, OPEN), of(points, VIEWERS)
    users = max(int(p.case["users"]) for p in closed)
    most = the(points, CLOSED, users=users)
    held = [p for p in arrived if p["95 %, ms"] < 1000 and p["shed, %"] < 1]
    carried = max((int(p.case["starts offered a second"]) for p in held), default=0)
    viewers_most = max(int(p.case["viewers"]) for p in watched)
    every = [*closed, *arrived]
    return [
        Claim(
            f"Every request is answered, with a 429 at the worst: {users:,} users, "
            f"{arrived[-1]['offered']:.3g} starts a second.",
            not any(sum(p.all("failed")) for p in every),
        ),
        Claim("Every run that was accepted completes.", not any(sum(p.all("runs not completed")) for p in every)),
        Claim(
            f"In closed loop {users:,} users make {most['requests a second']:.3g} requests a second, "
            f"{most['ratio']:.2f} of users ÷ (think + latency): the users' own pace, not what the server could.",
            0.85 < most["ratio"] < 1.15,
            timed=True,
        ),
        Claim(
            f"In open loop {carried} starts a second are carried, 95 % of them within a second.",
            carried > 0,
            timed=True,
        ),
        Claim(
            f"{viewers_most:,} viewers of one run see every event, behind one waiting connection to Redis.",
            not any(sum(p.all("without every event")) for p in watched)
            and all(n <= 1 for p in watched for n in p.all("waiting Redis connections")),
        ),
    ]  # fmt: skip
