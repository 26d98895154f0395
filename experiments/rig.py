"""Runs on a local Ray of their own, an embedded Redis and the mock model: what benchmarks and experiments stand on."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from flair_ray import data
from flair_ray.config import Account, Settings
from flair_ray.domain.ids import RunId, VideoId, new_run_id
from flair_ray.domain.runs import Limits, ModelChoice, RunStatus
from flair_ray.domain.videos import Video
from flair_ray.engine.driver import Driver
from flair_ray.engine.order import Order, first_event, prepare
from flair_ray.engine.shard import Tools
from flair_ray.flow.clock import SystemClock
from flair_ray.stores.embedded import EmbeddedServer
from flair_ray.testing.mock_llm import MockServer
from flair_ray.wiring import Choice, Studio, driver_settings, open_studio
from flair_ray.workbench import worker_tools

DEFAULT = (100, 20, 42, 10)
SMALL = (2, 2, 2, 1)
KEY = SecretStr("bench")
ACCOUNT = Account("openai", KEY)

Sizes = tuple[int, int, int, int]
"""Videos, scripts, voters, results."""


def model_of(mock: MockServer) -> ModelChoice:
    return ModelChoice("openai", "mock", mock.base_url)


@asynccontextmanager
async def studio(
    mock: MockServer, folder: Path, address: str | None = None, **overrides: Any
) -> AsyncIterator[tuple[Studio, Settings]]:
    """Everything that a run needs; a local Ray of its own unless there is a cluster to join."""
    settings = Settings(data_dir=folder, **overrides)
    async with open_studio(settings, Choice(model_of(mock), ACCOUNT), address) as opened:
        yield opened, settings


def fresh_videos(take: object, count: int = 100) -> tuple[Video, ...]:
    """Videos that nobody has seen; a ``take`` names a set of them."""
    known = data.sample_videos()
    return tuple(
        replace(
            known[i % len(known)],
            video_id=VideoId(f"v{i}"),
            transcript=f"{known[i % len(known)].transcript} {take} {i}.",
        )
        for i in range(count)
    )


def order(mock: MockServer, counts: Sizes, number: int, limits: Limits, videos: Sequence[Video] = ()) -> Order:
    """The run of one tenant, over videos that nobody else has unless they are given."""
    return Order(
        data.sample_profiles()[0].profile, tuple(videos) or fresh_videos(f"Take {number}", max(100, counts[0])),
        data.sample_personas(), model_of(mock), *counts, limits=limits, session_id=f"tenant-{number}",
    )  # fmt: skip


async def submit(opened: Studio, settings: Settings, wanted: Order, *, hosted: bool = False) -> RunId:
    run_id = new_run_id()
    spec, inputs = prepare(wanted, settings)
    await opened.store.create(run_id, spec, inputs, first_event(run_id, spec), hosted=hosted)
    return run_id


async def drive_all(driver: Driver, runs: Sequence[RunId]) -> tuple[float, list[float], int]:
    """Seconds for all of them, each one's own, and how many did not complete."""
    begun = time.monotonic()

    async def one(run_id: RunId) -> tuple[float, RunStatus]:
        status = await driver.drive(run_id)
        return time.monotonic() - begun, status

    ended = await asyncio.gather(*(one(run_id) for run_id in runs))
    lost = sum(status is not RunStatus.COMPLETED for _, status in ended)
    return time.monotonic() - begun, [took for took, _ in ended], lost


async def many(
    mock: MockServer,
    opened: Studio,
    settings: Settings,
    counts: Sizes,
    count: int,
    limits: Limits,
    first: int,
    driver: Driver | None = None,
) -> tuple[float, list[float], int]:
    """So many equal runs at once, of the tenants from ``first`` on."""
    runs = [await submit(opened, settings, order(mock, counts, first + i, limits)) for i in range(count)]
    return await drive_all(driver or opened.driver, runs)


async def after_a_move(
    mock: MockServer, working: Awaitable[object], answered: int, now: Mapping[str, object], windows: Sequence[float]
) -> tuple[int, int, int]:
    """Its options become ``now`` once so many calls of ``working`` were answered, which is then waited for.

    Returns the 429s of the first of two windows (seconds), while the new limits are learned, and what was answered and
    what refused in the second.
    """
    task = asyncio.ensure_future(working)
    while mock.stats()["ok"] < answered:  # noqa: ASYNC110  # another process' count
        await asyncio.sleep(0.05)
    mock.configure(**now)
    seen = []
    for pause_s in (0.0, *windows):
        await asyncio.sleep(pause_s)
        stats = mock.stats()
        seen.append((stats["ok"], stats["rejected_429"]))
    await task
    (_, before), (ok, early), (end, late) = seen
    return early - before, end - ok, late - early


def driver_on(opened: Studio, settings: Settings, url: str, key: str, change: Callable[[Tools], Tools]) -> Driver:
    """A driver whose workers have other tools in places; ``change`` is a function of a module."""
    from flair_ray.engine.ray_executor import RayExecutor
    from flair_ray.engine.ray_worker import ToolKit

    kit = ToolKit(key, partial(changed_tools, settings, url, change))
    return Driver(
        opened.store, RayExecutor(kit, "experiment"), driver_settings(settings), SystemClock(), opened.driver._panel
    )


async def changed_tools(settings: Settings, url: str, change: Callable[[Tools], Tools]) -> Tools:
    return change(await worker_tools(settings, url, {"openai": ACCOUNT}))


@dataclass(frozen=True, slots=True)
class Ground:
    """What most experiments stand on: an open studio, its settings, its Redis."""

    opened: Studio
    settings: Settings
    redis_url: str

    async def many(
        self, mock: MockServer, counts: Sizes, count: int, limits: Limits, first: int, driver: Driver | None = None
    ) -> tuple[float, list[float], int]:
        return await many(mock, self.opened, self.settings, counts, count, limits, first, driver)

    async def submit(self, wanted: Order, *, hosted: bool = False) -> RunId:
        return await submit(self.opened, self.settings, wanted, hosted=hosted)

    def driver(self, key: str, change: Callable[[Tools], Tools], **overrides: Any) -> Driver:
        return driver_on(self.opened, self.settings.model_copy(update=overrides), self.redis_url, key, change)


@asynccontextmanager
async def ground(address: str | None = None, redis_url: str | None = None, **overrides: Any) -> AsyncIterator[Ground]:
    """A studio on that Redis, or on one in a folder of its own."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="flair-")))
        other = stack.enter_context(MockServer())
        if redis_url is None:
            server = EmbeddedServer(folder)
            server.open()
            stack.callback(server.close)
            redis_url = server.url
        async with studio(other, folder, address, redis_url=redis_url, **overrides) as (opened, settings):
            yield Ground(opened, settings, redis_url)


def as_they_are(tools: Tools) -> Tools:
    return tools
