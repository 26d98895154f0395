"""A run's files for good, in its folder of the data directory: the one that `flair run` writes.

A file is written beside its place and moved there, so that nobody ever reads half of one.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from flair_ray.domain.ids import RunId
from flair_ray.errors import ArchiveUnavailable
from flair_ray.stores.names import check_name, is_name, is_run


class LocalFiles:
    """See ``flair_ray.ports.Files``; there are no links."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, run_id: RunId, name: str, content: bytes | Path, media_type: str) -> None:
        check_name(run_id, name)
        await asyncio.to_thread(self._write, self._folder / run_id / name, content)

    async def get(self, run_id: RunId, name: str) -> bytes | None:
        if not is_name(run_id, name):
            return None
        return await asyncio.to_thread(self._read, self._folder / run_id / name)

    async def link(self, run_id: RunId, name: str, seconds: int) -> str | None:
        return None

    async def forget(self, run_id: RunId) -> None:
        if is_run(run_id):
            await asyncio.to_thread(self._remove, self._folder / run_id)

    async def check(self) -> None:
        await asyncio.to_thread(self._make)

    async def close(self) -> None:
        pass

    def _write(self, path: Path, content: bytes | Path) -> None:
        beside = path.parent / f".{uuid.uuid4().hex}"
        with self._translated():
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                if isinstance(content, Path):
                    shutil.copyfile(content, beside)
                else:
                    beside.write_bytes(content)
                os.replace(beside, path)
            finally:
                beside.unlink(missing_ok=True)

    def _make(self) -> None:
        with self._translated():
            self._folder.mkdir(parents=True, exist_ok=True)

    def _read(self, path: Path) -> bytes | None:
        with self._translated():
            return path.read_bytes() if path.is_file() else None

    def _remove(self, folder: Path) -> None:
        """Out of the way first: somebody may be writing into it just now."""
        aside = folder.parent / f".{uuid.uuid4().hex}"
        with self._translated(), suppress(FileNotFoundError):
            os.replace(folder, aside)
            shutil.rmtree(aside)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as err:
            raise ArchiveUnavailable(
                f"{self._folder} cannot be used ({err.strerror or err}). Make room or mend its rights, "
                "or set FLAIR_S3_BUCKET."
            ) from err
