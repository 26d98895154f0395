"""The plan: six steps that fit together, and events that keep the published contract."""

from __future__ import annotations

import pickle
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from flair_ray.config import Settings
from flair_ray.domain.codec import adapter
from flair_ray.domain.ids import REFINING, SIX, RunId, StageName
from flair_ray.engine.driver import Driver
from flair_ray.engine.order import Order, prepare
from flair_ray.engine.plan import MAP_STAGES, PLAN, MapStep, ReduceStep, plan_of
from flair_ray.ports import StageJob
from flair_ray.stores.redis_store import RedisRunStore

CONTRACT = {
    "pipeline_started": {"run_id", "total_videos", "total_personas", "top_n"},
    "stage_started": {"stage", "total_items"},
    "s1_task_started": {"video_id", "description"},
    "s1_progress": {"video_id", "completed", "total", "hook_type", "pacing", "trigger_count"},
    "s2_complete": {"pattern_count"},
    "s3_progress": {"completed", "total"},
    "s3_complete": {"script_count", "script_ids"},
    "s4_task_started": {"persona_id", "name", "location", "age", "occupation", "description"},
    "vote_cast": {"persona_id", "persona_name", "top_5", "completed", "total"},
    "s5_complete": {"top_ids", "top_n"},
    "s6_progress": {"script_id", "completed", "total"},
    "pipeline_complete": {"run_id", "result_count"},
}
"""What clients that people already have read of a run that goes well; more may be there, never less."""


async def test_six_steps_four_maps_two_reduces(small_order: Order, settings: Settings) -> None:
    spec, _ = prepare(small_order, settings)
    assert [type(step) for step in plan_of(spec)] == [MapStep, ReduceStep, MapStep, MapStep, ReduceStep, MapStep]
    assert [step.name for step in plan_of(spec)] == list(SIX)


async def test_a_refinement_is_three_maps_before_the_last(small_order: Order, settings: Settings) -> None:
    spec, _ = prepare(replace(small_order, refine=True), settings)
    assert plan_of(spec) == PLAN
    assert list(MAP_STAGES)[-4:] == [*REFINING, StageName.S6]


@pytest.mark.parametrize("stage", MAP_STAGES.values(), ids=lambda stage: stage.name.value)
def test_what_a_map_stage_puts_out_can_be_stored(stage: object) -> None:
    assert adapter(stage.output)  # type: ignore[attr-defined]  # every map stage has one


async def test_a_run_keeps_the_contract(
    store: RedisRunStore,
    submit: Callable[[Order], Awaitable[RunId]],
    local_driver: Callable[..., Driver],
    small_order: Order,
) -> None:
    run_id = await submit(small_order)
    await local_driver().drive(run_id)
    events = await store.events(run_id)
    assert set(CONTRACT) <= {e.name for e in events}
    for event in events:
        assert CONTRACT.get(event.name, set()) <= set(event.data), event.name
    stages = [e.data["stage"] for e in events if e.name == "stage_started"]
    assert stages == ["S1_MAP", "S2_REDUCE", "S3_SEQUENTIAL", "S4_MAP", "S5_REDUCE", "S6_PERSONALIZE"]
    assert all(len(str(e.data["description"])) <= 80 for e in events if e.name == "s1_task_started")
    assert [e.event_id for e in events] == sorted((e.event_id for e in events), key=_place)


async def test_a_default_run_stays_under_five_hundred_events(
    store: RedisRunStore,
    submit: Callable[[Order], Awaitable[RunId]],
    local_driver: Callable[..., Driver],
    small_order: Order,
) -> None:
    """Two for each of 172 items, and a few per stage; none is trimmed."""
    order = Order(small_order.profile, small_order.videos, small_order.personas, small_order.model)
    run_id = await submit(order)
    await local_driver().drive(run_id)
    events = await store.events(run_id)
    assert 344 < len(events) < 500
    assert events[0].name == "pipeline_started"
    assert sum(s.tally.calls for s in (await store.snapshot(run_id)).stages.values()) == 172


async def test_a_job_travels(
    store: RedisRunStore, submit: Callable[[Order], Awaitable[RunId]], small_order: Order
) -> None:
    run_id = await submit(small_order)
    spec = await store.spec(run_id)
    job = StageJob(run_id, "me", spec.fingerprint, StageName.S1, None, (("v", small_order.videos[0]),), 1, spec.model)
    assert pickle.loads(pickle.dumps(job)) == job  # noqa: S301  # our own bytes


def _place(event_id: str) -> tuple[int, int]:
    milliseconds, sequence = event_id.split("-")
    return int(milliseconds), int(sequence)
