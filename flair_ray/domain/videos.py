"""A viral video as the studio sees it: what was said, for how long, and how it did."""

from __future__ import annotations

from dataclasses import dataclass, field

from flair_ray.domain.ids import VideoId, digest

SLOWEST, FASTEST = 0.5, 6.0
"""Words per second that speech can have; sources often give the duration of something else."""


@dataclass(frozen=True, slots=True)
class Engagement:
    """Counts as the platform shows them; None where the source has none (which is not zero)."""

    views: int | None = None
    likes: int | None = None
    comments: int | None = None
    shares: int | None = None
    saves: int | None = None
    followers: int | None = None
    """The author's followers when the video was collected."""

    def rate(self) -> float | None:
        """Interactions per view, or None without a positive view count or any interaction count."""
        return self._interactions_per(self.views)

    def per_follower(self) -> float | None:
        """Interactions per follower of the author, or None likewise."""
        return self._interactions_per(self.followers)

    def _interactions_per(self, people: int | None) -> float | None:
        counted = [n for n in (self.likes, self.comments, self.shares, self.saves) if n is not None]
        return sum(counted) / people if people and counted else None


@dataclass(frozen=True, slots=True)
class Video:
    """One video with a transcript. Everything but the id and the transcript may be missing."""

    video_id: VideoId
    transcript: str
    description: str = ""
    duration_s: float | None = None
    """Seconds; None where the source has none or says 0."""
    engagement: Engagement = field(default_factory=Engagement)
    author: str | None = None
    url: str | None = None
    source: str = ""
    """Where it was read: file and record, for messages to people."""

    @property
    def content_hash(self) -> str:
        """Identity of what a model is shown: equal content is analyzed once, whoever asks."""
        return digest(self.transcript, self.description, f"{self.duration_s}")

    @property
    def words_per_second(self) -> float | None:
        """Speaking pace, or None when no duration is known, or one that nobody could have spoken in."""
        if not self.duration_s:
            return None
        pace = len(self.transcript.split()) / self.duration_s
        return round(pace, 2) if SLOWEST <= pace <= FASTEST else None
