"""A thousand viewers of one run, over real HTTP: each sees every event, and Redis has one reader."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic
from typing import Any

import httpx2
import pytest

from flair_ray.domain.ids import RunId
from flair_ray.stores.redis_store import RedisRunStore, connect
from tests.serve_app.conftest import LocalHosts

VIEWERS = 1_000
Started = Callable[..., Awaitable[str]]
pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


async def watch_raw(port: int, run_id: str, ready: asyncio.Semaphore) -> list[bytes]:
    """The events' data as they come; HTTP/1.0, so that nothing stands between them."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /api/pipeline/status/{run_id} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
    try:
        first = await reader.readuntil(b"\ndata: ")
        assert first.startswith(b"HTTP/1.1 200"), first
    finally:
        ready.release()  # one that failed is not waited for
    rest = await reader.read(-1)
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
    lines = (b"data: " + rest).split(b"\n")
    return [line[6:] for line in lines if line.startswith(b"data: ")]


async def test_a_thousand_viewers_are_one_reader(
    redis_url: str, quiet_api: httpx2.AsyncClient, started: Started, hosts: LocalHosts, store: RedisRunStore
) -> None:
    run_id, port = await started(quiet_api), quiet_api.base_url.port
    assert port
    ready = asyncio.Semaphore(0)
    viewers = [asyncio.create_task(watch_raw(port, run_id, ready)) for _ in range(VIEWERS)]
    for _ in viewers:
        await ready.acquire()
    async with connect(redis_url) as redis:
        clients: list[dict[str, Any]] = []
        while not (waiting := [client for client in clients if "b" in client["flags"]]):
            await asyncio.sleep(0.05)
            clients = await redis.client_list()
        await redis.connection_pool.aclose()
    began = monotonic()
    hosts.wake()
    seen = await asyncio.gather(*viewers)
    took = monotonic() - began
    stored = [event.envelope() for event in await store.events(RunId(run_id))]
    for data in seen:
        events = [json.loads(line) for line in data]
        assert [event for event in events if event["event"] != "heartbeat"] == stored
    assert [client["cmd"] for client in waiting] == ["xread"]
    print(f"{VIEWERS} viewers × {len(stored)} events in {took:.1f} s; Redis has {len(clients)} clients")
