"""What is kept for good: records and files, side by side."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass

from flair_ray.domain.ids import RunId
from flair_ray.domain.posts import RunRecord
from flair_ray.ports import Files, Records


def media_type(name: str) -> str:
    """What a file is, by its name."""
    return mimetypes.guess_type(name)[0] or "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Archive:
    """Everything here may be repeated. Raises ArchiveUnavailable."""

    records: Records
    files: Files

    async def keep(self, record: RunRecord, contents: Mapping[str, bytes]) -> None:
        """The files first: a run that is on record has all of them."""
        for name, content in contents.items():
            await self.files.put(record.run_id, name, content, media_type(name))
        await self.records.keep_run(record)

    async def forget(self, run_id: RunId) -> None:
        """The record last: what is half forgotten is found, and forgotten again."""
        await self.files.forget(run_id)
        await self.records.forget_run(run_id)

    async def close(self) -> None:
        await self.records.close()
        await self.files.close()
