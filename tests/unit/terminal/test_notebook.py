"""The view in a notebook's cell: it shows what the log says, escapes everything, and never lags behind for good."""

from __future__ import annotations

import queue
import re
import subprocess
import sys
from dataclasses import replace

from flair_ray.domain.events import Event, EventName
from flair_ray.terminal.notebook import NotebookView, page
from flair_ray.terminal.progress import RunProgress


def folded(events: list[Event]) -> RunProgress:
    progress = RunProgress()
    for event in events:
        progress.apply(event)
    return progress


def words(html: str) -> str:
    return " ".join(re.sub("<[^>]+>", " ", html).split())


def test_it_shows_stages_counts_flight_and_time(run_log: list[Event]) -> None:
    half = [event for event in run_log if event.at_ms <= run_log[0].at_ms + 4_200]
    shown = words(page(folded(half), run_log[0].at_ms + 4_200))
    assert shown.startswith("3f0c1a52 · offline · heuristic-1 running · elapsed 0:04 · ETA 0:04")
    assert "Analyze videos 4/4 1 skipped 2.0s" in shown
    assert "Write scripts 2/5 3 in flight 1.1s" in shown
    assert "width:100%" in page(folded(run_log), 0)


def test_no_text_from_outside_is_markup(run_log: list[Event]) -> None:
    nasty = "<img src=x onerror=alert(1)>\x1b[2J"
    events = [
        replace(e, data={k: nasty if isinstance(v, str) else v for k, v in e.data.items()})
        if e.name not in (EventName.STAGE_STARTED, EventName.STAGE_COMPLETED)
        else e
        for e in run_log
    ]
    for count in range(len(events)):
        html = page(folded(events[:count]), 0)
        assert "<img" not in html
        assert "\x1b" not in html


def test_what_comes_too_soon_is_drawn_a_moment_later(run_log: list[Event]) -> None:
    drawn: queue.Queue[str] = queue.Queue()
    view = NotebookView(drawn.put)
    for event in run_log[:-1]:
        view(event)
    assert words(drawn.get(timeout=5)).startswith("pending")
    last = [drawn.get(timeout=5)]
    while page(folded(run_log[:-1]), 0).count("completed") != last[-1].count("completed"):
        last.append(drawn.get(timeout=5))
    assert len(last) < len(run_log) / 2


def test_the_end_is_drawn_at_once(run_log: list[Event]) -> None:
    drawn: list[str] = []
    view = NotebookView(drawn.append, now_ms=lambda: 0)
    for event in run_log:
        view(event)
    assert "completed" in words(drawn[-1])


def test_outside_a_notebook_it_is_lines() -> None:
    code = "import flair_ray, sys; print(type(flair_ray.live()).__name__, 'ray' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["PlainView", "False"]
