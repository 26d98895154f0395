"""Two hundred calls at once, one in twenty slow: the stage moves on, and what is late is recorded all the same.

The slow ones answer while later stages run. With hedges a second call may overtake a slow one; either way every call
that was made is in the run's tally, and no other.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

import pytest

from flair_ray.data import sample_videos
from flair_ray.domain.events import Event, EventName
from flair_ray.domain.ids import StageName, new_run_id
from flair_ray.domain.runs import Limits, RunStatus
from flair_ray.engine.driver import Driver
from flair_ray.engine.naming import service_name
from flair_ray.engine.order import first_event, prepare
from flair_ray.engine.ray_executor import RayExecutor
from flair_ray.engine.ray_worker import ToolKit
from flair_ray.flow.clock import SystemClock
from flair_ray.testing.mock_options import MockOptions
from flair_ray.testing.mock_server import MockServer
from flair_ray.testing.mock_traffic import Luck
from flair_ray.wiring import driver_settings
from flair_ray.workbench import worker_tools
from tests.chaos.following import Follower, following, recorded
from tests.chaos.rig import VERSION, Rig, Sizes, order, panel_of, settings

ITEMS = 200
SIZES = Sizes(ITEMS, 8, 9, 4)
LATENCY_S, SLOW_S = 0.2, 9.0
OPTIONS = MockOptions(latency_s=LATENCY_S)


def seed_with(slow: range) -> int:
    """The first whose luck makes so many of the first calls slow that the quorum is reached without them."""
    tailed = OPTIONS.changed({"tail": f"0.05:{SLOW_S / LATENCY_S}"})
    for seed in range(1000):
        luck = Luck(seed)
        if sum(luck.draw(tailed)[0] > 1 for _ in range(ITEMS)) in slow:
            return seed
    raise AssertionError("no such seed")


def videos_enough() -> tuple[object, ...]:
    known = sample_videos()
    again = (replace(v, video_id=f"{v.video_id}-again", transcript=f"Once more. {v.transcript}") for v in known)
    return (*known, *again)[:ITEMS]


async def speed_up_later_stages(viewer: Follower, server: MockServer) -> None:
    """No more slow calls once S1 is over, and stages long enough for S1's to come in."""
    await viewer.until(lambda log: _moved_on(log) is not None)
    server.configure(tail="0:1", latency_s=SLOW_S / 3)


def _moved_on(log: list[Event]) -> int | None:
    """Where in the log S1 was over."""
    ends = [n for n, e in enumerate(log) if e.name == EventName.STAGE_COMPLETED and e.data["stage"] == StageName.S1]
    return ends[0] if ends else None


@pytest.mark.long
@pytest.mark.timeout(120)
@pytest.mark.parametrize("hedged_share", [0.0, 0.1])
async def test_every_call_is_in_the_tally_late_ones_too(our_ray: None, rig: Rig, hedged_share: float) -> None:
    rules = settings().model_copy(update={"quorum": 0.95, "hedged_share": hedged_share})
    tailed = OPTIONS.changed({"tail": f"0.05:{SLOW_S / LATENCY_S}"})
    options = tailed.model_copy(update={"seed": seed_with(range(6, 10))})
    store = rig.store()
    with MockServer(options) as server:
        wanted = replace(order(server.base_url, SIZES), videos=videos_enough(), limits=Limits(max_in_flight=ITEMS))
        run_id = new_run_id()
        spec, inputs = prepare(wanted, rules)
        await store.create(run_id, spec, inputs, first_event(run_id, spec))
        kit = ToolKit(f"chaos-{run_id}", partial(worker_tools, rules, rig.redis_url, {}))
        panel = panel_of(rig.redis_url, service_name(rig.redis_url))  # where the product's tools look for it
        driver = Driver(store, RayExecutor(kit, VERSION), driver_settings(rules), SystemClock(), panel)
        async with following(store, run_id) as viewer:
            driving = asyncio.create_task(driver.drive(run_id))
            await speed_up_later_stages(viewer, server)
            assert await driving is RunStatus.COMPLETED
            await viewer.until_ended()
        stats, snapshot, log = server.stats(), await store.snapshot(run_id), viewer.log
        await store.close()
    tally, moved_on = snapshot.tally, _moved_on(log)
    s1 = recorded(log, StageName.S1)
    assert len(s1) == len({e.data["video_id"] for e in s1}) == ITEMS
    late = [e for e in log[moved_on:] if e in s1]
    assert len(late) == log[moved_on].data["late"]
    assert stats["calls"] == tally.calls == SIZES.total + tally.retries + tally.reasks + tally.hedges, (stats, tally)
    assert tally.hedges <= sum(int(hedged_share * n) for n in SIZES.by_stage.values())
    if hedged_share:
        assert tally.hedges > 0
    else:
        assert 6 <= len(late) < 10
        assert stats["repeated_prompts"] == 0
