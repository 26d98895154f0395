"""All six stages, driven to an end, with everything that is recorded on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from flair_ray.config import Settings
from flair_ray.domain.calls import ChatRequest, Completion
from flair_ray.domain.ids import REFINING, SIX, RunId, StageName
from flair_ray.domain.runs import RunStatus
from flair_ray.engine.driver import Driver
from flair_ray.engine.order import Order, prepare
from flair_ray.engine.plan import PLAN
from flair_ray.engine.results import gather_result
from flair_ray.errors import AuthRefused, InputError, ServerTrouble
from flair_ray.providers.offline import OfflineProvider
from flair_ray.stores.redis_store import RedisRunStore

Submit = Callable[[Order], Awaitable[RunId]]
MakeDriver = Callable[..., Driver]


class OfflineBut(OfflineProvider):
    """The offline provider, except for one stage, whose server is down or wants another key."""

    def __init__(self, stage: StageName, error: Exception) -> None:
        super().__init__()
        self._stage, self._error = stage, error

    async def complete(self, request: ChatRequest, timeout_s: float) -> Completion:
        if request.stage is self._stage:
            raise self._error
        return await super().complete(request, timeout_s)


def test_the_plan_is_data() -> None:
    assert [step.name for step in PLAN] == list(StageName)
    assert tuple(step.name for step in PLAN if step.name not in REFINING) == SIX


async def test_a_run_is_recorded_before_it_is_driven(store: RedisRunStore, submit: Submit, small_order: Order) -> None:
    run_id = await submit(small_order)
    snapshot = await store.snapshot(run_id)
    assert snapshot.status is RunStatus.PENDING
    assert [e.name for e in await store.events(run_id)] == ["pipeline_started"]


async def test_a_run_ends_with_ranked_scripts(
    store: RedisRunStore, submit: Submit, local_driver: MakeDriver, small_order: Order
) -> None:
    run_id = await submit(small_order)
    assert await local_driver().drive(run_id) is RunStatus.COMPLETED
    result = await gather_result(store, run_id)
    assert [final.rank for final in result.results] == [1, 2, 3]
    assert [final.script_id for final in result.results] == [row.script_id for row in result.ranking.top(3)]
    assert len(result.patterns) == 12
    assert len(result.ballots) == 7
    assert len(result.ranking.rows) == 6


async def test_events_counters_and_results_agree(
    store: RedisRunStore, submit: Submit, local_driver: MakeDriver, small_order: Order
) -> None:
    run_id = await submit(small_order)
    await local_driver().drive(run_id)
    events = await store.events(run_id)
    told = Counter(e.name for e in events)
    stages = (await store.snapshot(run_id)).stages
    for stage, event, items in (
        (StageName.S1, "s1_progress", 12),
        (StageName.S3, "s3_progress", 6),
        (StageName.S4, "vote_cast", 7),
        (StageName.S6, "s6_progress", 3),
    ):
        assert told[event] == stages[stage].completed == stages[stage].total == stages[stage].tally.calls == items
        assert [e.data["completed"] for e in events if e.name == event] == list(range(1, items + 1))
    assert (events[0].name, events[-1].name) == ("pipeline_started", "pipeline_complete")


async def test_the_same_order_gives_the_same_scripts(
    store: RedisRunStore, submit: Submit, local_driver: MakeDriver, small_order: Order
) -> None:
    results = []
    for _ in range(2):
        run_id = await submit(small_order)
        await local_driver().drive(run_id)
        results.append(await gather_result(store, run_id))
    assert results[0].results == results[1].results
    assert results[0].ranking == results[1].ranking


def test_more_than_there_is_is_less_than_was_hoped_for(small_order: Order, settings: Settings) -> None:
    spec, inputs = prepare(replace(small_order, num_videos=500, top_n=9), settings)
    assert spec.num_videos == len(inputs.videos) == 120
    assert spec.top_n == 6
    assert len(spec.warnings) == 2


def test_a_count_that_makes_no_sense_is_refused_before_anything_starts(small_order: Order, settings: Settings) -> None:
    with pytest.raises(InputError, match="--num-scripts must be at least 1, not 0"):
        prepare(replace(small_order, num_scripts=0), settings)


async def test_a_stage_that_cannot_be_done_fails_the_run(
    store: RedisRunStore, submit: Submit, local_driver: MakeDriver, small_order: Order
) -> None:
    run_id = await submit(small_order)
    down = OfflineBut(StageName.S3, ServerTrouble("The provider answered 503.", retry_after_s=1e-3))
    assert await local_driver(down).drive(run_id) is RunStatus.FAILED
    snapshot = await store.snapshot(run_id)
    assert snapshot.error == "S3_SEQUENTIAL: 6 of 6 items failed, most often: The provider answered 503."
    assert snapshot.stages[StageName.S3].tally.calls == 6 * 3
    assert (await store.events(run_id))[-1].name == "pipeline_error"


async def test_what_a_failed_run_has_is_still_there(
    store: RedisRunStore, submit: Submit, local_driver: MakeDriver, small_order: Order
) -> None:
    run_id = await submit(small_order)
    await local_driver(OfflineBut(StageName.S4, ServerTrouble("503", retry_after_s=1e-3))).drive(run_id)
    result = await gather_result(store, run_id)
    assert (result.status, len(result.scripts), result.ranking) == (RunStatus.FAILED, 6, None)


async def test_a_refused_key_ends_the_run_at_once(
    store: RedisRunStore, submit: Submit, local_driver: MakeDriver, small_order: Order
) -> None:
    """Every other call would be refused, too."""
    run_id = await submit(small_order)
    assert await local_driver(OfflineBut(StageName.S1, AuthRefused("Check the key."))).drive(run_id) is RunStatus.FAILED
    snapshot = await store.snapshot(run_id)
    assert (snapshot.error, snapshot.exit_code) == ("Check the key.", 3)
    assert snapshot.stages[StageName.S1].completed == 0


async def test_a_script_that_cannot_be_personalized_stands_as_it_was(
    store: RedisRunStore, submit: Submit, local_driver: MakeDriver, small_order: Order
) -> None:
    run_id = await submit(small_order)
    down = OfflineBut(StageName.S6, ServerTrouble("503", retry_after_s=1e-3))
    assert await local_driver(down).drive(run_id) is RunStatus.COMPLETED
    finals = (await gather_result(store, run_id)).results
    assert [f.personalized for f in finals] == [False] * 3
    assert all(f.personalized_script == f.original_script.text for f in finals)
