"""What holds of a run that has ended, whatever was killed meanwhile."""

from __future__ import annotations

from collections import Counter
from typing import Any

from flair_ray.domain.events import TERMINAL, Event, EventName
from flair_ray.domain.ids import SIX, RunId, StageName
from flair_ray.domain.runs import RunStatus
from flair_ray.domain.work import Done
from flair_ray.stores.redis_store import RedisRunStore
from tests.chaos.following import PROGRESS, recorded
from tests.chaos.rig import MAPS, Sizes


def safe_items(log: list[Event]) -> frozenset[tuple[StageName, str]]:
    return frozenset((stage, str(event.data[PROGRESS[stage][1]])) for stage in MAPS for event in recorded(log, stage))


async def check_run(
    store: RedisRunStore, run_id: RunId, sizes: Sizes, told: list[Event], safe: frozenset[tuple[StageName, str]]
) -> dict[str, int]:
    """Complete, counted right, told once and in order; gives each stage's calls as the run counted them.

    ``told`` is what a viewer saw live, ``safe`` what was recorded at the kill. A call counts when its answer is
    recorded, also when the item has one already: a worker that outlives its driver for a moment may still bring one. A
    call that died with its worker counts nowhere.
    """
    calls = {}
    log = await store.events(run_id)
    snapshot = await store.snapshot(run_id)
    assert snapshot.status is RunStatus.COMPLETED, snapshot.error
    assert [event.event_id for event in told] == [event.event_id for event in log]
    assert len({event.event_id for event in log}) == len(log)
    _check_transitions(log)
    fingerprint = (await store.spec(run_id)).fingerprint
    for stage, items in sizes.by_stage.items():
        outcomes = await store.outcomes(run_id, fingerprint, stage)
        events, name = recorded(log, stage), PROGRESS[stage][1]
        assert all(isinstance(outcome, Done) for outcome in outcomes.values()), stage
        assert Counter(event.data[name] for event in events) == Counter(list(outcomes)), stage
        assert [event.data["completed"] for event in events] == list(range(1, items + 1)), stage
        counts = snapshot.stages[stage]
        assert (counts.completed, len(outcomes)) == (items, items), stage
        calls[stage.value] = counts.tally.calls
    assert safe <= safe_items(log)
    return calls


def _check_transitions(log: list[Event]) -> None:
    """Each once and in the plan's order: a second driver's would show as a doubled or a late one."""
    names = (EventName.STAGE_STARTED, EventName.STAGE_COMPLETED)
    moves = [(event.data["stage"], event.name) for event in log if event.name in names]
    assert moves == [(stage.value, name.value) for stage in SIX for name in names]
    assert [event.name in TERMINAL for event in log] == [False] * (len(log) - 1) + [True]
    assert log[0].name == EventName.PIPELINE_STARTED


def check_calls(counted: dict[str, int], stats: dict[str, Any], sizes: Sizes, stage: StageName, most: int) -> None:
    """Calls in flight at the kill, ``most`` of them, may have been made again, in that stage; no others.

    ``counted`` is what the run says, ``stats`` what its model saw.
    """
    asked = Counter(stats["by_stage"])
    elsewhere = {s.value: n for s, n in sizes.by_stage.items() if s is not stage}
    assert {s: n for s, n in asked.items() if s != stage} == elsewhere
    assert {s: n for s, n in counted.items() if s != stage} == elsewhere
    assert sizes.of(stage) <= counted[stage.value] <= asked[stage.value], (counted, stats)
    extra = stats["calls"] - sizes.total
    assert extra == stats["repeated_prompts"] == asked[stage.value] - sizes.of(stage), stats
    assert 0 <= extra <= most, stats
    assert stats["in_flight"] == 0, stats
