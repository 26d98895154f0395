"""What is answered, as types: the document at /openapi.json is made of them, and tests hold the answers to it.

A result and a ranking are described once, in ``result.schema.json``; what is here of them are parts of it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from flair_ray.domain.calls import CallTally, Usage
from flair_ray.domain.ids import StageName
from flair_ray.domain.money import Price
from flair_ray.domain.people import CreatorProfile
from flair_ray.domain.rigor import Rigor
from flair_ray.domain.runs import Feedback, Limits, RunStatus, StageCounts
from flair_ray.domain.video_jobs import JobStatus
from flair_ray.inputs.report import Duplicate, SkippedRecord
from flair_ray.outputs import result_schema
from flair_ray.result import Cost

SSE, NDJSON = "text/event-stream", "application/x-ndjson"
StageStatus = Literal["pending", "running", "completed"]
RESULT_FIELDS = (
    "run_id",
    "results",
    "creator_profile",
    "completed_at",
    "warnings",
    "notices",
    "cost",
    "partial",
    "refinement",
)
RANKING_FIELDS = ("run_id", "status", "warnings", "notices")


class Answer(BaseModel):
    """More fields may come; none goes."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Fault(Answer):
    """One field of a body that cannot be used."""

    field: str
    """As in `creator_profile.tone`."""
    type: str
    """Pydantic's name for what is wrong."""
    message: str


class Problem(Answer):
    """What went wrong, as RFC 9457 says it."""

    type: str
    title: str
    status: int
    detail: str
    """For people: what happened and what to do."""
    request_id: str
    """As in the server's log."""
    errors: list[Fault] = []
    """Of a body with fields at fault: one each."""


class RunStarted(Answer):
    run_id: str = Field(json_schema_extra={"format": "uuid"})


class Asked(Answer):
    """It will be done; the run's events tell when."""

    run_id: str
    status: Literal["cancelling", "recovering"]


class RunRow(Answer):
    run_id: str
    status: RunStatus
    current_stage: StageName | None
    stages: dict[StageName, StageStatus]
    created_at_ms: int
    finished_at_ms: int | None
    provider: str
    model: str
    title: str
    """What the creator makes, as far as the profile says so."""
    error: str | None


class RunList(Answer):
    runs: list[RunRow]


class Configuration(Answer):
    num_videos: int
    num_scripts: int
    num_personas: int
    top_n: int
    seed: int
    cache: bool
    profile: CreatorProfile
    limits: Limits
    feedback: Feedback
    provider: str
    model: str
    voter_model: str
    video_model: str | None
    rigor: Rigor
    refine: bool
    max_usd: float | None


class Spend(Answer):
    calls: CallTally
    cost: Cost


class RunDetail(RunRow):
    session_id: str
    begun_at_ms: int | None
    recovering: bool
    """It has ended, and the hosts were told to go on with it."""
    stage_counts: dict[StageName, StageCounts]
    configuration: Configuration
    spend: Spend
    warnings: list[str]


class Spread(Answer):
    """Over the videos where it is known."""

    known: int
    minimum: float | None
    median: float | None
    maximum: float | None
    total: float | None


class EngagementSummary(Answer):
    known: int
    """Videos with any count."""
    median_views: float | None
    median_rate: float | None
    """Interactions per view."""


class IngestReport(Answer):
    found: int
    usable: int
    skipped: list[SkippedRecord]
    duplicates: list[Duplicate]
    durations_s: Spread
    words: Spread
    engagement: EngagementSummary


class VideoSet(Answer):
    video_set_id: str
    """For a start's ``video_set_id``."""
    report: IngestReport


class Bounds(Answer):
    low: float | None
    expected: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class PricedUsage(Usage):
    """Tokens, and what they cost; null where no price is known."""

    usd: float | None


class StageCost(Answer):
    calls: int
    low: PricedUsage
    expected: PricedUsage
    high: PricedUsage


class RefineCost(Answer):
    """Of the edits that viewers propose and the panel judges."""

    calls: int
    usd: Bounds
    included: bool
    """In the figures of the whole run: it was asked for. If not, what it would add."""


class CostEstimate(Answer):
    provider: str
    model: str
    warnings: list[str]
    stages: dict[StageName, StageCost]
    calls: int
    usd: Bounds
    """Null where no price is known."""
    refine: RefineCost
    price: Price | None
    duration_s: float


class Providers(Answer):
    reasoning: list[str]
    video: list[str]


class Prompts(Answer):
    """Templates with ``{field}`` placeholders; a doubled brace is a brace."""

    s1: str
    s3: str
    s3_feedback: str
    s4: str
    s4_feedback: str
    s6: str
    refine_edit: str
    refine_compare: str


class Fine(Answer):
    status: Literal["ok"]


class Performance(Answer):
    run_id: str
    script_id: str
    platform: str
    post_url: str
    views: int
    likes: int
    comments: int
    shares: int
    watch_time_avg: float | None
    completion_rate: float | None
    posted_at: str
    """When it was first reported, ISO 8601."""


class Performances(Answer):
    run_id: str
    performances: list[Performance]


class VideoOrdered(Answer):
    job_id: str
    """For its status."""


class VideoState(Answer):
    job_id: str
    status: JobStatus
    video_url: str | None
    """Once it is complete."""
    error: str | None
    """Once it has failed."""


class SignedIn(Answer):
    tokens_needed: bool
    tenant: str | None
    max_usd: float | None
    """What the tenant may spend in a month."""
    left_usd: float | None


class Ticket(Answer):
    ticket: str
    """For `?ticket=` on this run's events, and nothing else."""
    expires_in_s: int


def result_part(*names: str, ranked: bool = False) -> dict[str, Any]:
    """The JSON Schema of these fields of a result, and of the ranking's own beside them."""
    whole = json.loads(result_schema())
    fields = {name: whole["properties"][name] for name in names}
    fields |= whole["$defs"]["ranking"]["properties"] if ranked else {}
    return {"type": "object", "properties": fields, "required": list(fields), "$defs": whole["$defs"]}
