"""What became of a script once it was posted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flair_ray.domain.ids import RunId, ScriptId
from flair_ray.domain.runs import RunStatus
from flair_ray.domain.videos import Engagement


@dataclass(frozen=True, slots=True)
class Post:
    """One post of a script, with its numbers as last reported. The same post again replaces it."""

    run_id: RunId
    script_id: ScriptId
    session_id: str
    """Whose run it was."""
    platform: str
    post_url: str
    views: int
    likes: int
    comments: int
    shares: int
    posted_at_ms: int
    """When it was first reported."""
    watch_time_avg: float | None = None
    """Seconds."""
    completion_rate: float | None = None
    """Share of viewers who saw it to its end, 0 to 1."""
    rank: int | None = None
    """Where the panel had placed the script: what is learned from a post outlives its run."""
    pattern_used: str = ""
    """The pattern it was written after."""

    @property
    def engagement(self) -> Engagement:
        return Engagement(self.views, self.likes, self.comments, self.shares)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What is kept of a run for good, after Redis has forgotten it."""

    run_id: RunId
    session_id: str
    status: RunStatus
    created_at_ms: int
    finished_at_ms: int
    summary: Mapping[str, Any]
    """What ``GET /api/runs/{run_id}`` answers: plain JSON."""
