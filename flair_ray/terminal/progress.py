"""A run's state as its event log tells it, for whoever shows it.

``RunProgress.apply`` folds one event after the other into counts, times and a few lines of news. It reads no
clock: an event's time is in its id, and what depends on the present takes ``now_ms``.

Invariants, whatever comes in: an event at or before the last one applied changes nothing, so the log can be
replayed from any point; ``completed`` never goes down and never exceeds ``total``; unknown events and stages
are ignored. Time in which nobody worked does not count: on ``pipeline_recovered`` everything that is under
way began later by as long as the log was silent.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from flair_ray.domain.ballots import BALLOT_LENGTH
from flair_ray.domain.events import Event, EventName, Json
from flair_ray.domain.ids import REFINING, SIX, StageName
from flair_ray.domain.runs import RunStatus

T = TypeVar("T")
ETA_FROM_SHARE = 0.05
"""Below this share of the calls their rate says nothing yet."""
NEWS_KEPT = 3

_ITEM_EVENTS = {
    StageName.S1: (EventName.S1_TASK_STARTED, EventName.S1_PROGRESS, "video_id"),
    StageName.S3: (EventName.S3_TASK_STARTED, EventName.S3_PROGRESS, "script_id"),
    StageName.S4: (EventName.S4_TASK_STARTED, EventName.VOTE_CAST, "persona_id"),
    StageName.S6: (EventName.S6_TASK_STARTED, EventName.S6_PROGRESS, "script_id"),
}
"""Per map stage: the event of an item's start, that of its result, and the field with the item's id."""
MAP_STAGES = tuple(_ITEM_EVENTS)
_STARTS = {start: (stage, key) for stage, (start, _, key) in _ITEM_EVENTS.items()}
_RESULTS = {result: (stage, key) for stage, (_, result, key) in _ITEM_EVENTS.items()}
_ENDS = {
    EventName.PIPELINE_COMPLETE: RunStatus.COMPLETED,
    EventName.PIPELINE_ERROR: RunStatus.FAILED,
    EventName.PIPELINE_CANCELLED: RunStatus.CANCELLED,
}


@dataclass(slots=True)
class StageProgress:
    """How far one stage is."""

    name: StageName
    status: str = "pending"
    """pending, running or completed."""
    total: int = 0
    completed: int = 0
    """Skipped ones included."""
    started_ms: int = 0
    ended_ms: int | None = None
    open: dict[str, int] = field(default_factory=dict)
    """Items started that have no outcome yet → when they were started."""
    skips: dict[str, str] = field(default_factory=dict)
    """Items given up → why."""
    timed: int = 0
    """Items whose start and outcome were both seen, …"""
    waited_ms: int = 0
    """… and how long they took, all together."""

    @property
    def in_flight(self) -> int:
        return len(self.open) if self.status == "running" else 0

    def elapsed_ms(self, now_ms: int) -> int:
        if self.status == "pending":
            return 0
        return max(0, (now_ms if self.ended_ms is None else self.ended_ms) - self.started_ms)

    def begin(self, at_ms: int) -> None:
        if self.status == "pending":
            self.status, self.started_ms = "running", at_ms

    def settle(self, item: str, event: Event) -> None:
        """An outcome of ``item`` is recorded, for the first time or in place of a skip."""
        self.begin(event.at_ms)
        if item in self.open:
            self.timed += 1
            self.waited_ms += event.at_ms - self.open.pop(item)
        self.skips.pop(item, None)
        self.total = max(self.total, _get(event.data, "total", 0))
        self.completed = min(self.total, max(self.completed, _get(event.data, "completed", 0)))


@dataclass(slots=True)
class RunProgress:
    """Everything a view of a run needs; only ``apply`` changes it."""

    run_id: str = ""
    status: RunStatus = RunStatus.PENDING
    model: tuple[str, ...] = ()
    """Provider and model, as far as they are known."""
    warnings: tuple[str, ...] = ()
    error: str = ""
    results: int = 0
    started_ms: int | None = None
    ended_ms: int | None = None
    stages: dict[str, StageProgress] = field(default_factory=lambda: {n.value: StageProgress(n) for n in SIX})
    """The six, and the steps of a refinement once they have begun, in the order of the plan."""
    hook_types: Counter[str] = field(default_factory=Counter)
    hooks: dict[str, str] = field(default_factory=dict)
    """Script id → its opening words."""
    points: Counter[str] = field(default_factory=Counter)
    """Script id → Borda points so far."""
    news: deque[str] = field(default_factory=lambda: deque(maxlen=NEWS_KEPT))
    """What came last in the current stage, newest last: videos begun, hooks written, votes cast."""
    _seen: tuple[int, ...] = ()
    _done_ms: int = 0

    def apply(self, event: Event) -> bool:
        """Take in one event; False when it, or a later one, was seen before."""
        position = tuple(int(part) for part in event.event_id.split("-"))
        if position <= self._seen:
            return False
        if handler := _HANDLERS.get(event.name):
            handler(self, event)
        self._seen = position
        return True

    @property
    def current(self) -> StageProgress | None:
        """The furthest stage that has begun."""
        return next((s for s in reversed(self.stages.values()) if s.status != "pending"), None)

    @property
    def leaders(self) -> list[tuple[str, int]]:
        """The scripts with the most points so far, best first."""
        return sorted(self.points.items(), key=lambda pair: (-pair[1], pair[0]))[:BALLOT_LENGTH]

    def shown_ms(self, now_ms: int) -> int:
        """The moment that a view shows: the present, but not before the last event, or the run's end."""
        return max(now_ms, *self._seen[:1], 0) if self.ended_ms is None else self.ended_ms

    def elapsed_s(self, now_ms: int) -> float:
        return 0.0 if self.started_ms is None else max(0, self.shown_ms(now_ms) - self.started_ms) / 1000

    def eta_s(self, now_ms: int) -> float | None:
        """Seconds of work left by the rate of completions so far; None while there is too little to go by.

        A stage to come takes at least as long as a typical call. Between completions the estimate counts
        down; only a wait longer than a typical call lowers the rate.
        """
        maps = [self.stages[name] for name in MAP_STAGES]
        done = sum(stage.completed for stage in maps)
        if self.status is not RunStatus.RUNNING or done < max(1.0, ETA_FROM_SHARE * sum(s.total for s in maps)):
            return None
        typical_ms = sum(s.waited_ms for s in maps) / max(1, sum(s.timed for s in maps))
        now_ms = self.shown_ms(now_ms)
        seen_ms = max(self._done_ms, now_ms - int(typical_ms))
        each_ms = sum(stage.elapsed_ms(seen_ms) for stage in maps) / done
        left_ms = sum((s.total - s.completed) * each_ms for s in maps if s.status == "running")
        left_ms += sum(max(s.total * each_ms, typical_ms) for s in maps if s.status == "pending" and s.total)
        return max(0.0, left_ms - (now_ms - seen_ms)) / 1000

    def _on_run(self, event: Event) -> None:
        data = event.data
        self.run_id, self.status, self.started_ms = _get(data, "run_id", ""), RunStatus.RUNNING, event.at_ms
        self.model = tuple(filter(None, (_get(data, "provider", ""), _get(data, "model", ""))))
        self.warnings = tuple(_texts(data, "warnings"))
        asked = ("total_videos", "total_scripts", "total_personas", "top_n")
        videos, scripts, personas, top_n = (_get(data, key, 0) for key in asked)
        planned = (videos, 1, scripts, personas, 1, min(top_n, scripts))
        for name, total in zip(SIX, planned, strict=True):
            self.stages[name].total = max(self.stages[name].completed, total)

    def _on_stage(self, event: Event) -> None:
        stage = self.stages.get(_get(event.data, "stage", ""))
        if stage is None:
            return
        stage.begin(event.at_ms)
        if event.name == EventName.STAGE_STARTED:
            stage.total = max(stage.completed, _get(event.data, "total_items", 0))
            self.news.clear()
        else:
            stage.status, stage.ended_ms = "completed", event.at_ms
            stage.completed = stage.completed if stage.name in MAP_STAGES else stage.total

    def _on_step(self, event: Event) -> None:
        name = _get(event.data, "step", "")
        if name not in REFINING:
            return
        known = self.stages.setdefault(name, StageProgress(StageName(name)))
        self.stages = {stage.value: self.stages[stage.value] for stage in StageName if stage.value in self.stages}
        if event.name == EventName.REFINE_STARTED:
            known.begin(event.at_ms)
            known.total = max(known.completed, _get(event.data, "total_items", 0))
            self.news.clear()
        elif event.name == EventName.REFINE_COMPLETED:
            known.begin(event.at_ms)
            known.status, known.ended_ms = "completed", event.at_ms
        elif event.name == EventName.REFINE_SKIPPED:
            self._skip(known, _step_item(event), _get(event.data, "reason", ""), event)
        else:
            known.settle(_step_item(event), event)
            self._done_ms = event.at_ms
            if reason := _get(event.data, "reason", ""):
                self.news.append(f"{_get(event.data, 'persona_name', '')}: {reason}")

    def _on_start(self, event: Event) -> None:
        name, key = _STARTS[EventName(event.name)]
        self.stages[name].begin(event.at_ms)
        self.stages[name].open[_get(event.data, key, "")] = event.at_ms
        if name is StageName.S1:
            self.news.append(_get(event.data, "description", ""))

    def _on_result(self, event: Event) -> None:
        name, key = _RESULTS[EventName(event.name)]
        item = _get(event.data, key, "")
        self.stages[name].settle(item, event)
        self._done_ms = event.at_ms
        if name is StageName.S1:
            self.hook_types[_get(event.data, "hook_type", "").replace("_", " ")] += 1
        elif name is StageName.S4:
            self._count_vote(_get(event.data, "persona_name", ""), _texts(event.data, "top_5"))
        else:
            self.hooks.setdefault(item, _get(event.data, "hook", ""))
            self.news.append(f"{item} {self.hooks[item]}")

    def _count_vote(self, voter: str, top: list[str]) -> None:
        for place, script_id in enumerate(top[:BALLOT_LENGTH]):
            self.points[script_id] += BALLOT_LENGTH - place
        if top:  # a viewer who is asked again scores nothing
            self.news.append(f"{voter}: {', '.join(top)}")

    def _on_skip(self, event: Event) -> None:
        video = _get(event.data, "video_id", "")
        stage = self.stages.get(StageName.S1 if video else _get(event.data, "stage", ""))
        if stage is not None:
            self._skip(stage, video or _get(event.data, "item_id", ""), _get(event.data, "reason", ""), event)

    def _skip(self, stage: StageProgress, item: str, reason: str, event: Event) -> None:
        stage.settle(item, event)
        stage.skips[item] = reason
        self._done_ms = event.at_ms

    def _on_scripts(self, event: Event) -> None:
        nobody: dict[str, Json] = {}
        for item, reason in _get(event.data, "left_out", nobody).items():
            self._skip(self.stages[StageName.S3], item, str(reason), event)

    def _on_recovery(self, event: Event) -> None:
        silent_ms = event.at_ms - (self._seen[0] if self._seen else event.at_ms)
        self.status, self.ended_ms, self.error = RunStatus.RUNNING, None, ""
        self.started_ms = event.at_ms if self.started_ms is None else self.started_ms + silent_ms
        self._done_ms += silent_ms
        for stage in self.stages.values():
            if stage.status == "running":
                stage.started_ms += silent_ms
                stage.open = {item: begun_ms + silent_ms for item, begun_ms in stage.open.items()}

    def _on_end(self, event: Event) -> None:
        self.status, self.ended_ms = _ENDS[EventName(event.name)], event.at_ms
        self.results, self.error = _get(event.data, "result_count", 0), _get(event.data, "error", "")


