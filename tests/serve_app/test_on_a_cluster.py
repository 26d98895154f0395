"""`serve run` and `serve deploy` as operators use them: replicas that die, that are replaced, that are full.

A head of our own, with a slow mock model, so that a run goes on long enough for something to happen to it.
"""

from __future__ import annotations

import asyncio
import copy
import os
import signal
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
import yaml
from starlette.applications import Starlette

from flair_ray.config import Settings
from flair_ray.domain.ids import RunId
from flair_ray.errors import ClusterUnavailable
from flair_ray.stores.redis_store import RedisRunStore, connect
from flair_ray.testing.mock_options import MockOptions
from flair_ray.testing.mock_server import MockServer
from serve_app.studio import open_front
from tests.ports import free_ports
from tests.serve_app.conftest import BODY, LocalHosts
from tests.serve_app.reading import follow, watch

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "cluster" / "serve.yaml"
SLOW = BODY | {"reasoning_model": "openai", "num_videos": 40, "num_scripts": 20, "num_personas": 20}
SHORT = BODY | {"reasoning_model": "openai", "seed": 8}
long = pytest.mark.long


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Ray's own models
def test_the_file_has_no_key_that_serve_does_not_know() -> None:
    """Serve itself would ignore them."""
    from ray.serve.schema import ServeDeploySchema

    written = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    known = ServeDeploySchema.model_validate(written).model_dump(exclude_unset=True, mode="json")
    known["applications"][0]["args"] = written["applications"][0]["args"]
    assert known == written
    assert written["applications"][0]["args"].keys() == {"replicas"}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_a_replica_that_reaches_no_host_is_ill(settings: Settings, redis_url: str, hosts: LocalHosts) -> None:
    from serve_app.app import Api

    async with open_front(settings, redis_url, hosts) as studio:
        replica = Api()
        replica.app = Starlette()
        replica.app.state.studio = studio
        await replica.check_health()
        hosts.reachable = False
        with pytest.raises(ClusterUnavailable):
            await replica.check_health()


class Cluster:
    """A head that lives as long as a test."""

    def __init__(self, place: Path, redis_url: str, model: MockServer) -> None:
        self.port, self.ray_port, self.client_port, self.dashboard_port = free_ports(4)
        self.url = f"http://127.0.0.1:{self.port}"
        self.config: dict[str, Any] = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
        self.config["http_options"] = {"host": "127.0.0.1", "port": self.port}
        self._place = place
        self._ray = tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True)  # short: it holds sockets
        self.environ = os.environ | {
            "FLAIR_DATA_DIR": str(place),
            "FLAIR_REDIS_URL": redis_url,
            "FLAIR_OPENAI_BASE_URL": model.base_url,
            "OPENAI_API_KEY": "made-up",
            "PYTHONPATH": str(ROOT),
            "RAY_TMPDIR": self._ray.name,  # where a head leaves its address for whoever asks for none
            "FLAIR_ALLOW_ANYONE": "1",
            "RAY_SERVE_ENABLE_HA_PROXY": "0",
        }

    async def run(self, *words: str) -> asyncio.subprocess.Process:
        with (self._place / "said.txt").open("ab") as said:
            return await asyncio.create_subprocess_exec(*words, env=self.environ, cwd=ROOT, stdout=said, stderr=said)

    async def deploy(self, config: dict[str, Any]) -> None:
        file = self._place / "serve.yaml"
        file.write_text(yaml.safe_dump(config), encoding="utf-8")
        program = str(Path(sys.executable).with_name("serve"))
        done = await self.run(program, "deploy", "-a", f"http://127.0.0.1:{self.dashboard_port}", str(file))
        assert await done.wait() == 0, self.said()

    async def answers(self, client: httpx2.AsyncClient) -> None:
        while True:
            try:
                if (await client.get("/api/health")).status_code == 200:
                    return
            except httpx2.TransportError:
                pass
            await asyncio.sleep(0.05)

    def replicas(self) -> list[psutil.Process]:
        return [process for process in psutil.Process().children(recursive=True) if is_replica(process)]

    def forget(self) -> None:
        self._ray.cleanup()

    def said(self) -> str:
        return (self._place / "said.txt").read_text()


def is_replica(process: psutil.Process) -> bool:
    try:
        return bool(" ".join(process.cmdline()).startswith("ray::ServeReplica:flair:api"))
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def model() -> Iterator[MockServer]:
    with MockServer(MockOptions(latency_s=2.0, jitter=0.5)) as server:
        yield server


@asynccontextmanager
async def started_head(cluster: Cluster) -> AsyncIterator[None]:
    ray = str(Path(sys.executable).with_name("ray"))
    options = {
        "--port": cluster.ray_port,
        "--dashboard-port": cluster.dashboard_port,
        "--ray-client-server-port": cluster.client_port,
        "--num-cpus": 2,
        "--object-store-memory": 150 * 1024**2,
    }
    words = [f"{name}={value}" for name, value in options.items()]
    head = await cluster.run(ray, "start", "--head", "--block", "--disable-usage-stats", *words)
    try:
        while not await _listens(cluster.dashboard_port):
            assert head.returncode is None, cluster.said()
        yield
    finally:
        await ended(head)


