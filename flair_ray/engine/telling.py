"""Tells an autoscaler, once a minute and by one run host, how much waits for each worker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from flair_ray.errors import FlairError
from flair_ray.stores.backlog import RedisBacklog
from flair_ray.stores.cloudwatch import BACKLOG, WORKERS, CloudWatch

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Teller:
    """``workers`` counts them, and may block."""

    backlog: RedisBacklog
    metrics: CloudWatch
    workers: Callable[[], int]

    async def tell(self) -> None:
        """If it is this host's turn. Raises nothing: the next minute has a turn of its own.

        While calls wait for permits there is no backlog to tell, and who looks for it leaves the workers as they are.
        """
        try:
            if not await self.backlog.my_turn():
                return
            waiting, workers = await self.backlog.waiting(), await asyncio.to_thread(self.workers)
            figures: dict[str, float] = {WORKERS: workers}
            if waiting is not None:
                figures[BACKLOG] = waiting / max(1, workers)
            await self.metrics.put(figures)
        except FlairError as err:
            log.warning("the backlog is not told: %s", err)
        except Exception:
            log.exception("the backlog is not told")
