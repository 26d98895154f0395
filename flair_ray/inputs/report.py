"""What reading came to: the videos that can be used, and what became of everything else.

Every record found ends in exactly one of three lists: ``videos``, ``skipped`` (with the reason) or
``duplicates`` (with the id it was merged into); ``found`` is their sum.

Records are merged when they carry the same id, or when a model would be shown the same content. The first
one wins, and what it lacks is taken from the later one: also a transcript, so that a table of numbers and a
folder of transcripts under the same ids complete each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from statistics import median
from typing import TypeVar

from flair_ray.domain.ids import VideoId
from flair_ray.domain.videos import Engagement, Video
from flair_ray.errors import InputError
from flair_ray.inputs.text import word_count

T = TypeVar("T")

MAX_RECORDS = 250_000
"""More records than this in one reading are refused: each one found is kept in memory, usable or not."""
_REASONS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class SkippedRecord:
    """A record or file that gives no video, and why."""

    where: str
    reason: str


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A record that was merged into an earlier one."""

    video_id: VideoId
    where: str
    merged_into: VideoId


@dataclass(frozen=True, slots=True)
class Draft:
    """A record's video; with a ``problem``, its transcript is empty until another record brings one."""

    video: Video
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Ingest:
    """The outcome of reading one path."""

    videos: tuple[Video, ...]
    found: int
    skipped: tuple[SkippedRecord, ...] = ()
    duplicates: tuple[Duplicate, ...] = ()

    def remarks(self) -> list[str]:
        """One sentence each on what was skipped and what was merged; empty when all was well."""
        said = []
        if self.skipped:
            first = self.skipped[0]
            said.append(f"{len(self.skipped)} of {self.found} videos were skipped, first {first.where}: {first.reason}")
        if self.duplicates:
            said.append(f"{len(self.duplicates)} duplicate videos were merged.")
        return said

    def to_dict(self) -> dict[str, object]:
        """The report, ready for JSON; the videos themselves are counted, not listed."""
        return {
            "found": self.found,
            "usable": len(self.videos),
            "skipped": [asdict(record) for record in self.skipped],
            "duplicates": [asdict(record) for record in self.duplicates],
            "durations_s": _spread([video.duration_s for video in self.videos if video.duration_s is not None]),
            "words": _spread([word_count(video.transcript) for video in self.videos]),
            "engagement": _engagement([v.engagement for v in self.videos if v.engagement != Engagement()]),
        }


def _spread(values: Sequence[float]) -> dict[str, float | None]:
    """How a quantity is spread over the videos where it is known."""
    if not values:
        return {"known": 0, **dict.fromkeys(("minimum", "median", "maximum", "total"))}
    total = round(sum(values), 3)
    return {
        "known": len(values), "minimum": min(values), "median": median(values), "maximum": max(values), "total": total
    }  # fmt: skip


def _engagement(counts: Sequence[Engagement]) -> dict[str, float | None]:
    """Of the videos with any count; the medians over those where each is known, the rate in interactions per view."""
    views = [e.views for e in counts if e.views is not None]
    rates = [rate for e in counts if (rate := e.rate()) is not None]
    return {
        "known": len(counts),
        "median_views": median(views) if views else None,
        "median_rate": round(median(rates), 5) if rates else None,
    }


class Collector:
    """Takes what the readers find, in order, and makes the Ingest of it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._drafts: list[Draft] = []
        self._skipped: list[SkippedRecord] = []
        self._place: dict[str, int] = {}
        self._duplicates: list[Duplicate] = []

    def add(self, item: Draft | SkippedRecord) -> None:
        """One more record. Raises InputError past MAX_RECORDS."""
        if self._found >= MAX_RECORDS:
            raise InputError(
                f"{self._path}: more than {MAX_RECORDS:,} records. Split the collection and read a part of it"
            )
        if isinstance(item, SkippedRecord):
            self._skipped.append(item)
            return
        place = next((self._place[key] for key in _keys(item) if key in self._place), len(self._drafts))
        if place == len(self._drafts):
            self._drafts.append(item)
        else:
            first = self._drafts[place]
            self._drafts[place] = _merged(first, item)
            self._duplicates.append(Duplicate(item.video.video_id, item.video.source, first.video.video_id))
        for key in _keys(item):
            self._place.setdefault(key, place)

    def finish(self, expected: str) -> Ingest:
        """The Ingest. Raises InputError when no video can be used; ``expected`` says what would help."""
        videos = tuple(draft.video for draft in self._drafts if not draft.problem)
        unusable = (SkippedRecord(draft.video.source, draft.problem) for draft in self._drafts if draft.problem)
        skipped = (*self._skipped, *unusable)
        if not videos:
            raise InputError(_nothing_usable(self._path, skipped, expected))
        return Ingest(videos, self._found, skipped, tuple(self._duplicates))

    @property
    def _found(self) -> int:
        return len(self._drafts) + len(self._skipped) + len(self._duplicates)


def _keys(item: Draft) -> list[str]:
    by_id = f"id {item.video.video_id}"
    return [by_id] if item.problem else [by_id, f"content {item.video.content_hash}"]


def _merged(first: Draft, later: Draft) -> Draft:
    a, b = first.video, later.video
    counts = {f.name: _either(getattr(a.engagement, f.name), getattr(b.engagement, f.name)) for f in fields(Engagement)}
    video = replace(
        a,
        transcript=a.transcript or b.transcript,
        description=a.description or b.description,
        duration_s=_either(a.duration_s, b.duration_s),
        engagement=Engagement(**counts),
        author=a.author or b.author,
        url=a.url or b.url,
    )
    return Draft(video, first.problem and later.problem)


def _either(first: T | None, later: T | None) -> T | None:
    return later if first is None else first


def _nothing_usable(path: Path, skipped: tuple[SkippedRecord, ...], expected: str) -> str:
    if not skipped:
        return f"{path}: no record in it. {expected}"
    shown = "; ".join(f"{record.where}: {record.reason}" for record in skipped[:_REASONS_SHOWN])
    more = f"; and {len(skipped) - _REASONS_SHOWN:,} more" if len(skipped) > _REASONS_SHOWN else ""
    return f"{path}: no usable video among {len(skipped):,} found. {shown}{more}. {expected}"
