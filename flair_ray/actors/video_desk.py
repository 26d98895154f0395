"""Finds the video jobs that nobody is at work on, and has each carried out: a run host's second occupation."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from flair_ray.domain.video_jobs import VideoJob
from flair_ray.errors import StoreUnavailable
from flair_ray.stores.video_jobs import RedisVideoJobs

log = logging.getLogger(__name__)

AT_ONCE = 2
"""Videos one host has in the making; more wait in Redis. Drawing one keeps a core busy for a quarter of a minute."""

Film = Callable[[VideoJob], Awaitable[None]]


class VideoDesk:
    """``film`` takes a job to its end; what it raises leaves the job to whoever takes it up next."""

    def __init__(self, jobs: RedisVideoJobs, film: Film) -> None:
        self._jobs = jobs
        self._film = film
        self._making: set[asyncio.Task[None]] = set()

    async def look(self) -> None:
        """Begin what waits, as far as there is room."""
        if len(self._making) >= AT_ONCE:
            return
        try:
            taken = await self._jobs.take(AT_ONCE - len(self._making))
        except StoreUnavailable as err:
            log.warning("cannot look for videos", extra={"error": type(err).__name__})
            return
        for job in taken:
            task = asyncio.create_task(self._make(job), name=f"video {job.job_id}")
            self._making.add(task)
            task.add_done_callback(self._making.discard)

    async def close(self) -> None:
        """Others take up what is not done when its lease has ended."""
        for task in self._making:
            task.cancel()
        await asyncio.gather(*self._making, return_exceptions=True)

    async def _make(self, job: VideoJob) -> None:
        told = {"run_id": job.run_id, "job_id": job.job_id, "provider": job.provider}
        try:
            async with held(self._jobs, job):
                await self._film(job)
            log.info("video job ended", extra=told)
        except Exception as err:  # a worker that died, Redis away, a bug: three times, then the job is failed
            log.warning("video job was left", extra=told | {"error": type(err).__name__})


@asynccontextmanager
async def held(jobs: RedisVideoJobs, job: VideoJob) -> AsyncIterator[None]:
    """Nobody else takes the job meanwhile, also while it waits for a process to be made in."""
    renewing = asyncio.create_task(_renew(jobs, job))
    try:
        yield
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)


async def _renew(jobs: RedisVideoJobs, job: VideoJob) -> None:
    while True:
        with suppress(StoreUnavailable):
            await jobs.renew(job)
        await asyncio.sleep(jobs.lease_s / 3)
