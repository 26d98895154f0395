"""A folder as collectors leave it: yt-dlp's ``*.info.json`` beside subtitles, plain transcripts, tables.

Files are grouped by stem. ``Clip [id].info.json`` takes ``Clip [id].en.vtt``, ``Clip [id].en-orig.vtt`` or
``Clip [id].srt`` as its tracks; a transcript without such a file is a video of its own; every table is read
as if it had been named. Of several tracks the best that can be read is used: in the video's own language,
written by a person rather than recognised, then by name, so that the choice is always the same.

Only what lies inside is read: at most three folders down, no linked folder, no linked file from elsewhere,
nothing hidden. A file that cannot be used is skipped with its reason; the rest is read.

Source of the layout: https://github.com/yt-dlp/yt-dlp#output-template
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flair_ray.inputs.columns import RawRecord
from flair_ray.inputs.drafts import RAW_PER_SPOKEN, to_draft
from flair_ray.inputs.files import Unreadable, read_json, read_text
from flair_ray.inputs.report import SkippedRecord
from flair_ray.inputs.subtitles import spoken_text
from flair_ray.inputs.tabular import READERS, Rows, rows
from flair_ray.inputs.text import clean, listing

INFO = ".info.json"
TRACKS = (".srt", ".vtt", ".json3", ".txt")
"""Kinds of transcript, best first."""
READABLE = (*TRACKS, *READERS)

_DEPTH = 3
_MAX_ENTRIES = 100_000
_LANGUAGE = re.compile(r"[a-z]{2}|[a-z]{2,3}-[A-Za-z0-9-]+")
_ARCHIVE_LINE = re.compile(r"[a-z]+ \S+")


@dataclass(frozen=True, slots=True)
class _Track:
    path: Path
    where: str
    language: str


@dataclass(slots=True)
class _Group:
    """The files of one video."""

    info: Path | None = None
    tracks: list[_Track] = field(default_factory=list)


def folder_records(root: Path, max_bytes: int) -> Rows:
    """Every record in a folder, in the order of the names. Raises Unreadable when no file is of a known kind."""
    files: list[Path] = []
    for found in _walk(root.resolve(), root.resolve(), 0):
        if isinstance(found, SkippedRecord):
            yield found
        else:
            files.append(found)
    readable = _readable(files)
    if not readable:
        kinds = listing(sorted({file.suffix or file.name for file in files}))
        reason = f"no file that can be read, only {kinds}" if files else "the folder is empty"
        raise Unreadable(str(root), f"{reason}. Readable are {', '.join(READABLE)}")
    yield from records_of(readable, root.resolve(), max_bytes)


def readable_files(root: Path) -> list[Path]:
    """Those of a folder's files that are of a known kind, under its resolved path."""
    walked = _walk(root.resolve(), root.resolve(), 0)
    return _readable([found for found in walked if not isinstance(found, SkippedRecord)])


def _readable(files: list[Path]) -> list[Path]:
    return [file for file in files if file.name.lower().endswith(READABLE)]


def records_of(files: Iterable[Path], root: Path, max_bytes: int) -> Rows:
    """The records of these files; their names in messages are relative to ``root``."""
    groups, tables = _grouped(files, root)
    names = Counter(Path(stem).name for stem in groups)
    for stem, group in sorted(groups.items()):
        short = Path(stem).name
        yield from _video(group, root, clean(short if names[short] == 1 else stem), max_bytes)
    for path in tables:
        where = _label(path, root)
        try:
            yield from rows(path, where)
        except Unreadable as err:
            yield SkippedRecord(where, err.reason)


def transcript_text(path: Path, where: str, max_bytes: int) -> str:
    """The words in a .srt, .vtt, .json3 or .txt file. Raises Unreadable."""
    suffix = path.suffix.lower()
    text = read_text(path, where, limit=max_bytes * RAW_PER_SPOKEN)
    if suffix != ".txt":
        return spoken_text(text, suffix[1:], where)
    if all(_ARCHIVE_LINE.fullmatch(line) for line in text.splitlines()):
        raise Unreadable(where, "a list of ids (yt-dlp's download archive), not a transcript")
    return text


