"""The moving view of a run: one panel of a fixed height, drawn over itself four times a second.

``frame`` is a pure function from a RunProgress and a moment to that panel. ``LiveView`` draws it in rich's thread
while ``apply`` is called from the run's, so both take the same lock.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from flair_ray.domain.calls import CallTally
from flair_ray.domain.events import Event
from flair_ray.terminal.plain import PlainView, View
from flair_ray.terminal.progress import RunProgress, StageProgress
from flair_ray.terminal.wording import STAGE_LABELS, STYLES, calls_text, clean, clock, eta_text, span

REFRESHES_PER_S = 4
WIDEST = 120
"""Columns: a bar across a very wide screen is no easier to read."""
NARROW = 80
NOW_LINES = 3
_MARKS = {"pending": "·", "completed": "✓", "failed": "✗", "cancelled": "■", "running": "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"}
_ASCII_MARKS = {"pending": ".", "completed": "+", "failed": "x", "cancelled": "o", "running": "|/-\\"}


def frame(
    progress: RunProgress, now_ms: int, spend: str = "", tally: CallTally | None = None, *, width: int, ascii_only: bool
) -> Panel:
    """The run at one moment, at most ``width`` columns wide."""
    status, dot = progress.status.value, " - " if ascii_only else " · "
    facts = (f"elapsed {clock(progress.elapsed_s(now_ms))}", eta_text(progress, now_ms), calls_text(progress, tally))
    now = [_line(label, text, ascii_only=ascii_only) for label, text in _now(progress, dot)]
    return Panel(
        Group(
            Text(clean(dot.join(filter(None, (*facts, spend)))), "bold", no_wrap=True, overflow="crop"),
            Text(),
            _table(progress, progress.shown_ms(now_ms), 2 if width >= NARROW else 1, ascii_only=ascii_only),
            Text(),
            *(now + [Text()] * NOW_LINES)[:NOW_LINES],
        ),
        title=Text.assemble("flair ", (clean(progress.run_id)[:8], "bold"), *(dot + clean(m) for m in progress.model)),
        title_align="left",
        subtitle=Text(status, STYLES[status]),
        subtitle_align="right",
        border_style=STYLES[status],
        width=min(width, WIDEST),
    )


def _table(progress: RunProgress, now_ms: int, gap: int, *, ascii_only: bool) -> Table:
    table = Table(box=None, expand=True, padding=(0, gap, 0, 0), pad_edge=False, header_style="dim")
    counts = [f"{s.completed:>{len(str(s.total))}}/{s.total}" if s.total else "" for s in progress.stages.values()]
    table.add_column(width=16)
    table.add_column(ratio=1)
    for title, size in (("done", max(4, *map(len, counts))), ("in flight", 9), ("skipped", 7), ("time", 5)):
        table.add_column(title, justify="right", no_wrap=True, width=size)
    for stage, count in zip(progress.stages.values(), counts, strict=True):
        stopped = stage.status == "running" and progress.status.terminal
        state = progress.status.value if stopped else stage.status
        marks = (_ASCII_MARKS if ascii_only else _MARKS)[state]
        mark = marks[now_ms * REFRESHES_PER_S // 1000 % len(marks)]
        table.add_row(
            Text.assemble((mark, STYLES[state]), " ", (STAGE_LABELS[stage.name], "dim" if state == "pending" else "")),
            _bar(stage, STYLES[state]),
            count,
            "" if stopped else str(stage.in_flight or ""),
            Text(str(len(stage.skips) or ""), "yellow"),
            "" if stage.status == "pending" else span(stage.elapsed_ms(now_ms) / 1000),
        )
    return table


def _bar(stage: StageProgress, style: str) -> ProgressBar:
    full = 1.0 if stage.status == "completed" else stage.completed / max(1, stage.total)
    return ProgressBar(1.0, full, complete_style=style, finished_style=style)


def _line(label: str, text: str, *, ascii_only: bool) -> Text:
    line = Text.assemble((f"{label:<9}", "bold red" if label == "failed" else "dim"), clean(text), no_wrap=True)
    line.overflow = "crop" if ascii_only else "ellipsis"
    return line


def _now(progress: RunProgress, dot: str) -> list[tuple[str, str]]:
    """What to say of the present, most important first: (label, text)."""
    stage = progress.current
    if progress.error:
        return [("failed", progress.error)]
    if stage is None:
        return [("now", "starting up"), *_labelled("note", progress.warnings)]
    skips = [("skipped", f"{item}: {reason}") for item, reason in list(stage.skips.items())[-1:]]
    news = _labelled("latest", reversed(progress.news))
    if progress.leaders:
        board = dot.join(f"{script_id} {points}" for script_id, points in progress.leaders)
        return [("leading", board), ("", progress.hooks.get(progress.leaders[0][0], "")), *skips, *news]
    mix = dot.join(f"{kind} {count}" for kind, count in progress.hook_types.most_common())
    return [("hooks", mix), *skips, *news]


def _labelled(label: str, texts: Iterable[str]) -> list[tuple[str, str]]:
    return [(label if place == 0 else "", text) for place, text in enumerate(texts)]


class LiveView(View):
    """Shows ``progress`` while its context is open and leaves the last frame standing."""

    def __init__(self, console: Console, progress: RunProgress, now_ms: Callable[[], int] | None = None) -> None:
        super().__init__(console, progress)
        self._now_ms = now_ms or (lambda: time.time_ns() // 1_000_000)
        self._lock = threading.Lock()
        self._live = Live(console=console, refresh_per_second=REFRESHES_PER_S, get_renderable=self._frame)

    def __call__(self, event: Event) -> None:
        """Take an event in; it shows at the next refresh."""
        with self._lock:
            self._progress.apply(event)

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def _frame(self) -> Panel:
        options = self._console.options
        ascii_only = options.ascii_only or options.legacy_windows
        with self._lock:
            now_ms, width = self._now_ms(), self._console.width
            return frame(self._progress, now_ms, self._spend, self._tally, width=width, ascii_only=ascii_only)


def watch(console: Console) -> View:
    """The view that suits this console, of no event yet: the panel where it can be drawn over, else lines."""
    return (LiveView if console.is_interactive else PlainView)(console, RunProgress())
