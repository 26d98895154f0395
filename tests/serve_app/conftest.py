"""The ASGI app behind a real HTTP server on loopback, with run hosts in this process and the offline provider."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import httpx2
import pytest
import uvicorn

from flair_ray.actors.run_host import RunHost
from flair_ray.actors.video_desk import VideoDesk
from flair_ray.config import Settings
from flair_ray.engine.driver import Driver
from flair_ray.engine.filming import film
from flair_ray.engine.keeping import Keeper
from flair_ray.errors import ClusterUnavailable
from flair_ray.flow.clock import SystemClock
from flair_ray.providers.animatic import Animatic
from flair_ray.stores.redis_store import RedisRunStore
from flair_ray.stores.unkept import RedisUnkept
from flair_ray.wiring import open_archive, video_studio
from serve_app.http import build_asgi
from serve_app.studio import open_front

PROFILE = {"tone": "dry", "vocabulary": ["simmer"], "catchphrases": ["there it is"], "topics_to_avoid": ["diets"]}
BODY: dict[str, Any] = {
    "creator_profile": PROFILE,
    "reasoning_model": "offline",
    "num_videos": 12,
    "num_scripts": 6,
    "num_personas": 7,
    "top_n": 3,
}


class LocalHosts:
    """One run host in this process, which may be asleep: then runs wait."""

    def __init__(self, host: RunHost) -> None:
        self.host = host
        self.reachable = True
        self._life: asyncio.Task[None] | None = None

    async def nudge(self) -> None:
        self.host.nudge()

    async def check(self) -> None:
        if not self.reachable:
            raise ClusterUnavailable("No run host answers.")

    def wake(self) -> None:
        """Once: what is awake stays as it is."""
        self._life = self._life or asyncio.create_task(self.host.run())

    async def end(self) -> None:
        if self._life:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)
            self._life = None


@pytest.fixture
async def hosts(
    store: RedisRunStore, redis_url: str, local_driver: Callable[..., Driver], settings: Settings
) -> AsyncIterator[LocalHosts]:
    await store._redis.delete("flair:unkept")  # other tests' runs
    keeper = Keeper(store, RedisUnkept(store._redis), open_archive(settings))
    async with video_studio(settings, redis_url) as studio:
        tiny = replace(studio, provider_for=lambda name: Animatic(width=54, fps=2))
        desk = VideoDesk(studio.jobs, partial(film, studio=tiny))
        local = LocalHosts(RunHost(store, local_driver(), SystemClock(), keeper.keep_ended, videos=desk))
        yield local
        await local.end()


Serve = Callable[..., AbstractAsyncContextManager[httpx2.AsyncClient]]


@pytest.fixture
def serve_api(redis_url: str, hosts: LocalHosts) -> Serve:
    """A server with these settings, and a client of it; at a port of its own unless told which."""

    @asynccontextmanager
    async def opened(
        settings: Settings, heartbeat_s: float = 25.0, patience_s: float = 30.0, most: int = 1_000_000, port: int = 0
    ) -> AsyncIterator[httpx2.AsyncClient]:
        opening = partial(open_front, settings, redis_url, hosts, heartbeat_s)
        app = build_asgi(opening, settings.cors_origins.split(), patience_s=patience_s, most=most)
        server = uvicorn.Server(
            uvicorn.Config(app, port=port, lifespan="on", ws="none", log_level="error", timeout_graceful_shutdown=1)
        )
        serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110  # it has nothing else to wait for
            await asyncio.sleep(0.01)
        port = port or server.servers[0].sockets[0].getsockname()[1]
        try:
            async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
                yield client
        finally:
            server.should_exit = True
            await serving

    return opened


@pytest.fixture
async def api(serve_api: Serve, settings: Settings, hosts: LocalHosts) -> AsyncIterator[httpx2.AsyncClient]:
    """The API with a host at work."""
    hosts.wake()
    async with serve_api(settings) as client:
        yield client


@pytest.fixture
async def quiet_api(serve_api: Serve, settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """The API while no host is at work: runs stay pending until ``hosts.wake()``."""
    async with serve_api(settings) as client:
        yield client


@pytest.fixture
def started() -> Callable[..., Awaitable[str]]:
    async def start(client: httpx2.AsyncClient, session: str = "anonymous", **changes: Any) -> str:
        answer = await client.post(f"/api/pipeline/start?session_id={session}", json=BODY | changes)
        assert answer.status_code == 200, answer.text
        run_id: str = answer.json()["run_id"]
        return run_id

    return start
