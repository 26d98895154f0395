"""The moving view of a run in a notebook's cell: one element, drawn over itself at most four times a second.

    result = await flair_ray.arun(progress=flair_ray.live())

``page`` is a pure function from a RunProgress and a moment to HTML, in which every text from outside is cleaned and
escaped. ``NotebookView`` is told events from whatever thread the run is in; what comes too soon to be drawn is drawn
a moment later, so that the last thing that happened always shows.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from html import escape
from typing import Any

from rich.console import Console

from flair_ray.domain.events import Event
from flair_ray.terminal.live import REFRESHES_PER_S
from flair_ray.terminal.plain import PlainView
from flair_ray.terminal.progress import RunProgress, StageProgress
from flair_ray.terminal.wording import STAGE_LABELS, clean, clock, eta_text, span

_COLOURS = {"running": "#0e7490", "completed": "#15803d", "failed": "#b91c1c", "cancelled": "#a16207"}
_CELL = "text-align:right;padding:1px 8px;font-variant-numeric:tabular-nums"
_BAR = "width:16em;height:.7em;background:#8883;border-radius:3px"


def page(progress: RunProgress, now_ms: int) -> str:
    """The run at one moment."""
    status = progress.status.value
    facts = (status, f"elapsed {clock(progress.elapsed_s(now_ms))}", eta_text(progress, now_ms))
    name = " · ".join(filter(None, (progress.run_id[:8], *progress.model)))
    rows = "".join(_row(stage, status, progress.shown_ms(now_ms)) for stage in progress.stages.values())
    lines = [progress.error] if progress.error else list(progress.warnings) + list(progress.news)
    notes = "".join(f"<div><small>{_text(line)}</small></div>" for line in lines)
    head = f"<div><b>{_text(name)}</b> {_text(' · '.join(filter(None, facts)))}</div>"
    return f'<div>{head}<table style="margin:.3em 0">{rows}</table>{notes}</div>'


def _row(stage: StageProgress, run: str, now_ms: int) -> str:
    state = run if stage.status == "running" and run in ("failed", "cancelled") else stage.status
    share = 100.0 if stage.status == "completed" else 100 * stage.completed / max(1, stage.total)
    fill = f"width:{share:.0f}%;height:100%;background:{_COLOURS.get(state, '#8888')};border-radius:3px"
    cells = (
        f"{stage.completed}/{stage.total}" if stage.total else "",
        f"{stage.in_flight} in flight" if stage.in_flight else "",
        f"{len(stage.skips)} skipped" if stage.skips else "",
        "" if stage.status == "pending" else span(stage.elapsed_ms(now_ms) / 1000),
    )
    return (
        f'<tr><td style="text-align:left">{_text(STAGE_LABELS[stage.name])}</td>'
        f'<td><div style="{_BAR}"><div style="{fill}"></div></div></td>'
        + "".join(f'<td style="{_CELL}">{cell}</td>' for cell in cells)
        + "</tr>"
    )


def _text(value: str) -> str:
    return escape(clean(value))


class NotebookView:
    """Takes a run's events in and has ``draw`` show what they come to."""

    def __init__(self, draw: Callable[[str], None], now_ms: Callable[[], int] | None = None) -> None:
        self._draw = draw
        self._now_ms = now_ms or (lambda: time.time_ns() // 1_000_000)
        self._progress = RunProgress()
        self._drawn_ms = 0
        self._later: threading.Timer | None = None
        self._lock = threading.Lock()
        draw(page(self._progress, self._now_ms()))

    def __call__(self, event: Event) -> None:
        with self._lock:
            self._progress.apply(event)
            wait_ms = self._drawn_ms + 1000 // REFRESHES_PER_S - self._now_ms()
            if wait_ms <= 0 or self._progress.status.terminal:
                self._show()
            elif self._later is None:
                self._later = threading.Timer(wait_ms / 1000, self._show_later)
                self._later.daemon = True
                self._later.start()

    def _show_later(self) -> None:
        with self._lock:
            if self._later is not None:
                self._show()

    def _show(self) -> None:
        if self._later is not None:
            self._later.cancel()
            self._later = None
        self._drawn_ms = self._now_ms()
        self._draw(page(self._progress, self._drawn_ms))


def live() -> Callable[[Event], None]:
    """What to give ``run`` or ``arun`` as ``progress``: shows a run as it goes, moving in the notebook's cell that
    calls this, as lines of text on standard error anywhere else. One for each run."""
    if not _in_notebook():
        return PlainView(Console(stderr=True), RunProgress())
    from IPython import display

    logging.getLogger("ray.widgets").setLevel(logging.WARNING)  # on import it asks for widgets that nothing here uses
    shown: Any = display.display(display.HTML(""), display_id=True)  # type: ignore[no-untyped-call]
    return NotebookView(lambda text: shown.update(display.HTML(text)))  # type: ignore[no-untyped-call]


def _in_notebook() -> bool:
    """Not IPython in a terminal: that has no cell to draw in."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and getattr(ipython.get_ipython(), "kernel", None) is not None
