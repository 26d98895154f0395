"""A run's state from its events: right counts, whatever is repeated, missing or strange."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flair_ray.domain.events import Event, EventName, Json
from flair_ray.domain.ids import SIX, StageName
from flair_ray.domain.runs import RunStatus
from flair_ray.terminal.progress import RunProgress
from tests.unit.terminal.conftest import Log

T0 = 1_760_000_000_000


def after(events: list[Event], until: float = 1e9) -> RunProgress:
    """The state of this log ``until`` seconds after its start."""
    progress = RunProgress()
    for event in events:
        if event.at_ms <= T0 + until * 1000:
            progress.apply(event)
    return progress


def at(seconds: float) -> int:
    return T0 + round(seconds * 1000)


def test_a_whole_run_is_counted(run_log: list[Event]) -> None:
    progress = after(run_log)
    counts = {s.name: (s.status, s.completed, s.total, len(s.skips)) for s in progress.stages.values()}
    assert counts == {
        StageName.S1: ("completed", 4, 4, 1),
        StageName.S2: ("completed", 1, 1, 0),
        StageName.S3: ("completed", 5, 5, 0),
        StageName.S4: ("completed", 3, 3, 0),
        StageName.S5: ("completed", 1, 1, 0),
        StageName.S6: ("completed", 2, 2, 0),
    }
    assert (progress.status, progress.results) == (RunStatus.COMPLETED, 2)
    assert progress.hook_types == {"story": 2, "question": 1}
    assert progress.leaders == [("S03", 14), ("S01", 12), ("S02", 8), ("S05", 6), ("S04", 5)]
    assert progress.elapsed_s(at(500)) == 9.0, "time stops when the run ends"
    assert progress.stages[StageName.S4].elapsed_ms(at(500)) == 3000


def test_the_plan_is_known_from_the_first_event(run_log: list[Event]) -> None:
    totals = [stage.total for stage in after(run_log[:1]).stages.values()]
    assert totals == [4, 1, 5, 3, 1, 2]


def test_results_are_never_more_than_scripts(log: Any) -> None:
    log.begin(scripts=5, top_n=10)
    assert after(log.events).stages[StageName.S6].total == 5


def test_in_flight_is_what_has_started_and_not_ended(run_log: list[Event]) -> None:
    assert after(run_log, 1.0).stages[StageName.S1].in_flight == 4
    assert after(run_log, 2.1).stages[StageName.S1].in_flight == 2
    assert after(run_log).stages[StageName.S1].in_flight == 0


def test_results_that_were_never_announced_do_not_hide_what_is_in_flight(log: Any) -> None:
    """Answers from an earlier run's cache have no start; the calls that do run must still show."""
    log.begin(videos=6)
    log.stage(0, StageName.S1, 6)
    log.add(0.1, "s1_task_started", video_id="v6", description="")
    for n in range(1, 5):
        log.video(0.2, n, 6)
    assert after(log.events).stages[StageName.S1].in_flight == 1


def test_an_answer_takes_the_place_of_a_skip(log: Any) -> None:
    log.begin(videos=2)
    log.add(1, "s1_video_skipped", video_id="v1", reason="timeout", completed=1, total=2)
    assert after(log.events).stages[StageName.S1].skips == {"v1": "timeout"}
    log.video(2, 1, 2)
    stage = after(log.events).stages[StageName.S1]
    assert (stage.skips, stage.completed) == ({}, 1)


def test_a_script_that_was_replaced_is_a_skip(log: Any) -> None:
    log.begin()
    for n in (1, 2):
        log.add(n, "s3_progress", script_id=f"S0{n}", hook="", completed=n, total=2)
    log.add(3, "s3_complete", script_count=1, script_ids=["S01"], left_out={"S02": "Nearly the same as S01."})
    stage = after(log.events).stages[StageName.S3]
    assert (stage.skips, stage.completed) == ({"S02": "Nearly the same as S01."}, 2)


