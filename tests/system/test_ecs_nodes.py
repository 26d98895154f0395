"""The tasks of the ECS templates as they would run there: two Valkeys across the wire, nodes with own addresses.

The head is killed in the middle of a run, and comes back under another address. Needs root on Linux.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import httpx2
import pytest

from flair_ray.telemetry.metrics import WORKERS
from flair_ray.testing.mock_options import MockOptions
from flair_ray.testing.mock_server import MockServer
from tests.system.ecs_nodes import (
    ADDRESSES,
    HOST,
    PASSWORD,
    RAY,
    STUDIO,
    Node,
    container,
    networks,
    point,
    users,
    valkey,
)

pytestmark = [pytest.mark.long, pytest.mark.timeout(280)]
LONGEST_S = 200.0
HEAD_NAME = "head.flair-dev.internal"
RAY_TOKEN = "made-up-" * 8
TOKEN = "sesame"
ORDER: dict[str, Any] = {
    "creator_profile": {
        "tone": "dry",
        "vocabulary": ["simmer"],
        "catchphrases": ["there"],
        "topics_to_avoid": ["diets"],
    },
    "reasoning_model": "openai",
    "num_videos": 40,
    "num_scripts": 10,
    "num_personas": 12,
    "top_n": 3,
}


class Tasks:
    """Those of the environment ``dev``, started one by one."""

    def __init__(self, folder: Path, templates: Path, environ: dict[str, str]) -> None:
        self._folder, self._template, self.environ = folder, templates / "flair-dev-service.template.json", environ
        self.nodes: dict[str, Node] = {}

    def start(self, name: str, where: str) -> Node:
        self.nodes[where] = Node(where, container(self._template, name), self.environ, self._folder)
        return self.nodes[where]

    @asynccontextmanager
    async def in_time(self) -> AsyncIterator[None]:
        """Whoever waits too long is told what the nodes said."""
        try:
            async with asyncio.timeout(LONGEST_S):
                yield
        except TimeoutError:
            pytest.fail("\n".join(f"== {name}\n{node.said()[-3000:]}" for name, node in self.nodes.items()))


@pytest.fixture
def tasks(templates: Path, tmp_path: Path) -> Iterator[Tasks]:
    if os.geteuid() or subprocess.run(["ip", "netns", "list"], check=False, capture_output=True).returncode:
        pytest.skip("only root can make networks, on Linux, with iproute2")
    from moto.server import ThreadedMotoServer

    names = ["-subj", "/CN=valkey", "-addext", f"subjectAltName=IP:{STUDIO},IP:{RAY}"]
    made = ["-newkey", "rsa:2048", "-nodes", "-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")]
    subprocess.run(["openssl", "req", "-x509", "-days", "2", *names, *made], check=True, capture_output=True)
    known = users(templates / "flair-dev-foundation.template.json")
    with ExitStack() as stack:
        stack.enter_context(networks(HEAD_NAME))
        stack.enter_context(valkey(STUDIO, known["flair"], tmp_path))
        stack.enter_context(valkey(RAY, known["ray"], tmp_path))
        aws = ThreadedMotoServer(HOST, 0, verbose=False)
        aws.start()
        stack.callback(aws.stop)
        model = stack.enter_context(MockServer(MockOptions(host=HOST, latency_s=2.0, jitter=0.5)))
        certificate = str(tmp_path / "cert.pem")
        environ = {
            "AWS_ENDPOINT_URL": "http://{}:{}".format(*aws.get_host_and_port()),
            "AWS_ACCESS_KEY_ID": "made-up",
            "AWS_SECRET_ACCESS_KEY": "made-up",
            "FLAIR_API_TOKENS": f"ada:{hashlib.sha256(TOKEN.encode()).hexdigest()}",
            "FLAIR_DYNAMODB_TABLE": "studio",
            "FLAIR_IMAGE": "one",
            "FLAIR_OPENAI_BASE_URL": model.base_url,
            "FLAIR_REDIS_HOST": STUDIO,
            "FLAIR_REDIS_PASSWORD": PASSWORD,
            "FLAIR_S3_BUCKET": "studio",
            "OPENAI_API_KEY": "made-up",
            "RAY_AUTH_TOKEN": RAY_TOKEN,
            "RAY_REDIS_ADDRESS": f"rediss://{RAY}:6379",
            "RAY_REDIS_CA_CERT": certificate,
            "RAY_REDIS_PASSWORD": PASSWORD,
            "SSL_CERT_FILE": certificate,
        }
        made_tasks = Tasks(tmp_path, templates, environ)
        stack.callback(lambda: [node.kill() for node in made_tasks.nodes.values()])
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environ.items() | {("AWS_DEFAULT_REGION", "eu-central-1")}:
                if name.startswith("AWS_"):
                    patch.setenv(name, value)
            yield made_tasks


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    while True:
        try:
            if await condition():
                return
        except httpx2.TransportError:
            pass
        await asyncio.sleep(0.05)


def workers_told() -> float:
    now = datetime.now(UTC)
    answer = boto3.client("cloudwatch").get_metric_statistics(
        Namespace="flair-dev",
        MetricName=WORKERS.cloudwatch,
        StartTime=now - timedelta(minutes=10),
        EndTime=now + timedelta(minutes=10),
        Period=60,
        Statistics=["Maximum"],
    )
    return max((point["Maximum"] for point in answer["Datapoints"]), default=0)


class Client:
    """What a user of the API sees."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self.http = http
        self.run_id = ""

    async def healthy(self) -> bool:
        return (await self.http.get("/api/health")).status_code == 200

    async def start(self) -> None:
        answer = await self.http.post("/api/pipeline/start", json=ORDER)
        assert answer.status_code == 200, answer.text
        self.run_id = answer.json()["run_id"]

    async def status(self) -> str:
        answer = await self.http.get(f"/api/runs/{self.run_id}")
        return str(answer.json()["status"]) if answer.status_code == 200 else answer.text

    async def running(self) -> bool:
        return await self.status() == "running"

    async def completed(self) -> bool:
        return await self.status() == "completed"


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    who = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx2.AsyncClient(base_url=f"http://{ADDRESSES['front']}:8000", headers=who, timeout=5) as http:
        yield Client(http)


async def under_way(tasks: Tasks, client: Client) -> None:
    """All tasks, and a run."""
    for name in ("head", "front", "worker"):
        tasks.start(name, name)
    await until(client.healthy)
    await client.start()
    await until(client.running)


async def test_the_head_is_lost_and_the_run_completes(tasks: Tasks, client: Client) -> None:
    async with tasks.in_time():
        await under_way(tasks, client)
        tasks.nodes["head"].kill()
        assert (await client.http.get("/-/healthz")).status_code == 200, "a load balancer would take the node away"
        assert await client.running(), "the front answers while the head is away"
        point(HEAD_NAME, ADDRESSES["successor"])
        tasks.start("head", "successor")
        await until(client.completed)
        await until(client.healthy)
    assert workers_told() == 1


async def test_a_new_image_goes_on_with_the_run(tasks: Tasks, client: Client) -> None:
    """In the order of a deployment: the head, and then the others, which answer until it is their turn."""
    async with tasks.in_time():
        await under_way(tasks, client)
        tasks.nodes["head"].kill()
        point(HEAD_NAME, ADDRESSES["successor"])
        tasks.environ["FLAIR_IMAGE"] = "two"
        tasks.start("head", "successor")
        await until(client.running)
        for name in ("front", "worker"):
            tasks.nodes[name].kill()
            tasks.start(name, name)
        await until(client.completed)
        await until(client.healthy)