_HANDLERS: Mapping[str, Callable[[RunProgress, Event], None]] = {
    EventName.PIPELINE_STARTED: RunProgress._on_run,
    EventName.STAGE_STARTED: RunProgress._on_stage,
    EventName.STAGE_COMPLETED: RunProgress._on_stage,
    **dict.fromkeys(_STARTS, RunProgress._on_start),
    **dict.fromkeys(_RESULTS, RunProgress._on_result),
    EventName.S1_VIDEO_SKIPPED: RunProgress._on_skip,
    EventName.ITEM_SKIPPED: RunProgress._on_skip,
    EventName.S3_COMPLETE: RunProgress._on_scripts,
    EventName.REFINE_STARTED: RunProgress._on_step,
    EventName.REFINE_PROGRESS: RunProgress._on_step,
    EventName.REFINE_SKIPPED: RunProgress._on_step,
    EventName.REFINE_COMPLETED: RunProgress._on_step,
    EventName.PIPELINE_RECOVERED: RunProgress._on_recovery,
    **dict.fromkeys(_ENDS, RunProgress._on_end),
}


def _step_item(event: Event) -> str:
    return " ".join(filter(None, (_get(event.data, "script_id", ""), _get(event.data, "persona_id", ""))))


def _get(data: Mapping[str, Json], key: str, default: T) -> T:
    """The value under ``key`` if it is of the default's type."""
    value = data.get(key)
    return value if isinstance(value, type(default)) else default


def _texts(data: Mapping[str, Json], key: str) -> list[str]:
    empty: list[Json] = []
    return [str(value) for value in _get(data, key, empty)]
