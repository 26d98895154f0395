"""The way in for videos: a path of any kind becomes one Ingest.

Every reader gives records with where they stood; ``columns`` makes drafts of them; the collector merges
duplicates and keeps the account. Failure is one InputError that names the path and the first reasons.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from flair_ray.errors import InputError
from flair_ray.inputs.columns import EXPECTED, RawRecord
from flair_ray.inputs.drafts import to_draft
from flair_ray.inputs.files import Unreadable
from flair_ray.inputs.folder import (
    INFO,
    READABLE,
    TRACKS,
    folder_records,
    readable_files,
    records_of,
    transcript_text,
)
from flair_ray.inputs.report import Collector, Ingest, SkippedRecord
from flair_ray.inputs.tabular import READERS, Rows, rows
from flair_ray.inputs.text import clean


def read_videos(path: Path, *, max_transcript_bytes: int) -> Ingest:
    """Every usable video at ``path`` (a file or a folder), in a fixed order, with an account of the rest.

    A longer transcript than ``max_transcript_bytes`` (UTF-8) is skipped. Raises InputError when the path
    cannot be read or gives no usable video. Writes nothing.
    """
    path = Path(path)
    collector = Collector(path)
    try:
        for item in _records(path, max_transcript_bytes):
            collector.add(item if isinstance(item, SkippedRecord) else to_draft(item, max_transcript_bytes))
    except Unreadable as err:
        raise InputError(f"{path}: {err.reason}") from None
    except OSError as err:
        raise InputError(f"{path}: {err.strerror or 'cannot be read'}") from None
    return collector.finish(EXPECTED)


def copy_videos(path: Path, folder: Path) -> Path:
    """Copy what ``read_videos`` would open, no film and no picture, into ``folder``, which is there; returns the path
    to read there in place of ``path``."""
    path = Path(path)
    if path.is_dir():
        root, files = path.resolve(), readable_files(path)
    else:
        root, files = path.parent, _beside(path) if path.name.endswith(INFO) else [path]
    for file in files:
        (folder / file.relative_to(root)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, folder / file.relative_to(root))
    return folder if path.is_dir() else folder / path.name


def _records(path: Path, max_bytes: int) -> Rows:
    if path.is_dir():
        return folder_records(path, max_bytes)
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder. Give the path of your collection of videos")
    if path.name.endswith(INFO):
        return records_of(_beside(path), path.parent, max_bytes)
    if path.suffix.lower() in TRACKS:
        return _transcript(path, max_bytes)
    if path.suffix.lower() in READERS:
        return rows(path, clean(path.name))
    raise InputError(f"{path}: files of this kind cannot be read. Readable are folders and {', '.join(READABLE)} files")


def _beside(path: Path) -> list[Path]:
    """A video's info file and its tracks."""
    stem = path.name.removesuffix(INFO)
    beside = (other for other in path.parent.iterdir() if other.name.startswith(stem + "."))
    return [other for other in beside if other == path or other.suffix.lower() in TRACKS]


def _transcript(path: Path, max_bytes: int) -> Rows:
    where = clean(path.name)
    yield RawRecord(where, {"transcript": transcript_text(path, where, max_bytes)}, clean(path.stem))
