"""A hundred runs at once over the same hundred videos: each video is put to the model once, by whoever comes first.

The runs are handed in and driven by one run host; their S1 jobs are tasks, so that questions meet across worker
processes and not only within one. The processes are as many as Ray lets run at once, not a hundred.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from uuid import uuid4

import pytest

from flair_ray.actors.run_host import CAPACITY, RunHost
from flair_ray.data import sample_videos
from flair_ray.domain.events import TERMINAL, Event
from flair_ray.domain.ids import RunId, StageName, new_run_id
from flair_ray.domain.runs import Limits, RunStatus
from flair_ray.engine.driver import Driver
from flair_ray.engine.naming import service_name
from flair_ray.engine.order import Order, first_event, prepare
from flair_ray.engine.ray_executor import RayExecutor
from flair_ray.engine.ray_personas import PersonasIn, RayPanel
from flair_ray.engine.ray_worker import ToolKit
from flair_ray.flow.clock import SystemClock
from flair_ray.stores.redis_store import RedisRunStore
from flair_ray.testing.mock_options import MockOptions
from flair_ray.testing.mock_server import MockServer
from flair_ray.wiring import driver_settings
from flair_ray.workbench import worker_tools
from tests.chaos.rig import VERSION, Rig, Sizes, order, settings

RUNS = 100
SIZES = Sizes(videos=100, scripts=2, personas=2, top_n=1)


def wanted(base_url: str) -> Order:
    """Videos that nobody has seen yet: the cache outlives a test."""
    fresh = uuid4().hex
    videos = tuple(replace(v, transcript=f"{v.transcript} {fresh}") for v in sample_videos()[: SIZES.videos])
    return replace(order(base_url, SIZES), videos=videos, cache=True, limits=Limits(max_in_flight=1000))


async def ended(store: RedisRunStore, run_id: RunId) -> None:
    last, news = "0", list[Event]()
    while not any(event.name in TERMINAL for event in news):
        news = await store.events(run_id, last, block_ms=1000)
        last = news[-1].event_id if news else last


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_a_hundred_runs_ask_once_between_them(our_ray: None, rig: Rig) -> None:
    assert RUNS <= CAPACITY
    rules, store = settings().model_copy(update={"lease_ttl_s": 15.0}), rig.store()
    with MockServer(MockOptions(latency_s=0.5, jitter=0.5)) as server:
        spec, inputs = prepare(wanted(server.base_url), rules)
        runs = [new_run_id() for _ in range(RUNS)]
        for run_id in runs:
            await store.create(run_id, spec, inputs, first_event(run_id, spec), hosted=True)
        kit = ToolKit(f"shared-{uuid4().hex}", partial(worker_tools, rules, rig.redis_url, {}))
        pools = PersonasIn(rig.redis_url, rules.run_ttl_s, rules.persona_pools)
        panel = RayPanel(pools, service_name(rig.redis_url))
        driver = Driver(store, RayExecutor(kit, VERSION), driver_settings(rules), SystemClock(), panel)
        host = asyncio.create_task(RunHost(store, driver, SystemClock()).run())
        for run_id in runs:
            await ended(store, run_id)
        host.cancel()
        await asyncio.wait({host})
        stats = server.stats()
    snapshots = [await store.snapshot(run_id) for run_id in runs]
    await store.close()
    s1 = [snapshot.stages[StageName.S1] for snapshot in snapshots]
    assert {snapshot.status for snapshot in snapshots} == {RunStatus.COMPLETED}
    assert {(counts.completed, counts.skipped) for counts in s1} == {(SIZES.videos, 0)}
    assert stats["by_stage"][StageName.S1.value] == sum(counts.tally.calls for counts in s1) == SIZES.videos, stats
    assert sum(counts.tally.cache_hits for counts in s1) == (RUNS - 1) * SIZES.videos
    assert stats["calls"] == sum(snapshot.tally.calls for snapshot in snapshots)
    assert stats["rejected_429"] == stats["failed"] == 0
