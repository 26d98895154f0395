"""Files for the readers, written by the test that reads them. All content is synthetic."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from flair_ray.inputs import Ingest, read_videos

Write = Callable[[str, str | bytes], Path]
Read = Callable[..., Ingest]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file under the test's folder and gives its path."""

    def writer(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return writer


@pytest.fixture
def read(write: Write) -> Read:
    """Reads content as a file of this name, with the transcript limit of the default settings."""

    def reader(name: str, content: str | bytes, limit: int = 200_000) -> Ingest:
        return read_videos(write(name, content), max_transcript_bytes=limit)

    return reader
