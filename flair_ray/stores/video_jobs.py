"""Video jobs in Redis: what has been ordered, how far it is, and who is at work on it.

A job that is to be made stands in one sorted set under the time from which it may be taken; taking it moves that time
on by a lease, working on it renews the lease, and so what a dead worker had is taken up again. Before a provider is
asked for something that costs, the asking itself goes on record: whoever takes such a job up knows that it was asked,
and by what name once there is one, and never asks again.
"""

from __future__ import annotations

import uuid
from typing import Any

from redis.asyncio import Redis

from flair_ray.domain.ids import RunId, ScriptId
from flair_ray.domain.video_jobs import JobStatus, VideoJob
from flair_ray.stores import keys
from flair_ray.stores.redis_store import translated
from flair_ray.stores.scripts import load_scripts


class RedisVideoJobs:
    """Raises StoreUnavailable when Redis is away."""

    def __init__(self, redis: Redis, run_ttl_s: int, lease_s: float) -> None:
        self._redis = redis
        self._ttl_s = run_ttl_s
        self.lease_s = lease_s
        self._lua = load_scripts(redis)

    async def order(self, run_id: RunId, script_id: ScriptId, provider: str, *, anew: bool = False) -> VideoJob:
        """The job for this script by this provider; a new one where there is none, it has failed, or is done and
        wanted ``anew``."""
        args: list[str | int] = [run_id, uuid.uuid4().hex, script_id, provider, self._ttl_s, int(anew)]
        async with translated():
            job_id = await self._lua["order_video"](keys=[keys.videos(run_id), keys.videos_wanted()], args=args)
        job = await self.job(run_id, job_id)
        return job or VideoJob(run_id, job_id, script_id, provider)

    async def job(self, run_id: RunId, job_id: str) -> VideoJob | None:
        names = ("status", "script", "provider", "operation", "error")
        async with translated():
            found: Any = await self._redis.hmget(keys.videos(run_id), [f"{job_id}:{name}" for name in names])
        status, script, provider, operation, error = found
        if status is None or script is None or provider is None:
            return None
        return VideoJob(run_id, job_id, ScriptId(script), provider, JobStatus(status), operation, error)

    async def take(self, most: int, wanted: VideoJob | None = None) -> list[VideoJob]:
        """Up to so many jobs that nobody is at work on, or the wanted one, ours until the lease ends."""
        args: list[str | int] = [most, int(self.lease_s * 1000), _member(wanted) if wanted else ""]
        async with translated():
            taken: list[str] = await self._lua["take_videos"](keys=[keys.videos_wanted()], args=args)
            jobs = []
            for member in taken:
                run_id, _, job_id = member.partition(" ")
                job = await self.job(RunId(run_id), job_id)
                if job and job.status is JobStatus.PROCESSING:
                    jobs.append(job)
                else:  # deleted with its run, or ended in the same instant
                    await self._redis.zrem(keys.videos_wanted(), member)
        return jobs

    async def renew(self, job: VideoJob) -> None:
        """The lease of a job that we are at work on."""
        async with translated():
            seconds, micros = await self._redis.time()
            until = seconds * 1000 + micros // 1000 + int(self.lease_s * 1000)
            await self._redis.zadd(keys.videos_wanted(), {_member(job): until}, xx=True)

    async def tries(self, job: VideoJob) -> int:
        """Counts one more beginning of this job, and says how many that makes."""
        async with translated():
            pipe = self._redis.pipeline()
            pipe.hincrby(keys.videos(job.run_id), f"{job.job_id}:tries", 1)
            pipe.expire(keys.videos(job.run_id), self._ttl_s)
            tries, _ = await pipe.execute()
        return int(tries)

    async def ask(self, job: VideoJob) -> bool:
        """Its provider is about to be asked. False: somebody else has done so, or is about to."""
        return await self._advance(job, "asked", uuid.uuid4().hex)

    async def name(self, job: VideoJob, operation: str) -> None:
        """Its provider knows it by this name."""
        await self._advance(job, "named", operation)

    async def complete(self, job: VideoJob) -> None:
        await self._advance(job, "complete")

    async def fail(self, job: VideoJob, error: str) -> None:
        await self._advance(job, "failed", error)

    async def _advance(self, job: VideoJob, step: str, value: str = "") -> bool:
        places = [keys.videos(job.run_id), keys.videos_wanted()]
        async with translated():
            args: list[str | int] = [_member(job), job.job_id, step, value, self._ttl_s]
            return bool(await self._lua["advance_video"](keys=places, args=args))


def _member(job: VideoJob) -> str:
    return f"{job.run_id} {job.job_id}"