def test_a_failed_run_says_why_and_a_recovered_one_goes_on(log: Any) -> None:
    log.begin()
    log.stage(1, StageName.S1, 4)
    log.video(2, 1, 4)
    log.add(3, "pipeline_error", stage="S1_MAP", error="No key.", recoverable=True)
    failed = after(log.events)
    assert (failed.status, failed.error, failed.elapsed_s(at(9000))) == (RunStatus.FAILED, "No key.", 3.0)
    log.add(1003, "pipeline_recovered", run_id="x", kept={}, left={})
    recovered = after(log.events)
    assert (recovered.status, recovered.error) == (RunStatus.RUNNING, "")
    assert recovered.elapsed_s(at(1004)) == 4.0, "the pause of 1,000 s is not counted"
    assert recovered.stages[StageName.S1].elapsed_ms(at(1004)) == 3000


def test_a_cancelled_run_has_ended(log: Any) -> None:
    log.begin()
    log.add(3, "pipeline_cancelled", run_id="x", stage=None)
    assert after(log.events).status is RunStatus.CANCELLED


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a_new_event", {"stage": "S1_MAP"}),
        ("snapshot", {}),
        ("stage_started", {"stage": "S9_MAP", "total_items": 3}),
        ("item_skipped", {"stage": "elsewhere", "item_id": "x", "reason": "y", "completed": 1, "total": 2}),
    ],
)
def test_the_unknown_is_ignored(log: Any, name: str, data: dict[str, Any]) -> None:
    log.begin()
    before = after(log.events)
    log.add(1, name, **data)
    now = after(log.events)
    assert now.stages == before.stages
    assert now.status == before.status


class TestEta:
    def test_it_is_unknown_until_a_twentieth_is_done(self, log: Any) -> None:
        log.begin(videos=80, scripts=10, personas=8, top_n=2)
        log.stage(0, StageName.S1, 80)
        for n in range(1, 5):
            log.video(n, n, 80)
        assert after(log.events).eta_s(at(4)) is None
        log.video(5, 5, 80)
        assert after(log.events).eta_s(at(5)) is not None

    def test_it_follows_the_rate(self, log: Any) -> None:
        log.begin(videos=100, scripts=20, personas=42, top_n=10)
        log.stage(0, StageName.S1, 100)
        for n in range(1, 51):
            log.video(n / 10, n, 100)
        assert after(log.events).eta_s(at(5)) == pytest.approx(12.2), "122 calls left at 10 a second"

    def test_a_stage_to_come_takes_at_least_one_call(self, log: Any) -> None:
        log.begin(videos=10, scripts=2, personas=2, top_n=1)
        log.stage(0, StageName.S1, 10)
        for n in range(1, 11):
            log.add(0, "s1_task_started", video_id=f"v{n}", description="")
        for n in range(1, 11):
            log.video(8, n, 10)
        log.end_stage(8, StageName.S1)
        assert after(log.events).eta_s(at(8)) == pytest.approx(24), "three stages, each one call of 8 s"

    def test_it_counts_down_between_completions_and_grows_when_they_stay_away(self, log: Any) -> None:
        log.begin(videos=100)
        log.stage(0, StageName.S1, 100)
        for n in range(1, 41):
            log.add(n - 1, "s1_task_started", video_id=f"v{n}", description="")
            log.video(n, n, 100)
        progress = after(log.events)
        first, soon, late = (progress.eta_s(at(seconds)) for seconds in (40, 40.5, 120))
        assert first is not None
        assert soon == pytest.approx(first - 0.5)
        assert late is not None
        assert late > 2 * first, "nothing for 80 s: the rate has dropped to a third"

    def test_it_ends_with_the_run(self, run_log: list[Event]) -> None:
        assert after(run_log, 8.8).eta_s(at(8.8)) is not None
        assert after(run_log).eta_s(at(9.0)) is None

    def test_a_clock_behind_the_store_does_no_harm(self, run_log: list[Event]) -> None:
        progress = after(run_log, 5.0)
        assert progress.elapsed_s(at(-60)) == pytest.approx(4.7), "the last event's time is the least it can be"
        assert progress.eta_s(at(-60)) == progress.eta_s(at(4.7)) != 0


JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 200), st.text(max_size=5), st.lists(st.integers(), max_size=2)
)
KEYS = (
    "stage",
    "video_id",
    "script_id",
    "persona_id",
    "item_id",
    "completed",
    "total",
    "total_items",
    "top_5",
    "reason",
)


@st.composite
def logs(draw: st.DrawFn) -> list[Event]:
    """Ascending ids, any event, fields sensible or not."""
    events = []
    names = st.sampled_from([*EventName, "something_else"])
    for number in range(draw(st.integers(0, 40))):
        data = draw(st.dictionaries(st.sampled_from(KEYS), JUNK))
        if draw(st.booleans()):
            data["stage"] = data["step"] = draw(st.sampled_from(StageName)).value
        item = {
            "completed": draw(st.integers(0, 9)),
            "total": draw(st.integers(0, 9)),
            "video_id": "v",
            "script_id": "s",
        }
        name = draw(names)
        events.append(
            Event(f"{T0 + number // 2 * 500}-{number % 2}", str(name), data | draw(st.sampled_from([{}, item])))
        )
    return events


@given(logs(), st.data())
def test_replaying_changes_nothing(events: list[Event], data: st.DataObject) -> None:
    progress, plain = RunProgress(), after(events)
    for place, event in enumerate(events):
        assert progress.apply(event)
        for again in events[data.draw(st.integers(0, place)) : place + 1]:
            assert not progress.apply(again)
    assert progress == plain


@given(logs())
def test_counts_keep_their_promises_whatever_the_log_says(events: list[Event]) -> None:
    progress = RunProgress()
    reached = Counter[str]()
    for event in events:
        progress.apply(event)
        for name, stage in progress.stages.items():
            assert reached[name] <= stage.completed <= stage.total
            assert stage.in_flight >= 0
            assert stage.elapsed_ms(event.at_ms) >= 0
            reached[name] = stage.completed
        eta_s = progress.eta_s(event.at_ms)
        assert eta_s is None or eta_s >= 0
        assert progress.elapsed_s(event.at_ms) >= 0


def test_a_refinement_shows_between_the_count_and_the_voice_once_it_begins() -> None:
    log = Log()
    log.begin()
    assert list(after(log.events).stages) == [stage.value for stage in SIX]
    log.stage(1, StageName.S5, 1)
    log.end_stage(1, StageName.S5)
    log.add(1, "refine_started", step="REFINE_PROPOSE", total_items=3)
    told: dict[str, Json] = {"step": "REFINE_PROPOSE", "script_id": "S01", "total": 3}
    log.add(2, "refine_progress", **told, persona_id="p1", persona_name="Ada", reason="Too long.", completed=1)
    log.add(3, "refine_skipped", **told, persona_id="p2", reason="Not in the script.", completed=2)
    run = after(log.events)
    step = run.stages["REFINE_PROPOSE"]
    assert list(run.stages)[4:6] == ["S5_REDUCE", "REFINE_PROPOSE"]
    assert (step.status, step.completed, step.total, step.skips) == ("running", 2, 3, {"S01 p2": "Not in the script."})
    assert list(run.news) == ["Ada: Too long."]
    assert run.current is step
    log.add(4, "refine_completed", step="REFINE_PROPOSE", used=1, skipped=1, late=0)
    log.add(4, "refine_started", step="REFINE_NOBODY_KNOWS", total_items=3)
    log.stage(5, StageName.S6, 2)
    run = after(log.events)
    assert (run.stages["REFINE_PROPOSE"].status, run.stages["REFINE_PROPOSE"].elapsed_ms(0)) == ("completed", 3000)
    assert list(run.stages)[-2:] == ["REFINE_PROPOSE", "S6_PERSONALIZE"]
