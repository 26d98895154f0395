"""Runs to be read, whether Redis has them or, once it has forgotten them, the archive. The only place that knows both.

What comes from either is plain JSON in the same form. A run that only the archive has can be read, listed, exported and
deleted; there is nothing left to resume it from, and its events are gone.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json

from flair_ray.domain.ids import RunId
from flair_ray.domain.posts import RunRecord
from flair_ray.domain.runs import RunSnapshot
from flair_ray.engine.archive import Archive
from flair_ray.engine.results import gather_result, outline_of, row_of, summary_of
from flair_ray.errors import ArchiveUnavailable, RunNotFound
from flair_ray.outputs import render_outputs, unzipped
from flair_ray.ports import RunStore
from flair_ray.result import RunResult

log = logging.getLogger(__name__)

Document = dict[str, Any]
RENDERED = 4
"""Runs whose outputs stay in memory: who opens a report asks for its other files, too."""


@dataclass(frozen=True, slots=True)
class AllRuns:
    """Raises RunNotFound for a run that neither has, StoreUnavailable and ArchiveUnavailable."""

    store: RunStore
    archive: Archive
    _made: dict[RunId, tuple[RunSnapshot, dict[str, bytes]]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _rendering: asyncio.Lock = field(default_factory=asyncio.Lock, init=False, repr=False, compare=False)

    async def session(self, run_id: RunId) -> str:
        """Whose run it is."""
        try:
            return (await self.store.spec(run_id)).session_id
        except RunNotFound:
            return (await self._record(run_id)).session_id

    async def summary(self, run_id: RunId) -> Document:
        """Where the run stands: status, stages with counts, configuration, spend, warnings."""
        try:
            return summary_of(await self.store.snapshot(run_id))
        except RunNotFound:
            return dict((await self._record(run_id)).summary)

    async def rows(self, session_id: str | None = None, *, counted: bool = True) -> list[Document]:
        """Every run of one session, or of all, oldest first: at least what ``row_of`` says of each, its calls only
        if ``counted``.

        Without the archive those that Redis has: whoever watches them needs no archive for it.
        """
        if counted:
            rows = [row_of(outline_of(run)) | {"calls": run.tally.calls} for run in await self.store.runs(session_id)]
        else:
            rows = [row_of(outline) for outline in await self.store.outlines(session_id)]
        try:
            past = await self.archive.records.runs(session_id, {row["run_id"] for row in rows})
        except ArchiveUnavailable as err:
            log.warning("only the runs that Redis has are listed: %s", err)
            past = []
        rows += [dict(record.summary) for record in past]
        return sorted(rows, key=lambda row: (row["created_at_ms"], row["run_id"]))

    async def live(self, run_id: RunId) -> RunResult | None:
        """Everything of a run that Redis has; None where it has forgotten it, or never knew it."""
        with suppress(RunNotFound):
            return await gather_result(self.store, run_id)
        return None

    async def document(self, run_id: RunId) -> Document:
        """Everything that came of it, as in result.json."""
        if result := await self.live(run_id):
            return await asyncio.to_thread(result.document)
        text = await self._kept(run_id, "result.json")
        if text is None:
            raise RunNotFound(run_id)
        document: Document = from_json(text)
        return document

    async def outputs(self, run_id: RunId) -> dict[str, bytes]:
        """Every output by its name, made on the fly while Redis has the run."""
        made = await self._rendered(run_id)
        if made is not None:
            return dict(made)
        run_zip = await self._kept(run_id, "run.zip")
        if run_zip is None:
            raise RunNotFound(run_id)
        return unzipped(run_zip)

    async def file(self, run_id: RunId, name: str) -> bytes | None:
        """One of them, or what else was kept under this name."""
        made = await self._rendered(run_id)
        if made is None:
            return await self._kept(run_id, name)
        return made[name] if name in made else await self.archive.files.get(run_id, name)

    async def delete(self, run_id: RunId) -> None:
        """Forgets it here and there."""
        try:
            await self.store.delete(run_id)
        except RunNotFound:
            await self._record(run_id)
        self._made.pop(run_id, None)
        await self.archive.forget(run_id)

    async def _rendered(self, run_id: RunId) -> dict[str, bytes] | None:
        """Every output of a run that Redis has, made anew when anything about the run has changed."""
        async with self._rendering:  # who asks for ten files at once waits for one rendering
            try:
                snapshot = await self.store.snapshot(run_id)
                at, made = self._made.pop(run_id, (None, {}))
                if at != snapshot:
                    made = await asyncio.to_thread(render_outputs, await gather_result(self.store, run_id))
            except RunNotFound:
                return None
            self._made[run_id] = snapshot, made  # the last used is the last
            if len(self._made) > RENDERED:
                del self._made[next(iter(self._made))]
            return made

    async def _kept(self, run_id: RunId, name: str) -> bytes | None:
        await self._record(run_id)
        return await self.archive.files.get(run_id, name)

    async def _record(self, run_id: RunId) -> RunRecord:
        record = await self.archive.records.run(run_id)
        if record is None:
            raise RunNotFound(run_id)
        return record
