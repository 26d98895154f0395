"""The large deaths: a Ray node with all that runs on it, and everything at once."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil
import pytest
from redis.asyncio import Redis

from flair_ray.domain.ids import RunId, StageName
from flair_ray.stores.embedded import EmbeddedServer, stop_embedded
from flair_ray.stores.redis_store import RedisRunStore, ping
from flair_ray.testing.mock_server import MockServer
from tests.chaos.following import following
from tests.chaos.invariants import check_calls, check_run, safe_items
from tests.chaos.rig import BY_TASKS, IN_FLIGHT, Rig
from tests.chaos.victims import ROOT

pytestmark = [pytest.mark.long, pytest.mark.timeout(180)]
MOST = None if os.environ.get("CHAOS") else 1
"""Places of each kind of death."""


@pytest.mark.parametrize(("stage", "share"), [(StageName.S4, 0.25), (StageName.S1, 0.5)][:MOST])
async def test_a_node_dies_with_all_that_runs_on_it(redis_url: str, stage: StageName, share: float) -> None:
    words = (redis_url, stage.value, str(share))
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.chaos.two_nodes", *words, cwd=ROOT)
    async with _ended(process):
        assert await process.wait() == 0


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    stop_embedded(tmp_path)


async def flair(home: Path, *words: str) -> asyncio.subprocess.Process:
    environ = {
        **os.environ,
        "FLAIR_DATA_DIR": str(home),
        "FLAIR_OPENAI_API_KEY": "made-up",
        "FLAIR_HEDGED_SHARE": "0",
        "FLAIR_QUORUM": "1",
    }
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "flair_ray.cli", *words, env=environ, cwd=ROOT, stderr=asyncio.subprocess.DEVNULL
    )


@pytest.mark.parametrize(("stage", "share"), [(StageName.S1, 0.75), (StageName.S3, 0.5)][:MOST])
async def test_everything_dies_at_once(home: Path, mock: MockServer, stage: StageName, share: float) -> None:
    """``flair run`` with its Ray and its Redis; ``flair resume`` starts both anew. With the product's own leases."""
    counts = [f"--num-videos={BY_TASKS.videos}", f"--num-scripts={BY_TASKS.scripts}"]
    counts += [f"--num-personas={BY_TASKS.personas}", f"--top-n={BY_TASKS.top_n}", f"--max-in-flight={IN_FLIGHT}"]
    process = await flair(home, "run", "--provider=openai", f"--base-url={mock.base_url}", "--no-cache", *counts)
    url = EmbeddedServer(home).url
    store = Rig(url).store()
    async with _ended(process):
        run_id = await the_run(url, store)
        async with following(store, run_id) as viewer:
            await viewer.until_share(stage, BY_TASKS.of(stage), share)
            below = psutil.Process(process.pid).children(recursive=True)
            server = await pid_of(url)
            safe = safe_items(viewer.log)
            for pid in (server, process.pid):
                psutil.Process(pid).kill()
            await process.wait()
    await asyncio.to_thread(_end, below)
    resumed = await flair(home, "resume", run_id)
    async with _ended(resumed):
        assert await resumed.wait() == 0
    again = EmbeddedServer(home)
    again.open()
    rest = await store.events(run_id, viewer.log[-1].event_id)
    calls = await check_run(store, run_id, BY_TASKS, viewer.log + rest, safe)
    check_calls(calls, mock.stats(), BY_TASKS, stage, IN_FLIGHT)
    await store.close()
    again.close()


async def the_run(url: str, store: RedisRunStore) -> RunId:
    """The only run there, once there is one."""
    while not (await ping(url) and (found := await store.runs())):  # noqa: ASYNC110  # another process' doing
        await asyncio.sleep(0.05)
    return found[0].run_id


def _end(processes: list[psutil.Process]) -> None:
    """What survived its driver, by handle: agents of Ray's that look only now and then whether their raylet lives."""
    _, alive = psutil.wait_procs(processes, timeout=5)
    for process in alive:
        process.kill()


async def pid_of(url: str) -> int:
    async with Redis.from_url(url) as client:
        return int((await client.info("server"))["process_id"])


@asynccontextmanager
async def _ended(process: asyncio.subprocess.Process) -> AsyncIterator[None]:
    """However the test goes, the process is not left behind."""
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
