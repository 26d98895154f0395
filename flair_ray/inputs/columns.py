"""The one table of what sources call things.

Names are compared without case, spaces, dots and underscores: ``Play Count``, ``play_count`` and ``playCount``
are one name. An object inside a record is looked into one level deep, its name put before its keys:
``stats: {playCount}`` reads as ``statsPlayCount``, which is also what a flattened export calls it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_COUNTS = " engagement stats statistics statsv2 metrics counts insights"
_PEOPLE = " author authormeta authorstats authorstatsv2 authorinfo channel owner user"
_MEDIA = " video videometa media contentdetails"

_NAMES: Mapping[str, tuple[str, str]] = {
    "transcript": (
        "transcript transcription transcripttext videotranscript fulltranscript voicetotext captionstext captions"
        " subtitles subtitle subtitletext spokentext speech asr text content script segments",
        "",
    ),
    "description": ("caption description desc videodescription title text", " snippet"),
    "id": ("videoid id awemeid itemid postid mediaid shortcode displayid", ""),
    "duration": ("duration durationsec durationsecs durationseconds durations videoduration length", _MEDIA),
    "duration_ms": ("durationms durationmillis durationmilliseconds", _MEDIA),
    "views": ("views viewcount plays playcount videoviews videoviewcount", _COUNTS),
    "likes": ("likes likecount likescount diggcount digg hearts heartcount favoritecount", _COUNTS),
    "comments": ("comments commentcount commentscount", _COUNTS),
    "shares": ("shares sharecount sharescount reposts repostcount", _COUNTS),
    "saves": ("saves savecount savescount collectcount collects bookmarks bookmarkcount", _COUNTS),
    "followers": (
        "followers followercount followerscount fans subscribers subscribercount channelfollowercount",
        _COUNTS + _PEOPLE,
    ),
    "author": (
        "author authorname authormetaname username uniqueid handle creator uploader channel channeltitle nickname",
        _PEOPLE + " snippet",
    ),
    "url": ("url webpageurl videourl webvideourl shareurl link permalink originalurl", ""),
}
"""Field → its names, best first, and the objects in a record that may hold it."""

_KEYS = {
    name: tuple(holder + key for key in keys.split() for holder in ("", *holders.split()))
    for name, (keys, holders) in _NAMES.items()
}
_HOLDERS = frozenset(holder for _, holders in _NAMES.values() for holder in holders.split())
_NESTED = frozenset(
    holder + key for keys, holders in _NAMES.values() for holder in holders.split() for key in keys.split()
)
"""What is taken from an inner object: a duration from ``video``, but not its id."""
_KNOWN = _HOLDERS.union(*_KEYS.values())

EXPECTED = (
    "A video needs a transcript, under one of these names: transcript, text, captions, subtitles, voice_to_text; "
    "id, description, duration, views, likes, comments, shares and saves are useful beside it."
)


@dataclass(frozen=True, slots=True)
class RawRecord:
    """One record as a reader found it."""

    where: str
    """File and line, row or number, for messages to people."""
    values: Mapping[str, object]
    name: str | None = None
    """The id when the record has none, e.g. from the file's name."""
    missing: str | None = None
    """What to say when it has no transcript; by default which fields it has."""


def normal(name: object) -> str:
    """A column's name as it is compared."""
    return "".join(c for c in str(name).lower() if c.isalnum())


def knows(name: object) -> bool:
    """Whether a column of this name is ever read."""
    return normal(name) in _KNOWN


def flat(values: Mapping[str, object]) -> dict[str, object]:
    """The record under normal names, with what its known inner objects hold; the first value that is one wins."""
    found: dict[str, object] = {}
    for name, value in values.items():
        key = normal(name)
        inner = value.items() if isinstance(value, Mapping) and key in _HOLDERS else ()
        nested = ((path, part) for k, part in inner if (path := key + normal(k)) in _NESTED)
        for path, part in ((key, value), *nested):
            if found.get(path) in (None, ""):
                found[path] = part
    return found


def candidates(values: Mapping[str, object], field: str) -> Iterator[tuple[str, object]]:
    """Key and value of every name the field goes by in this flat record, best first."""
    return ((key, values[key]) for key in _KEYS[field] if key in values)
