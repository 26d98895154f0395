"""What do calls side by side gain, and what do shards and nodes? See README.md."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from itertools import pairwise

import psutil
from ray.cluster_utils import Cluster

from experiments.harness import Chart, Claim, Point, Series, of, the
from experiments.rig import Ground, fresh_videos, ground, order
from flair_ray.domain.ids import RunId, StageName
from flair_ray.domain.runs import Limits
from flair_ray.testing.mock_llm import MockOptions, MockServer

VOTERS = 42
CAPS = (1, 5, 10, 29, VOTERS)
WIDE = 300
CLUSTERS = ((1, 1), (1, 2), (1, 4), (2, 2), (4, 1))
"""Nodes, and cores that each says it has: a stage has as many shards as there are cores, six at most for 300 items."""
NODE = {"object_store_memory": 80 * 1024**2}
CAP, NODES = "cap on calls in flight, one stage of 42 calls", "shards and nodes, one stage of 300 calls at once"
CHART = Chart(CAP, x="cap", y=("speed-up", "bound"), unit="times as fast as one by one")


def measure(short: bool) -> list[Point]:
    series = Series()
    caps, latency_s, repetitions = ((1, 29, VOTERS), 0.1, 1) if short else (CAPS, 0.4, 5)
    asyncio.run(_caps(series, caps, latency_s, repetitions))
    for nodes, cores in CLUSTERS[1:2] if short else CLUSTERS:
        _cluster(series, nodes, cores, 1 if short else 3)
    return series.points()


async def _caps(series: Series, caps: Sequence[int], latency_s: float, repetitions: int) -> None:
    """A server of its own for each cap: limits are an account's, and an account is a server and a key."""
    with ExitStack() as stack:
        options = MockOptions(latency_s=latency_s)
        mocks = {cap: stack.enter_context(MockServer(options)) for cap in caps}
        async with ground(quorum=1.0, hedged_share=0.0) as here:
            for repetition in range(repetitions):
                alone = 0.0
                for cap, mock in mocks.items():
                    run_id = await here.submit(order(mock, (2, 5, VOTERS, 1), repetition, Limits(cap)))
                    await here.opened.driver.drive(run_id)
                    took = await _took(here, run_id, StageName.S4)
                    alone = alone or took
                    bound = VOTERS / math.ceil(VOTERS / cap)
                    figures = {"stage, s": took, "speed-up": alone / took, "bound": bound}
                    most = mock.stats()["peak_in_flight"]
                    series.add(
                        CAP, {"cap": cap}, **figures, **{"of the bound": alone / took / bound, "most in flight": most}
                    )


async def _took(here: Ground, run_id: RunId, stage: StageName) -> float:
    return (await here.opened.store.snapshot(run_id)).stages[stage].elapsed_s or 0.0


def _cluster(series: Series, nodes: int, cores: int, repetitions: int) -> None:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **NODE})
    try:
        for _ in range(nodes):
            cluster.add_node(num_cpus=cores, **NODE)
        asyncio.run(_wide(series, cluster, nodes, cores, repetitions))
    finally:
        cluster.shutdown()


async def _wide(series: Series, cluster: Cluster, nodes: int, cores: int, repetitions: int) -> None:
    with MockServer(MockOptions(latency_s=1.0)) as mock:
        async with ground(cluster.address, quorum=1.0, hedged_share=0.0) as here:
            for repetition in range(-1, repetitions):  # the first one warms
                mock.reset()
                videos = fresh_videos(f"{nodes} {cores} {repetition}", WIDE)
                run_id = await here.submit(order(mock, (WIDE, 2, 2, 1), repetition, Limits(WIDE), videos))
                watching = asyncio.create_task(_nodes_at_work(StageName.S1))
                await here.opened.driver.drive(run_id)
                watching.cancel()
                shards, used = await watching
                calls = mock.stats()["by_stage"][StageName.S1.value]
                if repetition < 0:
                    continue
                took = await _took(here, run_id, StageName.S1)
                figures = {"shards": shards, "nodes at work": used, "stage, s": took, "S1 calls": calls}
                series.add(NODES, {"nodes": nodes, "cores a node": cores}, **figures)


async def _nodes_at_work(stage: StageName) -> tuple[int, int]:
    """How many processes carry shards of this stage, and on how many nodes: most at any time, until cancelled."""
    shards, nodes = set[int](), set[int]()
    while True:
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                if process.pid not in shards and " ".join(process.cmdline()).startswith(f"ray::{stage.value}"):
                    above = process.parent()
                    shards.add(process.pid)
                    nodes |= {above.pid} if above else set()
        try:
            await asyncio.sleep(0.1)
        except asyncio.CancelledError:
            return len(shards), len(nodes)


def claims(points: Sequence[Point]) -> list[Claim]:
    rises = [p["speed-up"] for p in of(points, CAP)]
    two_waves = the(points, CAP, cap=29)
    wide = of(points, NODES)
    shards = [p["shards"] for p in wide]
    return [
        Claim(
            f"More in flight is faster at every step, up to {rises[-1]:.3g} times for {VOTERS} calls at once.",
            all(a < b for a, b in pairwise(rises)),
            timed=True,
        ),
        Claim(
            f"{VOTERS} calls at cap 29 are two waves, at most 21 times as fast; "
            f"measured are {two_waves['speed-up']:.3g}.",
            1 < two_waves["speed-up"] <= 21 * 1.05,
            timed=True,
        ),
        Claim(
            "No cap is ever passed: nothing is in flight beyond it.",
            all(most <= int(p.case["cap"]) for p in of(points, CAP) for most in p.all("most in flight")),
        ),
        Claim(
            f"However many shards carry it, {min(shards):g} to {max(shards):g}, a stage of {WIDE} is {WIDE} calls.",
            all(calls == WIDE for p in wide for calls in p.all("S1 calls")),
        ),
    ]
