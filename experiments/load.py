"""Many runs at once, on one Ray: is anything lost, how near to the floor, what does a waiting run weigh?

    python -m experiments.load [defaults|small|tenants|halved|stragglers|limiter|record] …

Part of `make bench`. Every figure is a ratio to a floor in the same run, or a count. One process submits and drives the
runs, as a run host does; workers, residents and limiter are the cluster's, the model is `flair mock-llm`.

    defaults ..... 10 default runs over different videos, 500 in flight, 1.0 s a call: five waves are the floor
    small ........ 500 runs of 2/2/2/1: workers that were started for them, memory per run
    tenants ...... 10, 50, 100 runs of 2/2/2/1 against 29 in flight and 600 a minute, declared and found; a default run
    halved ....... limits that fall to half in mid-run: found again within 10 s
    stragglers ... a default run, one call in twenty ten times as slow: with and without quorum and hedges
    limiter ...... a default run with the account's limiter, and with a counting one in its place
    record ....... CPU of recording an item, client and server
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from experiments.rig import DEFAULT, SMALL, after_a_move, ground, many, order, studio, submit
from experiments.rows import Row, row, table
from experiments.stragglers.experiment import measured as stragglers_measured
from flair_ray import data
from flair_ray.config import Settings
from flair_ray.domain.calls import CallTally
from flair_ray.domain.events import EventDraft, EventName
from flair_ray.domain.ids import ItemId, RunId, StageName, new_run_id
from flair_ray.domain.runs import Limits, ModelChoice, RunStatus
from flair_ray.domain.work import Done
from flair_ray.engine.order import Order, first_event, prepare
from flair_ray.engine.shard import Tools
from flair_ray.flow.in_flight import InFlightLimiter
from flair_ray.ports import StageJob
from flair_ray.stores.embedded import EmbeddedServer
from flair_ray.stores.redis_store import RedisRunStore, connect
from flair_ray.testing.mock_llm import MockOptions, MockServer
from flair_ray.wiring import Studio


async def defaults() -> list[Row]:
    options = MockOptions(latency_s=1.0, max_in_flight=500)
    limits = Limits(500)
    with MockServer(options) as mock, tempfile.TemporaryDirectory() as folder:
        async with studio(mock, Path(folder)) as (opened, settings):
            cold, _, lost = await many(mock, opened, settings, DEFAULT, 10, limits, 0)
            rows = [row("10 default runs at once, cold workers", [cold], "s", 5.0)]
            warm = []
            for i in range(1, 3):
                wall, _, gone = await many(mock, opened, settings, DEFAULT, 10, limits, 10 * i)
                warm.append(wall)
                lost += gone
            stats = mock.stats()
    return [
        *rows,
        row("10 default runs at once, warm workers", warm, "s", 5.0, 2.0),
        row("  runs lost", [lost], "", None, 0),
        row("  429s that we caused", [stats["rejected_429"]], "", None, 0),
        row("  calls beyond one per item", [stats["calls"] - 30 * 172], "", None, 30 * 17),
    ]


async def small() -> list[Row]:
    """Handed in to a run host, as a service does."""
    from flair_ray.actors.run_host import RunHost
    from flair_ray.flow.clock import SystemClock

    with MockServer(MockOptions(latency_s=0.5, max_in_flight=500)) as mock, tempfile.TemporaryDirectory() as folder:
        async with studio(mock, Path(folder), run_ttl_s=3600) as (opened, settings):
            await many(mock, opened, settings, SMALL, 100, Limits(500), 0)
            runs = [
                await submit(opened, settings, order(mock, SMALL, 1000 + i, Limits(500)), hosted=True)
                for i in range(500)
            ]
            before = sum(p.memory_info().rss for p in _ours())
            watching = asyncio.create_task(_peak())
            begun = time.monotonic()
            hosting = asyncio.create_task(
                RunHost(opened.store, opened.driver, SystemClock(), opened.keeper.keep_ended).run()
            )
            while not await _all_ended(opened, runs):  # noqa: ASYNC110  # it is the store that knows
                await asyncio.sleep(0.5)
            wall = time.monotonic() - begun
            for task in (hosting, watching):
                task.cancel()
            peak, workers = await watching
            await asyncio.wait({hosting})
            ended = [(await opened.store.snapshot(run_id)).status for run_id in runs]
            stats = mock.stats()
    return [
        row("500 runs of 2/2/2/1 handed in at once", [wall], "s", 500 * 7 / 500 * 0.5),
        row("  runs lost", [sum(status is not RunStatus.COMPLETED for status in ended)], "", None, 0),
        row("  task workers beyond the residents", [workers], "", None, 2 * (os.cpu_count() or 2)),
        row("  memory growth per waiting run", [(peak - before) / 500 / 1024], "kB", None, 100),
        row("  429s that we caused", [stats["rejected_429"]], "", None, 0),
    ]


async def _all_ended(opened: Studio, runs: Sequence[RunId]) -> bool:
    for run_id in reversed(runs):
        if not (await opened.store.snapshot(run_id)).status.terminal:
            return False
    return True


def _ours() -> list[psutil.Process]:
    return [p for p in [psutil.Process(), *psutil.Process().children(recursive=True)] if p.is_running()]


async def _peak() -> tuple[int, int]:
    """Most memory of all our processes, and most worker processes beyond the residents, until cancelled.

    A resident's title is that of the shard it carries, so residents are told by having been there from the start.
    """
    peak, workers = 0, 0
    residents = {p.pid for p in _ours()}
    while True:
        total, shards = 0, 0
        for process in _ours():
            with contextlib.suppress(psutil.Error):
                total += process.memory_info().rss
                shards += process.pid not in residents and "ray::" in " ".join(process.cmdline())
        peak, workers = max(peak, total), max(workers, shards)
        try:
            await asyncio.sleep(0.5)
        except asyncio.CancelledError:
            return peak, workers


async def tenants(counts: Sequence[int] = (10, 50, 100)) -> list[Row]:
    """The floor is ten at once, ten a second, and the last one's own second; a default run's is its waves of 29."""
    loads = [(f"{count} runs of 2/2/2/1", SMALL, count, 600, (count * 7 - 10) / 10 + 1.0) for count in counts]
    loads.append(("a default run at 6,000 a minute", DEFAULT, 1, 6000, 8.0))
    return [
        line
        for name, limits in (("declared", (29, True)), ("found", (None, False)))
        for label, sizes, count, rpm, floor in loads
        for line in await _backpressure(
            f"{label}, limits {name}", sizes, count, rpm, floor, Limits(limits[0], rpm if limits[1] else None)
        )
    ]


async def _backpressure(
    label: str, sizes: Sequence[int], count: int, rpm: int, floor: float, limits: Limits
) -> list[Row]:
    options = MockOptions(latency_s=1.0, max_in_flight=29, rpm=rpm)
    with MockServer() as other, MockServer(options) as mock, tempfile.TemporaryDirectory() as folder:
        async with studio(mock, Path(folder), hedged_share=0) as (opened, settings):
            await many(other, opened, settings, sizes, min(count, 20), Limits(), 1000)  # warm, on another account
            wall, took, lost = await many(mock, opened, settings, sizes, count, limits, 0)
            stats = mock.stats()
            again, _, gone = await many(mock, opened, settings, sizes, count, limits, 5000)
    calls, refused = stats["ok"], stats["rejected_429"]
    rows = [
        row(label, [wall], "s", floor, 1 / 0.95),
        row("  the same again, over other videos", [again], "s", floor, 1 / 0.95),
        row("  429s", [100 * refused / (calls + refused)], "%", None, 0 if limits.rpm else 1),
        row("  runs lost", [lost + gone], "", None, 0),
    ]
    if count > 1:
        spread = statistics.pstdev(took) / statistics.mean(took)
        rows.append(row("  variation of equal runs' durations", [spread], "", None, 0.4))
    return rows


async def halved() -> list[Row]:
    """Both limits fall to half under 100 runs: what is used of the new ones, and refused, once ten seconds are over."""
    rows = []
    for name, limits in (("declared", Limits(29, 600)), ("found", Limits())):
        options = MockOptions(latency_s=1.0, max_in_flight=29, rpm=600)
        with MockServer(options) as mock, tempfile.TemporaryDirectory() as folder:
            async with studio(mock, Path(folder), hedged_share=0) as (opened, settings):
                working = many(mock, opened, settings, SMALL, 100, limits, 0)
                early, ok, late = await after_a_move(mock, working, 200, {"max_in_flight": 15, "rpm": 300}, (10, 20))
        rows += [
            row(f"limits {name}, halved: 429s in the first 10 s", [early], "", None),
            row("  429s in the next 20 s", [100 * late / (ok + late)], "%", None, 2),
            row("  used of the new limit in them", [ok / 20], "/s", 5.0),
        ]
    return rows


async def stragglers() -> list[Row]:
    points = await stragglers_measured((10,), DEFAULT, 0.5, 3)
    waited = points[0]["run, s"]
    return [
        line
        for p in points
        for line in (
            row(f"5 % of calls 10 times slower, {p.case['way']}", p.all("run, s"), "s", waited),
            row("  second calls", p.all("second calls, %"), "%", None, 10),
        )
    ]


async def limiter() -> list[Row]:
    """What the limiter adds to a default run: the same run, by turns, with a counting semaphore in its place."""
    walls: dict[str, list[float]] = {"account": [], "counting": []}
    with MockServer(MockOptions(latency_s=1.0)) as mock:
        async with ground(hedged_share=0) as here:
            drivers = {"account": here.opened.driver, "counting": here.driver("counting", counting)}
            for i in range(-2, 10):
                name = ("account", "counting")[i % 2]
                run_id = await here.submit(order(mock, DEFAULT, i, Limits(IN_FLIGHT)))
                await drivers[name].drive(run_id)
                if i >= 0:  # the first of each only warms
                    counts = (await here.opened.store.snapshot(run_id)).stages.values()
                    walls[name].append(sum(c.elapsed_s or 0.0 for c in counts))
    floor = statistics.median(walls["counting"])
    return [
        row("default run, 100 in flight, counting semaphores", walls["counting"], "s", 4.0),
        row("default run, 100 in flight, the account's limiter", walls["account"], "s", floor, 1.02),
    ]


IN_FLIGHT = 100


def counting(tools: Tools) -> Tools:
    """The simplest limiter: half of the calls for each of two shards."""
    return replace(tools, limiter_for=lambda job: InFlightLimiter(IN_FLIGHT // 2))


async def record() -> list[Row]:
    """CPU of the record step: this process's and the server's."""
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedServer(Path(folder))
        server.open()
        try:
            store = RedisRunStore(connect(server.url), 600)
            settings = Settings(data_dir=Path(folder))
            wanted = Order(
                data.sample_profiles()[0].profile, data.sample_videos(), data.sample_personas(),
                ModelChoice("offline", "offline-heuristic"),
            )  # fmt: skip
            run_id = new_run_id()
            spec, inputs = prepare(wanted, settings)
            await store.create(run_id, spec, inputs, first_event(run_id, spec))
            job = StageJob(run_id, "me", spec.fingerprint, StageName.S1, None, (), 5_000, spec.model)
            redis: Any = store._redis
            costs = []
            for _ in range(5):
                here, there = time.process_time(), await _server_cpu(redis)
                for start in range(0, 1000, 50):
                    draft = EventDraft(EventName.S1_PROGRESS, {"video_id": "v", "hook_type": "question"})
                    await asyncio.gather(*(
                        store.record(job, ItemId(f"{_}-{start + i}"), Done('{"x": 1}' * 50), draft, CallTally(calls=1))
                        for i in range(50)
                    ))  # fmt: skip
                costs.append(time.process_time() - here + await _server_cpu(redis) - there)
            await store.close()
        finally:
            server.close()
    return [row("CPU of recording an item, client and server", costs, "ms", None, 0.5)]


async def _server_cpu(redis: Any) -> float:
    info = await redis.info("cpu")
    return float(info["used_cpu_sys"]) + float(info["used_cpu_user"])


PARTS = {
    "defaults": defaults,
    "small": small,
    "tenants": tenants,
    "halved": halved,
    "stragglers": stragglers,
    "limiter": limiter,
    "record": record,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="default: all of them")
    chosen = parser.parse_args().parts or list(PARTS)
    rows = [line for name in chosen for line in asyncio.run(PARTS[name]())]
    print(table(rows))
    sys.exit(0 if all(r.kept for r in rows) else 1)


if __name__ == "__main__":
    main()
