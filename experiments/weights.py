"""What a default run weighs: most of the constants that docs/scale.py reckons with.

    python -m experiments.weights [--repeat N]

Part of `make bench`. Each time ten default runs at once: of the mock model for their CPU, and of the offline one, whose
answers are as long as real ones, for what they leave behind, over videos that nobody knows and again over those. This
process drives them, as a run host does; Redis is over TCP, so that connections are seen. What a run costs is what grows
while they run, divided by the runs; what a process has is looked at while ten more run.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urlsplit

import psutil
from redis.asyncio import Redis

from experiments.redis_store.servers import over_tcp
from experiments.rig import DEFAULT, Ground, drive_all, ground, order
from experiments.rows import Row, row, table
from flair_ray.domain.runs import Limits, ModelChoice
from flair_ray.engine.order import Order
from flair_ray.stores.embedded import find_server
from flair_ray.testing.mock_llm import MockOptions, MockServer

RUNS, EVERY_S = 10, 0.25
LIMITS = Limits(500)
OFFLINE = ModelChoice("offline", "offline-heuristic")
SHARD = re.compile(r"ray::S\d_")
NO_REST = re.compile(r"ray::(S\d_|IDLE)|mock_llm|(valkey|redis)-server")
KEPT = ("memory", "traffic", "files")
UNITS = {"CPU": "ms", "connections": ""} | dict.fromkeys(KEPT, "MB")
Figures = dict[str, list[float]]


async def weights(repeat: int) -> list[Row]:
    binary = find_server()
    assert binary is not None
    with MockServer(MockOptions(latency_s=1.0, max_in_flight=500)) as mock, over_tcp(str(binary)) as url:
        async with ground(redis_url=url, hedged_share=0) as here, Redis.from_url(url) as redis:
            await _ten(here, [order(mock, DEFAULT, n, LIMITS) for n in range(RUNS)])
            figures: Figures = defaultdict(list)
            for first in range(1000, 1000 * (repeat + 1), 1000):
                asked = [order(mock, DEFAULT, first + n, LIMITS) for n in range(RUNS)]
                offline = [replace(order(mock, DEFAULT, first + 500 + n, LIMITS), model=OFFLINE) for n in range(RUNS)]
                for orders, words, of in (
                    (asked, ("CPU",), "a run"),
                    (offline, KEPT, "a run"),
                    (offline, KEPT, "a run over known videos"),
                ):
                    for name, value in (await _grown(here, redis, orders)).items():
                        if name.split()[1] in words:
                            figures[f"{name} of {of}"].append(value)
            processes: Figures = defaultdict(list)
            looking = asyncio.create_task(_look(urlsplit(url).port, processes))
            await _ten(here, [order(mock, DEFAULT, 100_000 + n, LIMITS) for n in range(RUNS)])
            looking.cancel()
            processes["rest: memory"].append(_at_rest())
    return [row(name, values, UNITS[name.split()[1]]) for name, values in (figures | processes).items()]


async def _ten(here: Ground, orders: Sequence[Order]) -> None:
    _, _, lost = await drive_all(here.opened.driver, [await here.submit(one) for one in orders])
    assert not lost
    await here.opened.keeper.keep_ended()


async def _grown(here: Ground, redis: Redis, orders: Sequence[Order]) -> dict[str, float]:
    before = await _state(here, redis)
    await _ten(here, orders)
    after = await _state(here, redis)
    return {name: (value - before[name]) / RUNS for name, value in after.items()}


async def _state(here: Ground, redis: Redis) -> dict[str, float]:
    info = await redis.info()
    files = sum(path.stat().st_size for path in here.settings.data_dir.rglob("*") if path.is_file())
    return {
        "host: CPU": 1000 * time.process_time(),
        "Redis: CPU": 1000 * (info["used_cpu_sys"] + info["used_cpu_user"]),
        "Redis: memory": info["used_memory"] / 1e6,
        "Redis: traffic": (info["total_net_input_bytes"] + info["total_net_output_bytes"]) / 1e6,
        "archive: files": files / 1e6,
    }


async def _look(port: int | None, seen: Figures) -> None:
    """Until cancelled: what each shard's process and this one have."""
    while True:
        await asyncio.to_thread(_look_once, port, seen)
        await asyncio.sleep(EVERY_S)


def _look_once(port: int | None, seen: Figures) -> None:
    ours = psutil.Process()
    for process in (ours, *ours.children(recursive=True)):
        try:
            who = "host" if process == ours else "shard" if SHARD.match(" ".join(process.cmdline())) else None
            if who:
                open_ones = [c for c in process.net_connections("tcp") if c.raddr and c.raddr.port == port]
                seen[f"{who}: connections to Redis"].append(len(open_ones))
                seen[f"{who}: memory"].append(process.memory_full_info().pss / 1e6)
        except psutil.Error:
            continue


def _at_rest() -> float:
    """MB of Ray and the actors that stay; a worker without work is counted as the shard that it was."""
    total = 0
    for process in psutil.Process().children(recursive=True):
        try:
            if not NO_REST.search(" ".join(process.cmdline())):
                total += process.memory_full_info().pss
        except psutil.Error:
            continue
    return total / 1e6


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3, help="measurements per row (default 3)")
    print(table(asyncio.run(weights(parser.parse_args().repeat))))
