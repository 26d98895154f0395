"""The HTTP API under load, while the runs that the load starts are carried out behind it on the same cores.

    python -m experiments.api_load [--users 100,500,1000] [--seconds 60] [--no-viewers]

Part of `make bench`. `flair serve` as people start it, and beside it a bare app that writes to Redis once: the same
Locust users on one, then on the other. Each start is a run of 2/2/2/1, offline; after each load every run that was
accepted must end. A 429 with Retry-After is the API's own decision and counted apart; any other refusal, and every
answer that did not come, is a failure.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis

from experiments.api_load.processes import floor, studio
from experiments.api_load.watching import first_events, viewers
from experiments.meter import PYTHON
from experiments.rows import Row, row, table
from flair_ray.testing.mock_llm import MockOptions, MockServer

RAMP_S = 10
SETTLE_S = 3.0
"""Users begin with a request and think for up to so long: until then there are more requests than is their pace."""
DRAIN_S = 900.0
LIMITS = {100: (3.0, 3.0), 500: (5.0, 8.0)}
"""Ratios of a start's median and 95th percentile, by users."""


@dataclass(frozen=True, slots=True)
class Load:
    """What came of one load."""

    starts_ms: list[float]
    """Of accepted starts in the steady window: all users are there and have settled, and none is being stopped."""
    all_ms: list[float]
    """Of every request in that window."""
    steady_s: float
    """How long it was."""
    requests: int
    """Of the whole load, as what follows."""
    shed: int
    failed: int
    accepted: list[str]

    @property
    def p95_ms(self) -> float:
        return statistics.quantiles(self.starts_ms, n=20)[-1]

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.all_ms) / self.steady_s

    def pace(self, users: int, think_s: float) -> float:
        """Requests a second of so many who think for so long after each answer, at the latency of the same window."""
        return users / (think_s + statistics.mean(self.all_ms) / 1000)


def load(url: str, count: int, seconds: float, folder: Path, ramp_s: float = RAMP_S) -> Load:
    """``seconds`` are those of the steady window."""
    file, whole_s = folder / "load.json", ramp_s + SETTLE_S + seconds
    options = f"--headless --only-summary --loglevel ERROR -u {count} -r {count / ramp_s} -t {whole_s:g}s"
    command = [PYTHON, "-m", "locust", "-f", str(Path(__file__).with_name("users.py")), "--host", url, *options.split()]
    env = {**os.environ, "LOAD_FILE": str(file)}
    done = subprocess.run(command, env=env, check=False, capture_output=True, text=True, timeout=seconds + 120)
    if not file.exists():
        raise SystemExit(f"Locust failed:\n{done.stderr[-2000:]}")
    noted = json.loads(file.read_text())
    file.unlink()
    if "there_s" not in noted:
        raise SystemExit(f"Locust had not started {count} users when it was to stop them.")
    return came_of(noted)


def came_of(noted: Mapping[str, Any]) -> Load:
    """From what users.py writes."""
    every, began, ended = noted["requests"], noted["there_s"] + SETTLE_S, noted["stopping_s"]
    shed = sum(status == 429 and wait is not None for _, status, _, wait, _ in every)
    fine = sum(status == 200 for _, status, *_ in every)
    steady = [(name, status, ms) for name, status, ms, _, at in every if began <= at < ended]
    starts = [ms for name, status, ms in steady if name == "start" and status == 200]
    return Load(
        starts, [ms for *_, ms in steady], ended - began, len(every), shed, len(every) - shed - fine, noted["accepted"]
    )


def drained(redis: Redis, run_ids: Sequence[str]) -> tuple[float, int]:
    """Seconds until all have completed, and how many have not within DRAIN_S."""
    began, open_ids = time.monotonic(), list(run_ids)
    while True:
        pipe = redis.pipeline(transaction=False)
        for run_id in open_ids:
            pipe.hget(f"flair:run:{run_id}", "status")
        open_ids = [i for i, status in zip(open_ids, pipe.execute(), strict=True) if status != b"completed"]
        took = time.monotonic() - began
        if not open_ids or took > DRAIN_S:
            return took, len(open_ids)
        time.sleep(0.5)


def level(url: str, redis: Redis, bare_url: str, count: int, seconds: float, folder: Path) -> list[Row]:
    bare = load(bare_url, count, seconds, folder)
    ours = load(url, count, seconds, folder)
    took, unfinished = drained(redis, ours.accepted)
    median, p95 = LIMITS.get(count, (None, None))
    return [
        row(f"{count} users: start, median", [statistics.median(ours.starts_ms)], "ms",
            statistics.median(bare.starts_ms), median),
        row("  95th percentile", [ours.p95_ms], "ms", bare.p95_ms, p95),
        row("  requests a second", [ours.rate], ""),
        row("  runs accepted", [len(ours.accepted)], ""),
        row("  shed: 429 with Retry-After", [100 * ours.shed / ours.requests], "%"),
        row("  failed, here and there", [ours.failed, bare.failed], "", None, 0),
        row("  the last run had ended after", [took], "s"),
        row("  accepted and not completed", [unfinished], "", None, 0),
    ]  # fmt: skip


def measure(counts: Sequence[int], seconds: float, *, with_viewers: bool) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="flair-load-") as temporary, MockServer(MockOptions(latency_s=5.0)) as mock:
        folder = Path(temporary)
        env = {"FLAIR_OPENAI_API_KEY": "bench", "FLAIR_OPENAI_BASE_URL": mock.base_url}
        with floor(folder) as bare_url, studio(folder, **env) as (url, redis_url):
            rows = asyncio.run(first_events(url))
            if with_viewers:
                rows += asyncio.run(viewers(url, redis_url))
            with Redis.from_url(redis_url) as redis:
                for count in counts:
                    rows += level(url, redis, bare_url, count, seconds, folder)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", default="100,500,1000", help="how many at once, one load after the other")
    parser.add_argument("--seconds", type=float, default=60, help="of each load, when all users are there")
    parser.add_argument("--no-viewers", action="store_true", help="leave out the thousand viewers")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started ends on the way out
    counts = [int(count) for count in options.users.split(",") if count]
    rows = measure(counts, options.seconds, with_viewers=not options.no_viewers)
    print(table(rows))
    sys.exit(0 if all(r.kept for r in rows) else 1)


if __name__ == "__main__":
    main()
