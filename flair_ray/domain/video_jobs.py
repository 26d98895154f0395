"""A video of one script, while it is made and after."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from flair_ray.domain.ids import RunId, ScriptId

ANIMATIC, VEO = "animatic", "veo"
VIDEO_PROVIDERS = (ANIMATIC, VEO)
"""The first needs no key and is the default."""


class JobStatus(StrEnum):
    PROCESSING = "processing"
    COMPLETE = "complete"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class VideoJob:
    """One attempt at a script's video by one provider."""

    run_id: RunId
    job_id: str
    script_id: ScriptId
    provider: str
    status: JobStatus = JobStatus.PROCESSING
    operation: str | None = None
    """By what name the provider knows it, as soon as it has said so."""
    error: str | None = None

    @property
    def file_name(self) -> str:
        """Among the run's files."""
        return f"videos/{self.job_id}.mp4"
