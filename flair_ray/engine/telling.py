"""What a run host tells of all runs: how many wait, and for how long, to whoever watches; and once a minute, by one
host, how much waits for each worker, to an autoscaler.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from flair_ray.errors import FlairError
from flair_ray.ports import RunStore
from flair_ray.stores.backlog import RedisBacklog
from flair_ray.stores.cloudwatch import CloudWatch
from flair_ray.telemetry import metrics, record
from flair_ray.telemetry.metrics import Metric

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Teller:
    """``scaler``: who takes more workers or fewer, if somebody does. ``workers`` counts them, and may block."""

    store: RunStore
    backlog: RedisBacklog
    workers: Callable[[], int]
    scaler: CloudWatch | None = None

    async def tell(self) -> None:
        """Raises nothing: there will be a next time."""
        try:
            await self._queue()
            if self.scaler and await self.backlog.my_turn():
                await self._scale(self.scaler)
        except FlairError as err:
            log.warning("what waits is not told: %s", err)
        except Exception:
            log.exception("what waits is not told")

    async def _queue(self) -> None:
        waiting = await self.store.adoptable(1)
        queued, age_s = await self.backlog.queue(waiting[0] if waiting else None)
        record.set_to(metrics.RUNS_QUEUED, queued)
        record.set_to(metrics.QUEUE_AGE_S, age_s)

    async def _scale(self, scaler: CloudWatch) -> None:
        """While calls wait for permits there is no backlog to tell, and who looks for it leaves the workers as they
        are."""
        waiting, workers = await self.backlog.waiting(), await asyncio.to_thread(self.workers)
        figures: dict[Metric, float] = {metrics.WORKERS: workers}
        if waiting is not None:
            figures[metrics.BACKLOG] = waiting / max(1, workers)
        await scaler.put(figures)
