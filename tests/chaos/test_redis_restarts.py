"""Redis is killed in the middle of a stage and started again on its append-only file.

With ``appendfsync always`` an answer that was recorded is on disk before its worker hears so. Whoever works waits for
the server to come back (``stores.redis_store.connect``): no call is lost, and none is made twice.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from flair_ray.domain.ids import StageName
from flair_ray.stores.embedded import find_server
from flair_ray.stores.redis_store import ping
from flair_ray.testing.mock_server import MockServer
from tests.chaos.following import following
from tests.chaos.invariants import check_calls, check_run, safe_items
from tests.chaos.rig import BY_TASKS, IN_FLIGHT, MAPS, VERSION, Rig
from tests.chaos.victims import Scene, driven_here


class OwnRedis:
    """A server with an append-only file, on a free port of this machine."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"redis://127.0.0.1:{self._port}"

    async def start(self) -> None:
        options = f"--bind 127.0.0.1 --port {self._port} --appendonly yes --appendfsync always --save".split()
        command = [str(find_server()), *options, "", "--dir", str(self._folder)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: ASYNC220  # it returns at once
        while not await ping(self.url):  # noqa: ASYNC110  # another process' doing
            await asyncio.sleep(0.02)

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[OwnRedis]:
    server = OwnRedis(tmp_path)
    yield server
    server.kill()


@pytest.mark.long
@pytest.mark.timeout(120)
@pytest.mark.parametrize("stage", MAPS)
async def test_a_restart_of_redis_loses_nothing(
    our_ray: None, redis: OwnRedis, mock: MockServer, stage: StageName
) -> None:
    await redis.start()
    rig = Rig(redis.url, f"{stage.value}-{VERSION}")  # a limiter belongs to one Redis
    store = rig.store()
    run_id = await rig.submit(store, mock.base_url, BY_TASKS)
    try:
        async with following(store, run_id) as viewer:
            async with driven_here(Scene(rig, store, run_id, viewer, stage)):
                await viewer.until_share(stage, BY_TASKS.of(stage), 0.5)
                redis.kill()
                safe = safe_items(viewer.log)
                await redis.start()
            await viewer.until_ended()
        calls = await check_run(store, run_id, BY_TASKS, viewer.log, safe)
        check_calls(calls, mock.stats(), BY_TASKS, stage, IN_FLIGHT)
    finally:
        await store.close()
