"""A run as lines: the same log gives the same lines, few of them, and each log line says something new."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

import pytest
from rich.console import Console

from flair_ray.domain.calls import CallTally, Usage
from flair_ray.domain.events import Event
from flair_ray.domain.ids import StageName
from flair_ray.terminal.plain import SKIPS_TOLD, PlainView
from flair_ray.terminal.progress import RunProgress


def lines(events: Iterable[Event], spend: str = "$0.00", tally: CallTally | None = None) -> list[str]:
    stream = io.StringIO()
    with PlainView(Console(file=stream, width=80), RunProgress()) as view:
        view.report(spend, tally)
        for event in events:
            view(event)
    return stream.getvalue().splitlines()


def test_a_whole_run(run_log: list[Event]) -> None:
    assert lines(run_log, tally=CallTally(calls=14, usage=Usage(input_tokens=40_000, output_tokens=1234))) == [
        "[0:00] run 3f0c1a52-9d5e, offline, heuristic-1",
        "[0:00] note: Only 4 videos were found; 4 are used.",
        "[0:01] Analyze videos: started, 4 items",
        "[0:01] Analyze videos: 1/4, 3 in flight, ETA 0:07, $0.00",
        "[0:02] Analyze videos: 2/4, 2 in flight, ETA 0:06, $0.00",
        "[0:02] Analyze videos: 3/4, 1 in flight, ETA 0:06, $0.00",
        "[0:03] Analyze videos: skipped v4: The model declined to answer.",
        "[0:03] Analyze videos: done, 4/4, 1 skipped, 2.0s, $0.00",
        "[0:03] Find patterns: started, 1 item",
        "[0:03] Find patterns: done, 1/1, 0.1s, $0.00",
        "[0:03] Write scripts: started, 5 items",
        "[0:03] Write scripts: 2/5, 3 in flight, ETA 0:04, $0.00",
        "[0:04] Write scripts: 4/5, 1 in flight, ETA 0:03, $0.00",
        "[0:05] Write scripts: done, 5/5, 2.0s, $0.00",
        "[0:05] Panel votes: started, 3 items",
        "[0:06] Panel votes: 1/3, 2 in flight, ETA 0:03, $0.00",
        "[0:07] Panel votes: 2/3, 1 in flight, ETA 0:02, $0.00",
        "[0:08] Panel votes: done, 3/3, 3.0s, $0.00",
        "[0:08] Rank: started, 1 item",
        "[0:08] Rank: done, 1/1, 0.1s, $0.00",
        "[0:08] Personalize: started, 2 items",
        "[0:08] Personalize: 1/2, 1 in flight, ETA 0:01, $0.00",
        "[0:09] Personalize: done, 2/2, 0.8s, $0.00",
        "[0:09] completed: 2 scripts in 9.0s, 14 calls, 41.2k tokens, $0.00",
    ]


def test_what_was_told_is_not_told_again(run_log: list[Event]) -> None:
    assert lines([*run_log, *run_log]) == lines(run_log)


@pytest.mark.parametrize(("every_s", "told"), [(0.01, 3), (0.3, 9), (60.0, 9)])
def test_a_stage_is_told_in_tenths_or_in_quarters_when_it_is_quick(log: Any, every_s: float, told: int) -> None:
    log.begin(videos=100)
    log.stage(0, StageName.S1, 100)
    for n in range(1, 101):
        log.video(n * every_s, n, 100)
    log.end_stage(100 * every_s, StageName.S1)
    assert sum(" in flight" in line for line in lines(log.events)) == told


def test_a_few_reasons_stand_for_all(log: Any) -> None:
    log.begin(videos=50)
    log.stage(0, StageName.S1, 50)
    for n in range(1, 51):
        log.add(n / 100, "s1_video_skipped", video_id=f"v{n}", reason="no answer", completed=n, total=50)
    log.end_stage(1, StageName.S1)
    told = lines(log.events)
    assert sum("skipped v" in line for line in told) == SKIPS_TOLD
    assert told[-1] == "[0:01] Analyze videos: done, 50/50, 50 skipped, 1.0s, $0.00"


def test_failure_and_recovery(log: Any) -> None:
    log.begin()
    log.add(3, "pipeline_error", stage="S1_MAP", error="S1_MAP: 3 of 4 items failed.", recoverable=True)
    log.add(63, "pipeline_recovered", run_id="x", kept={}, left={})
    log.add(64, "pipeline_cancelled", run_id="x", stage=None)
    assert lines(log.events)[1:] == [
        "[0:03] failed: S1_MAP: 3 of 4 items failed., 0 of 14 items, $0.00",
        "[0:03] resumed: what was recorded is kept",
        "[0:04] cancelled: 0 scripts in 4.0s, 0 of 14 items, $0.00",
    ]


def test_a_line_is_one_line_and_only_text(log: Any) -> None:
    log.begin()
    reason = "first\nsecond \x1b[31mred\x1b[0m [bold]not bold[/] " + "x" * 200
    log.add(1, "s1_video_skipped", video_id="v1", reason=reason, completed=1, total=4)
    told = lines(log.events)[1]
    assert told == f"[0:01] Analyze videos: skipped v1: first second red [bold]not bold[/] {'x' * 200}"
