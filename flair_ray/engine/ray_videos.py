"""Video jobs on Ray: each a task of its own, for drawing one takes a core and the model's server takes minutes.

The task is started by a run host, which outlives every request, and dies with it; whoever dies, the job's lease in
Redis ends and the next look of a host takes it up again. Ray itself retries nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import ray

from flair_ray.domain.video_jobs import VideoJob
from flair_ray.engine.filming import Studio, film
from flair_ray.engine.ray_worker import step_back

VIDEO_CPUS = 0.4
"""A core has room for two and a run beside them: what people wait for must not wait for a video."""

OpenStudio = Callable[[], AbstractAsyncContextManager[Studio]]


def film_task(job: VideoJob, open_studio: OpenStudio) -> None:
    """The body of the task, which has one name for all jobs: Ray keeps each name it has seen."""
    step_back(idle=True)
    asyncio.run(_film(job, open_studio))


async def _film(job: VideoJob, open_studio: OpenStudio) -> None:
    async with open_studio() as studio:
        await film(job, studio)


class RayFilming:
    """Carries jobs out on the cluster that this process is connected to."""

    def __init__(self, open_studio: OpenStudio) -> None:
        self._open_studio = open_studio
        self._task: Any = ray.remote(num_cpus=VIDEO_CPUS, max_retries=0, name="video")(film_task)

    async def __call__(self, job: VideoJob) -> None:
        """Returns when the task has ended. Raises what ended it."""
        await self._task.remote(job, self._open_studio)
