"""A run as lines of text, for logs, pipes and terminals that cannot be drawn over.

A stage gets a line when it begins and one when it ends; in between one per tenth of its items, or, while tenths
follow each other within two seconds, one per quarter: a quick run stays short and still shows its counts.
Times are the events' own, so that the same log gives the same lines; what was told before is not told again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import islice
from typing import NamedTuple, Self

from rich.console import Console
from rich.text import Text

from flair_ray.domain.calls import CallTally
from flair_ray.domain.events import Event, EventName
from flair_ray.domain.runs import RunStatus
from flair_ray.terminal.progress import RunProgress, StageProgress
from flair_ray.terminal.wording import STAGE_LABELS, calls_text, clean, clock, eta_text, plural, span

STEP, QUICK_STEP, STEP_MS = 0.1, 0.25, 2000
SKIPS_TOLD = 5
"""Skip reasons per stage; its last line counts them all."""


class View(ABC):
    """Shows a run's events as they come, inside its context."""

    def __init__(self, console: Console, progress: RunProgress) -> None:
        self._console = console
        self._progress = progress
        self._spend = ""
        self._tally: CallTally | None = None

    @abstractmethod
    def __call__(self, event: Event) -> None:
        """Take one event in."""

    def report(self, spend: str, tally: CallTally | None = None) -> None:
        """What the run has cost so far, in words, and its calls."""
        self._spend, self._tally = spend, tally

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class _Told(NamedTuple):
    """What was last said of a stage."""

    status: str = "pending"
    completed: int = 0
    skips: int = 0
    at_ms: int = 0


class PlainView(View):
    """Prints ``progress`` as it changes."""

    def __init__(self, console: Console, progress: RunProgress) -> None:
        super().__init__(console, progress)
        self._status = RunStatus.PENDING
        self._told: dict[str, _Told] = {}

    def __call__(self, event: Event) -> None:
        """Take an event in and print what it brought, if that is worth a line."""
        if not self._progress.apply(event):
            return
        if self._progress.status is not self._status or event.name == EventName.PIPELINE_RECOVERED:
            self._status = self._progress.status
            self._tell_run(event)
        for stage in self._progress.stages.values():
            self._tell(stage, event.at_ms)

    def _tell(self, stage: StageProgress, at_ms: int) -> None:
        told, label = self._told.get(stage.name, _Told()), STAGE_LABELS[stage.name]
        for item, reason in islice(stage.skips.items(), told.skips, SKIPS_TOLD):
            self._say(at_ms, f"{label}: skipped {item}: {reason}")
        told = self._told[stage.name] = told._replace(skips=max(told.skips, len(stage.skips)))
        step = (stage.completed - told.completed) / max(1, stage.total)
        due = step >= QUICK_STEP or (step >= STEP and at_ms - told.at_ms >= STEP_MS)
        if stage.status != told.status or (stage.status == "running" and due and stage.completed < stage.total):
            self._told[stage.name] = _Told(stage.status, stage.completed, told.skips, at_ms)
            self._say(at_ms, f"{label}: {self._state(stage, told, at_ms)}")

    def _state(self, stage: StageProgress, told: _Told, at_ms: int) -> str:
        count = f"{stage.completed}/{stage.total}"
        if stage.status == "completed":
            skipped = f"{len(stage.skips)} skipped" if stage.skips else ""
            return _list("done", count, skipped, span(stage.elapsed_ms(at_ms) / 1000), self._spend)
        if told.status == "pending":
            return f"started, {plural(stage.total, 'item')}"
        return _list(count, f"{stage.in_flight} in flight", eta_text(self._progress, at_ms), self._spend)

    def _tell_run(self, event: Event) -> None:
        run, outcome = self._progress, self._progress.error
        if event.name == EventName.PIPELINE_RECOVERED:
            self._say(event.at_ms, "resumed: what was recorded is kept")
        elif run.status is RunStatus.RUNNING:
            for line in (f"run {run.run_id}, {', '.join(run.model)}", *(f"note: {text}" for text in run.warnings)):
                self._say(event.at_ms, line)
        else:
            outcome = outcome or f"{plural(run.results, 'script')} in {span(run.elapsed_s(event.at_ms))}"
            self._say(event.at_ms, _list(f"{run.status}: {outcome}", calls_text(run, self._tally), self._spend))

    def _say(self, at_ms: int, text: str) -> None:
        self._console.print(Text(f"[{clock(self._progress.elapsed_s(at_ms))}] {clean(text)}"), soft_wrap=True)


def _list(*parts: str) -> str:
    return ", ".join(filter(None, parts))
