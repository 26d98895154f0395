"""Keeps what has ended for good, and loses none of it.

    a run ends: marked in the same step ──▶ taken by anybody ──▶ files, record ──▶ the mark goes
                      ▲                           │
                      └── a minute later ◀────────┘ died, or the archive is away

Redis has the run as long as the mark is there. To keep a run twice, or as it ended before and then as it ended at last,
leads to the same: the record refuses an older one, and a mark goes only for the end that was kept. Nothing of this
concerns the run itself, which has ended.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from flair_ray.domain.posts import RunRecord
from flair_ray.engine.archive import Archive
from flair_ray.engine.results import gather_result, summary_of
from flair_ray.errors import FlairError
from flair_ray.outputs import render_outputs
from flair_ray.ports import RunStore, Unkept
from flair_ray.result import RunResult

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Keeper:
    """From the store into the archive."""

    store: RunStore
    unkept: Unkept
    archive: Archive

    async def keep_ended(self, at_hand: RunResult | None = None) -> None:
        """Every run whose turn it is, first the one whose result is ``at_hand``. Raises nothing: the next look goes on.

        An error ends this look, for the archive may be away. The run that it came with waits its minute.
        """
        try:
            if at_hand is not None:
                await self._keep(at_hand)
            while run_ids := await self.unkept.due(1):
                await self._keep(await gather_result(self.store, run_ids[0]))
        except FlairError as err:
            log.warning("a run is not kept for good yet: %s", err)
        except Exception:
            log.exception("a run is not kept for good yet")

    async def _keep(self, result: RunResult) -> None:
        snapshot = await self.store.snapshot(result.run_id)
        ended_at_ms = snapshot.finished_at_ms
        if ended_at_ms is None or ended_at_ms != result.finished_at_ms:
            return  # it goes on, or has ended once more: that is marked
        record = RunRecord(
            run_id=snapshot.run_id,
            session_id=snapshot.session_id,
            status=snapshot.status,
            created_at_ms=snapshot.created_at_ms,
            finished_at_ms=ended_at_ms,
            summary=summary_of(snapshot),
        )
        await self.archive.keep(record, await asyncio.to_thread(render_outputs, result))
        if not await self.unkept.kept(result.run_id, ended_at_ms):
            await self.archive.forget(result.run_id)