async def ended(process: asyncio.subprocess.Process) -> None:
    """A process, and everything that it had started."""
    below: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):
        below = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
    with suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), 5)
    for one in below:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    if process.returncode is None:
        process.kill()
        await process.wait()


async def _listens(port: int) -> bool:
    try:
        async with httpx2.AsyncClient() as client:
            return (await client.get(f"http://127.0.0.1:{port}/api/serve/applications/")).status_code == 200
    except httpx2.TransportError:
        await asyncio.sleep(0.05)
        return False


@pytest.fixture
async def cluster(tmp_path: Path, redis_url: str, model: MockServer) -> AsyncIterator[Cluster]:
    opened = Cluster(tmp_path, redis_url, model)
    async with started_head(opened):
        yield opened
    opened.forget()


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  # processes tell nobody
        await asyncio.sleep(0.05)


async def logged(store: RedisRunStore, run_id: str, events: int) -> None:
    while len(await store.events(RunId(run_id))) < events:  # noqa: ASYNC110  # as a viewer it would be one of the viewers
        await asyncio.sleep(0.05)


def many(url: str) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=url, timeout=60, limits=httpx2.Limits(max_connections=200))


@long
@pytest.mark.timeout(300)
async def test_viewers_outlive_replicas(cluster: Cluster, store: RedisRunStore, redis_url: str) -> None:
    """Fifty of them, over two replicas: one is killed; later both are replaced, and nobody's stream is cut."""
    async with many(cluster.url) as client:
        await cluster.deploy(cluster.config)
        await cluster.answers(client)
        await until(lambda: len(cluster.replicas()) >= 2)

        run_id = (await client.post("/api/pipeline/start", json=SLOW)).json()["run_id"]
        viewers = [asyncio.create_task(follow(client, run_id)) for _ in range(50)]
        await logged(store, run_id, 60)
        async with connect(redis_url) as redis:
            waiting = [one for one in await redis.client_list() if "b" in one["flags"] and one["cmd"] == "xread"]
            await redis.connection_pool.aclose()
        assert 1 <= len(waiting) <= 2  # one reader a replica, however many watch
        victim = cluster.replicas()[0]
        victim.kill()
        seen = await asyncio.gather(*viewers)
        stored = [event.envelope() for event in await store.events(RunId(run_id))]
        assert stored[-1]["event"] == "pipeline_complete"
        assert all(events == stored for events, _ in seen)
        cut = [connections for _, connections in seen if connections > 2]
        assert 0 < len(cut) < 50

        await until(lambda: len(cluster.replicas()) >= 2)
        await cluster.answers(client)
        run_id = (await client.post("/api/pipeline/start", json=SHORT)).json()["run_id"]
        viewers = [asyncio.create_task(follow(client, run_id)) for _ in range(20)]
        await logged(store, run_id, 5)
        old = {process.pid for process in cluster.replicas()}
        changed = copy.deepcopy(cluster.config)
        changed["applications"][0]["runtime_env"] = {"env_vars": {"ROLLOUT": "2"}}  # as new code would
        await cluster.deploy(changed)
        seen = await asyncio.gather(*viewers)
        stored = [event.envelope() for event in await store.events(RunId(run_id))]
        assert all(events == stored for events, _ in seen)
        assert {connections for _, connections in seen} == {2}  # the stream, and the 204 after its end
        await until(lambda: not old & {process.pid for process in cluster.replicas()})
        await cluster.answers(client)


@long
@pytest.mark.timeout(300)
async def test_a_full_replica_says_when_to_come_back(cluster: Cluster) -> None:
    crowded = copy.deepcopy(cluster.config)
    crowded["applications"][0] |= {
        "args": {"replicas": 1},
        "deployments": [{"name": "api", "max_ongoing_requests": 5, "max_queued_requests": 1}],
    }
    async with many(cluster.url) as client:
        await cluster.deploy(crowded)
        await cluster.answers(client)
        run_id = (await client.post("/api/pipeline/start", json=SHORT)).json()["run_id"]

        async def look() -> httpx2.Response:
            async with client.stream("GET", f"/api/pipeline/status/{run_id}") as response:
                async for _ in response.aiter_bytes():
                    pass
                return response

        answers = await asyncio.gather(*(look() for _ in range(20)))
        statuses = Counter(answer.status_code for answer in answers)
        assert statuses.keys() == {200, 429}
        assert all(int(answer.headers["retry-after"]) > 0 for answer in answers if answer.status_code == 429)


@long
@pytest.mark.timeout(300)
async def test_serve_run_starts_the_app(tmp_path: Path, redis_url: str, model: MockServer) -> None:
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", 8000)) == 0:
            pytest.skip("port 8000, where `serve run` listens, is taken")
    cluster = Cluster(tmp_path, redis_url, model)
    serve = await cluster.run(str(Path(sys.executable).with_name("serve")), "run", "serve_app.app:app")
    try:
        async with many("http://127.0.0.1:8000") as client:
            await cluster.answers(client)
            run_id = (await client.post("/api/pipeline/start", json=BODY)).json()["run_id"]
            assert (await watch(client, run_id))[-1]["event"] == "pipeline_complete"
    finally:
        await ended(serve)
        cluster.forget()
