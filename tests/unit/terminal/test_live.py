"""The panel: it fits, it stays the same height, it obeys nobody's text, and it leaves the terminal as it was."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from flair_ray.domain.calls import CallTally, Usage
from flair_ray.domain.events import Event
from flair_ray.domain.ids import StageName
from flair_ray.terminal.live import WIDEST, LiveView, frame, watch
from flair_ray.terminal.plain import PlainView
from flair_ray.terminal.progress import RunProgress

T0 = 1_760_000_000_000
HEIGHT = 15


def folded(events: list[Event]) -> RunProgress:
    progress = RunProgress()
    for event in events:
        progress.apply(event)
    return progress


def terminal(width: int = 100, encoding: str = "utf-8") -> tuple[Console, io.TextIOWrapper]:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="", write_through=True)
    return Console(file=stream, width=width, height=40, force_terminal=True, color_system="truecolor"), stream


def written(stream: io.TextIOWrapper) -> str:
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode(stream.encoding)


def test_it_shows_stages_counts_flight_elapsed_eta_and_spend(run_log: list[Event], show: Callable[..., str]) -> None:
    progress = folded([event for event in run_log if event.at_ms <= T0 + 4_200])
    tally = CallTally(calls=6, usage=Usage(input_tokens=3000))
    drawn = show(frame(progress, T0 + 4_200, "$0.12", tally, width=80, ascii_only=False), width=80)
    lines = [line.strip("│╭╮╰╯─ \n") for line in drawn.splitlines()]
    assert lines[0] == "flair 3f0c1a52 · offline · heuristic-1"
    assert lines[1] == "elapsed 0:04 · ETA 0:04 · 6 calls, 3k tokens · $0.12"
    assert lines[3].split() == ["done", "in", "flight", "skipped", "time"]
    assert lines[4].startswith("✓ Analyze videos")
    assert lines[4].split()[-3:] == ["4/4", "1", "2.0s"]
    assert lines[6].split()[-3:] == ["2/5", "3", "1.1s"]
    assert lines[7].startswith("· Panel votes")
    assert lines[-1] == "running"


@pytest.mark.parametrize("width", [60, 79, 80, 120, 200])
def test_every_moment_has_the_same_shape(run_log: list[Event], show: Callable[..., str], width: int) -> None:
    progress = RunProgress()
    for event in run_log:
        progress.apply(event)
        drawn = show(frame(progress, event.at_ms, "$0.00", width=width, ascii_only=False), width=width).splitlines()
        assert len(drawn) == HEIGHT
        assert {cell_len(line) for line in drawn} == {min(width, WIDEST)}


def test_the_present_is_hooks_then_texts_then_the_board(run_log: list[Event], show: Callable[..., str]) -> None:
    def now(seconds: float) -> list[str]:
        progress = folded([event for event in run_log if event.at_ms <= T0 + seconds * 1000])
        drawn = show(frame(progress, T0 + round(seconds * 1000), width=80, ascii_only=False), width=80)
        return [line.strip("│ ") for line in drawn.splitlines()[11:14]]

    assert now(0.5)[:2] == ["now      starting up", "note     Only 4 videos were found; 4 are used."]
    assert now(2.6)[:2] == ["hooks    story 2 · question 1", "latest   Video number 4"]
    assert now(4.0)[1:] == ["latest   S02 Hook of script 2", "S01 Hook of script 1"]
    assert now(7.2) == [
        "leading  S03 10 · S01 7 · S02 7 · S04 3 · S05 3",
        "Hook of script 3",
        "latest   Viewer 2: S03, S02, S01, S05, S04",
    ]


def test_a_failed_run_says_so_where_it_stopped(log: Any, show: Callable[..., str]) -> None:
    log.begin()
    log.stage(1, StageName.S1, 4)
    log.add(1, "s1_task_started", video_id="v1", description="")
    log.add(3, "pipeline_error", stage="S1_MAP", error="The key is wrong.", recoverable=True)
    drawn = show(frame(folded(log.events), T0 + 99_000, width=80, ascii_only=False), width=80).splitlines()
    assert "✗ Analyze videos" in drawn[4]
    assert drawn[4].split()[-3:] == ["0/4", "2.0s", "│"], "nothing is in flight any more"
    assert "failed   The key is wrong." in drawn[11]
    assert "ETA" not in drawn[1]


def test_hostile_text_is_only_text(log: Any, show: Callable[..., str]) -> None:
    evil = "\x1b]0;title\x07\x1b[2J[red]bold[/red]\n\n\u202eevil\ud800" + "家" * 300
    log.begin(run_id=evil, provider=evil, model=evil, warnings=[evil])
    assert "[red]bold[/red] evil\ufffd家" in show(frame(folded(log.events), T0, width=120, ascii_only=False), width=120)
    log.stage(1, StageName.S3, 4)
    log.add(2, "s3_progress", script_id=evil, hook=evil, completed=1, total=4)
    log.add(2, "vote_cast", persona_id="p", persona_name=evil, top_5=[evil, "S1"], completed=1, total=4)
    log.add(2, "item_skipped", stage="S4_MAP", item_id=evil, reason=evil, completed=2, total=4)
    log.add(3, "pipeline_error", error=evil)
    for count in range(1, len(log.events) + 1):
        drawn = show(frame(folded(log.events[:count]), T0, evil[:5], width=60, ascii_only=False), width=60)
        assert len(drawn.splitlines()) == HEIGHT
        assert not set(drawn) & set("\x1b\x07\u202e\ud800")


def test_it_stays_ascii_where_nothing_else_can_be_shown(run_log: list[Event]) -> None:
    console, stream = terminal(encoding="ascii")
    with LiveView(console, RunProgress(), lambda: T0 + 9_000) as view:
        for event in run_log:
            view(event)
    assert "+ Analyze videos" in Text.from_ansi(written(stream)).plain


def test_the_last_frame_stays_and_the_cursor_comes_back(run_log: list[Event]) -> None:
    console, stream = terminal()
    with LiveView(console, RunProgress(), lambda: T0 + 9_000) as view:
        view.report("$1.23")
        for event in run_log:
            view(event)
    text = written(stream)
    assert "elapsed 0:09" in text[text.rindex("╭") :]
    assert "$1.23" in text
    assert text.rindex("\x1b[?25h") > text.rindex("╰")


def test_the_cursor_comes_back_after_an_error_too() -> None:
    console, stream = terminal()
    with pytest.raises(KeyboardInterrupt), LiveView(console, RunProgress()):
        raise KeyboardInterrupt
    assert "\x1b[?25h" in written(stream)


def test_the_view_suits_the_console(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(watch(terminal()[0]), LiveView)
    assert isinstance(watch(Console(file=io.StringIO())), PlainView)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(watch(terminal()[0]), PlainView)