def _walk(folder: Path, root: Path, depth: int) -> Iterator[Path | SkippedRecord]:
    for entry in sorted(_entries(folder), key=lambda entry: entry.name):
        path = Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            if depth < _DEPTH:
                try:
                    yield from _walk(path, root, depth + 1)
                except OSError as err:
                    yield SkippedRecord(_label(path, root), err.strerror or "cannot be listed")
            else:
                yield SkippedRecord(_label(path, root), f"more than {_DEPTH} folders down")
        elif entry.is_symlink() and not _stays_inside(path, root):
            yield SkippedRecord(_label(path, root), "a link to a folder or out of this one; links are not followed")
        else:
            yield path


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as scan:
        entries = [entry for entry, _ in zip(scan, range(_MAX_ENTRIES + 1), strict=False)]
    if len(entries) > _MAX_ENTRIES:
        raise Unreadable(str(folder), f"more than {_MAX_ENTRIES:,} files in one folder")
    return [entry for entry in entries if not entry.name.startswith((".", "__MACOSX"))]


def _stays_inside(path: Path, root: Path) -> bool:
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):  # a loop, or nothing there
        return False
    return target.is_file() and target.is_relative_to(root)


def _label(path: Path, root: Path) -> str:
    return clean(path.relative_to(root).as_posix())


def _grouped(files: Iterable[Path], root: Path) -> tuple[dict[str, _Group], list[Path]]:
    groups: dict[str, _Group] = defaultdict(_Group)
    tables, tracks = [], []
    for path in files:
        name = path.relative_to(root).as_posix()
        if name.endswith(INFO):
            groups[name.removesuffix(INFO)].info = path
        elif path.suffix.lower() in TRACKS:
            tracks.append((path, name))
        elif not name.endswith(".live_chat.json"):
            tables.append(path)
    described = set(groups)
    for path, name in tracks:
        stem, language = _split(name[: -len(path.suffix)], described)
        groups[stem].tracks.append(_Track(path, clean(name), language))
    return groups, tables


def _split(stem: str, described: set[str]) -> tuple[str, str]:
    """The video's stem and the language tag after it, "" when there is none."""
    before, _, last = stem.rpartition(".")
    tagged = before in described or (before and _LANGUAGE.fullmatch(last))
    return (before, last) if tagged and stem not in described else (stem, "")


def _video(group: _Group, root: Path, name: str, max_bytes: int) -> Rows:
    info: Mapping[str, object] | None = None
    where = group.tracks[0].where if group.tracks else ""
    if group.info is not None:
        where = _label(group.info, root)
        try:
            info = _info(group.info, where)
        except Unreadable as err:
            yield SkippedRecord(where, err.reason)
    if group.tracks or info is not None:
        yield _with_best_track(group.tracks, info or {}, where, name, max_bytes)


def _info(path: Path, where: str) -> Mapping[str, object]:
    info = read_json(path, where)
    if not isinstance(info, dict):
        raise Unreadable(where, "not an object, so not a video's info file")
    if info.get("_type") in ("playlist", "multi_video"):
        raise Unreadable(where, "a playlist, not a video")
    return info


def _with_best_track(
    tracks: list[_Track], info: Mapping[str, object], where: str, name: str, max_bytes: int
) -> RawRecord:
    """The record with the first track, best first, that gives a usable transcript."""
    trouble = "no subtitle file beside it and no transcript in it"
    fallback: RawRecord | None = None
    for track in _ranked(tracks, info):
        at = where if info else track.where
        try:
            record = RawRecord(at, {**info, "transcript": transcript_text(track.path, track.where, max_bytes)}, name)
        except Unreadable as err:
            trouble = err.reason if at == track.where else str(err)
            continue
        if to_draft(record, max_bytes).problem is None:
            return record
        fallback = fallback or record
    return fallback or RawRecord(where, info, name, missing=trouble)


def _ranked(tracks: list[_Track], info: Mapping[str, object]) -> list[_Track]:
    spoken = _base(info.get("language"))
    if not spoken:
        originals = sorted(track.language for track in tracks if track.language.endswith("-orig"))
        spoken = _base(originals[0]) if originals else "en"
    manual = info.get("subtitles")

    def preference(track: _Track) -> tuple[int, bool, bool, int, str]:
        base = _base(track.language)
        return (
            0 if base in ("", spoken) else 1 if base == "en" else 2,
            not (isinstance(manual, dict) and track.language in manual),
            track.language.endswith("-orig"),
            TRACKS.index(track.path.suffix.lower()),
            track.where,
        )

    return sorted(tracks, key=preference)


def _base(language: object) -> str:
    """The language without its region: en for en-US, eng-US and en-orig."""
    base = language.lower().replace("_", "-").split("-")[0] if isinstance(language, str) else ""
    return "en" if base == "eng" else base
