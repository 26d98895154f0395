"""From a record with whatever keys its source uses to a video's draft.

Every field but the transcript may be missing, and what cannot be understood counts as missing. A record
whose transcript is missing, too short or too long becomes a Draft with that problem.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import TypeVar

from flair_ray.domain.ids import VideoId, digest
from flair_ray.domain.videos import Engagement, Video
from flair_ray.inputs.columns import RawRecord, candidates, flat
from flair_ray.inputs.files import Unreadable
from flair_ray.inputs.quantities import parse_count, parse_seconds
from flair_ray.inputs.report import Draft
from flair_ray.inputs.subtitles import json3_lines, looks_like_cues, spoken_text
from flair_ray.inputs.text import clean, clip, listing, word_count

T = TypeVar("T")

MIN_WORDS = 3
"""Fewer words than this have no structure to learn from."""
RAW_PER_SPOKEN = 40
"""Raw subtitles may be this much larger than what is spoken: json3 takes 15 bytes for one, rolling VTT 10."""

_ROUNDED = re.compile(r"[0-9]([.,][0-9]+)?[eE]\+?[0-9]+")
"""7.52044E+18 is an id that a spreadsheet rounded: many videos would share it."""


def to_draft(record: RawRecord, max_transcript_bytes: int) -> Draft:
    """The record's video, or what keeps it from being one."""
    values = flat(record.values)
    key, raw = next(
        ((k, text) for k, v in candidates(values, "transcript") if (text := _raw_text(v)).strip()), ("", "")
    )
    text, problem = _spoken(raw, max_transcript_bytes)
    if not raw:
        empty = "its transcript is empty" if any(candidates(values, "transcript")) else None
        problem = record.missing or empty or f"no transcript among its fields ({listing(record.values)})"
    values.pop(key, None)  # a transcript called "text" is not the description too
    video = Video(
        video_id=VideoId(_best(values, "id", _id) or record.name or "v-" + digest(text or record.where)),
        transcript="" if problem else text,
        description=_best(values, "description", lambda value: _line(value, 1000)) or "",
        duration_s=_duration(values),
        engagement=Engagement(**{f.name: _best(values, f.name, parse_count) for f in fields(Engagement)}),
        author=_best(values, "author", lambda value: _line(value, 200)),
        url=_best(values, "url", _link),
        source=record.where,
    )
    return Draft(video, problem)


def _best(values: Mapping[str, object], field: str, read: Callable[[object], T | None]) -> T | None:
    """The first of the field's candidates that can be understood."""
    return next((found for _, value in candidates(values, field) if (found := read(value)) is not None), None)


def _raw_text(value: object) -> str:
    """Text from a string, a list of strings or timed segments, or a json3 document; "" from anything else."""
    if isinstance(value, list):
        return "\n".join(map(_segment, value))
    events = value.get("events") if isinstance(value, Mapping) else None
    return "\n".join(json3_lines(events)) if isinstance(events, list) else _segment(value)


def _segment(part: object) -> str:
    if isinstance(part, Mapping):
        part = next((part[key] for key in ("text", "utf8", "content", "transcript") if key in part), "")
    return part if isinstance(part, str) else ""


def _spoken(raw: str, limit: int) -> tuple[str, str | None]:
    """Clean text, and what is wrong with it."""
    if len(raw) > limit * RAW_PER_SPOKEN:  # not worth the memory of cleaning it first
        return "", f"the transcript has at least {len(raw):,} bytes; at most {limit:,} are taken"
    text = _cues_or_text(raw)
    size, words = len(text.encode()), word_count(text)
    if size > limit:
        return text, f"the transcript has {size:,} bytes; at most {limit:,} are taken"
    if words < MIN_WORDS:
        return text, f"the transcript has {words} word{'' if words == 1 else 's'}; at least {MIN_WORDS} are needed"
    return text, None


def _cues_or_text(raw: str) -> str:
    if looks_like_cues(raw):
        try:
            return spoken_text(raw, "vtt" if raw.lstrip("\ufeff \n").startswith("WEBVTT") else "srt", "")
        except Unreadable:  # a text that mentions a time, not a subtitle file
            pass
    return clean(raw)


def _id(value: object) -> str | None:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    text = clean(str(value)).removesuffix(".0")
    if not text or _ROUNDED.fullmatch(text):
        return None
    return text if len(text) <= 128 else "v-" + digest(text)


def _duration(values: Mapping[str, object]) -> float | None:
    seconds = _best(values, "duration", parse_seconds)
    if seconds is None:
        thousandths = _best(values, "duration_ms", parse_seconds)
        return parse_seconds(thousandths / 1000) if thousandths else None
    # The feed whose ids are called aweme_id gives milliseconds under the plain name.
    return seconds / 1000 if seconds >= 1000 and "awemeid" in values else seconds


def _line(value: object, limit: int) -> str | None:
    return clip(value, limit) or None if isinstance(value, str) else None


def _link(value: object) -> str | None:
    """Only web addresses: reports link to them."""
    link = clean(value) if isinstance(value, str) and len(value) <= 2000 else ""
    return link if re.fullmatch(r"https?://[^\s<>\"]+", link, re.IGNORECASE) else None
