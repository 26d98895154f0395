"""A video job whose worker process is killed in the middle: taken up again, and its provider never asked twice."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from flair_ray.actors.video_desk import VideoDesk
from flair_ray.config import Settings
from flair_ray.domain.ids import RunId
from flair_ray.domain.scripts import FinalScript
from flair_ray.domain.video_jobs import VEO, JobStatus
from flair_ray.engine.driver import Driver
from flair_ray.engine.filming import Studio, scripts_to_film
from flair_ray.engine.order import Order
from flair_ray.engine.ray_videos import RayFilming
from flair_ray.stores import keys
from flair_ray.stores.redis_store import RedisRunStore
from flair_ray.wiring import video_studio

pytestmark = [pytest.mark.long, pytest.mark.timeout(240)]


class Ledger:
    """A provider whose books are files: what was billed, and which process waits for a video."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def begin(self, script: FinalScript) -> str:
        with (self._folder / "billed").open("a") as bills:
            bills.write(f"{script.script_id}\n")
        return "operations/1"

    async def fetch(self, script: FinalScript, operation: str) -> bytes | None:
        waiting = self._folder / "waiting"
        if not waiting.exists():
            waiting.write_text(str(os.getpid()))
            await asyncio.Event().wait()
        return operation.encode()

    async def close(self) -> None:
        pass


@asynccontextmanager
async def open_studio(settings: Settings, redis_url: str, folder: Path) -> AsyncIterator[Studio]:
    async with video_studio(settings, redis_url) as studio:
        yield replace(studio, provider_for=lambda name: Ledger(folder))


async def test_a_killed_worker_is_replaced_and_nothing_is_paid_twice(
    our_ray: None,
    redis_url: str,
    store: RedisRunStore,
    settings: Settings,
    submit: Callable[[Order], Awaitable[RunId]],
    local_driver: Callable[..., Driver],
    small_order: Order,
    tmp_path: Path,
) -> None:
    run_id = await submit(small_order)
    await local_driver().drive(run_id)
    brief = settings.model_copy(update={"lease_ttl_s": 1.0})
    await store._redis.delete(keys.videos_wanted())
    async with video_studio(brief, redis_url) as here:
        job = await here.jobs.order(run_id, next(iter(await scripts_to_film(store, run_id))), VEO)
        desk = VideoDesk(here.jobs, RayFilming(partial(open_studio, brief, redis_url, tmp_path)))
        killed = False
        while (found := await here.jobs.job(run_id, job.job_id)) and found.status is JobStatus.PROCESSING:
            await desk.look()
            if not killed and (tmp_path / "waiting").exists() and (pid := (tmp_path / "waiting").read_text()):
                assert found.operation == "operations/1"
                os.kill(int(pid), signal.SIGKILL)
                killed = True
            await asyncio.sleep(0.05)
        await desk.close()
    assert killed
    assert found is not None
    assert (found.status, found.error) == (JobStatus.COMPLETE, None)
    assert (tmp_path / "billed").read_text().split() == [job.script_id]
    assert (settings.data_dir / "runs" / run_id / job.file_name).read_bytes() == b"operations/1"
