"""What a run tells whoever watches it. Names and data fields are a published contract: add, never remove."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeAlias

from flair_ray.domain.ids import REFINING, StageName

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"


class EventName(StrEnum):
    """Every event in a run's log; the comment lists its data."""

    PIPELINE_STARTED = "pipeline_started"
    """run_id, total_videos, total_personas, top_n, and ours: total_scripts, provider, model, warnings, and over HTTP
    request_id. Always first."""
    STAGE_STARTED = "stage_started"
    """stage, total_items"""
    STAGE_COMPLETED = "stage_completed"
    """stage, used, skipped, late"""
    S1_TASK_STARTED = "s1_task_started"
    """video_id, description"""
    S1_PROGRESS = "s1_progress"
    """video_id, completed, total, hook_type, pacing, trigger_count, quotes, quotes_dropped"""
    S1_VIDEO_SKIPPED = "s1_video_skipped"
    """video_id, reason, completed, total"""
    S2_COMPLETE = "s2_complete"
    """pattern_count, patterns (label, support, lift), quotes, quotes_dropped"""
    S3_TASK_STARTED = "s3_task_started"
    """script_id, pattern_used, theme, angle, emotion"""
    S3_PROGRESS = "s3_progress"
    """completed, total, script_id, hook"""
    S3_COMPLETE = "s3_complete"
    """script_count, script_ids, left_out (script id → why): failed ones, and near-copies that were written again"""
    S4_TASK_STARTED = "s4_task_started"
    """persona_id, name, location, age, occupation, description"""
    VOTE_CAST = "vote_cast"
    """persona_id, persona_name, top_5 (empty for a viewer who is asked again), completed, total, persona_description,
    reaction"""
    S5_COMPLETE = "s5_complete"
    """top_ids, top_n"""
    REFINE_STARTED = "refine_started"
    """step, total_items. Where it was asked for: three steps between S5 and S6, REFINE_PROPOSE, REFINE_CHOOSE and
    REFINE_JUDGE, that are told by these five events only"""
    REFINE_PROGRESS = "refine_progress"
    """step, persona_id, persona_name, completed, total; of an edit also script_id, reason"""
    REFINE_SKIPPED = "refine_skipped"
    """step, persona_id, reason, completed, total; of an edit also script_id"""
    REFINE_COMPLETED = "refine_completed"
    """step, used, skipped, late"""
    REFINE_RESULT = "refine_result"
    """trials (script_id, verdict, share, low, high, voters), untried (script ids)"""
    S6_TASK_STARTED = "s6_task_started"
    """script_id, rank"""
    S6_PROGRESS = "s6_progress"
    """script_id, completed, total"""
    ITEM_SKIPPED = "item_skipped"
    """stage, item_id, reason, completed, total: any stage but S1, which has its own."""
    PIPELINE_RECOVERED = "pipeline_recovered"
    """run_id, kept (per stage), left (per stage), and over HTTP request_id"""
    PIPELINE_COMPLETE = "pipeline_complete"
    """run_id, result_count"""
    PIPELINE_ERROR = "pipeline_error"
    """stage, error, recoverable, and over HTTP request_id"""
    PIPELINE_CANCELLED = "pipeline_cancelled"
    """run_id, stage"""


TERMINAL = frozenset({EventName.PIPELINE_COMPLETE, EventName.PIPELINE_ERROR, EventName.PIPELINE_CANCELLED})


def begins(stage: StageName) -> tuple[EventName, str]:
    """The event of a step's beginning, and the field that names the step."""
    return (EventName.REFINE_STARTED, "step") if stage in REFINING else (EventName.STAGE_STARTED, "stage")


def ends(stage: StageName) -> tuple[EventName, str]:
    """The same of its end."""
    return (EventName.REFINE_COMPLETED, "step") if stage in REFINING else (EventName.STAGE_COMPLETED, "stage")


@dataclass(frozen=True, slots=True)
class EventDraft:
    """An event that has not been appended yet: it has no id and no time."""

    name: EventName
    data: dict[str, Json]


@dataclass(frozen=True, slots=True)
class Event:
    """An event in a run's log."""

    event_id: str
    """The Redis Stream id, "<milliseconds>-<sequence>": orders the log and resumes a reader."""
    name: str
    data: dict[str, Json]

    @property
    def at_ms(self) -> int:
        """When the store appended it, milliseconds since the epoch by the store's clock."""
        return int(self.event_id.split("-", 1)[0])

    def envelope(self) -> dict[str, Json]:
        """The form in which clients get it: event, data, timestamp (ISO 8601, UTC), id."""
        at = datetime.fromtimestamp(self.at_ms / 1000, UTC).isoformat(timespec="milliseconds")
        return {"event": self.name, "data": self.data, "timestamp": at, "id": self.event_id}
