"""How soon a run's first event is there, and what a thousand viewers of one run get."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any
from urllib.parse import urlsplit

import httpx2
from redis.asyncio import Redis

from experiments.api_load import BODY
from experiments.rows import Row, row

STARTS, COLD = 50, 5
"""Those that count, and some before them."""
VIEWERS = 1_000
AT_ONCE = 100
"""Viewers who are connecting: a listening socket's queue is short."""


async def first_events(url: str) -> list[Row]:
    """From a start's answer to the first event of its run, each request on a connection of its own."""
    took, broken = [], 0
    fresh = httpx2.Limits(max_keepalive_connections=0)
    async with httpx2.AsyncClient(base_url=url, timeout=60, limits=fresh) as client:
        while len(took) < STARTS + COLD and broken < STARTS:
            try:
                run_id = (await client.post("/api/pipeline/start?session_id=first", json=BODY)).json()["run_id"]
                began = time.perf_counter()
                await _first_event(client, run_id)
            except httpx2.TransportError:
                broken += 1
                continue
            took.append(1000 * (time.perf_counter() - began))
    return [
        row(f"first event after a start's answer, of {STARTS}", took[COLD:], "ms", None, 50),
        row("  requests without any answer", [broken], "", None, 0),
    ]


async def _first_event(client: httpx2.AsyncClient, run_id: str) -> None:
    async with client.stream("GET", f"/api/pipeline/status/{run_id}") as stream:
        async for line in stream.aiter_lines():
            if line.startswith("data: "):
                return


async def viewers(url: str, redis_url: str, count: int = VIEWERS) -> list[Row]:
    """Of a run whose calls take seconds, so that they are all there before it ends."""
    async with httpx2.AsyncClient(base_url=url, timeout=60) as client, Redis.from_url(redis_url) as redis:
        body = BODY | {"reasoning_model": "openai", "num_videos": 50, "num_scripts": 20, "num_personas": 42}
        run_id = (await client.post("/api/pipeline/start", json=body)).json()["run_id"]
        gate, came = asyncio.Semaphore(AT_ONCE), asyncio.Semaphore(0)
        watching = [asyncio.create_task(_watch(url, run_id, gate, came)) for _ in range(count)]
        for _ in watching:
            await came.acquire()
        looks = [await redis.client_list() for _ in range(50)]  # between two reads it does not wait
        reading = max(sum("b" in one["flags"] and one["cmd"] == "xread" for one in look) for look in looks)
        unfinished = (await client.get(f"/api/runs/{run_id}")).json()["status"] == "running"
        seen = await asyncio.gather(*watching, return_exceptions=True)
        stored = [(entry_id.decode(), entry[b"name"].decode()) for entry_id, entry in await _log(redis, run_id)]
    for error in {repr(events) for events in seen if isinstance(events, BaseException)}:
        print(f"A viewer failed: {error}", file=sys.stderr)
    whole = sum(events == stored for events in seen)
    return [
        row(f"of {count} viewers, without every one of {len(stored)} events", [count - whole], "", None, 0),
        row("  who came after the run had ended", [0 if unfinished else count], "", None, 0),
        row("  Redis connections that wait for events", [reading], "", None, 1),
    ]


async def _watch(url: str, run_id: str, gate: asyncio.Semaphore, came: asyncio.Semaphore) -> list[tuple[str, str]]:
    """Ids and names of the stored events, as they come."""
    at = urlsplit(url)
    try:
        async with gate:
            reader, writer = await asyncio.open_connection(at.hostname, at.port)
            asked = f"GET /api/pipeline/status/{run_id} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            writer.write(asked.encode())
            await reader.readuntil(b"\r\n\r\n")
            data = await _chunk(reader)
    finally:
        came.release()
    while more := await _chunk(reader):
        data += more
    writer.close()
    messages = [json.loads(line[6:]) for line in data.split(b"\n") if line.startswith(b"data: ")]
    return [(message["id"], message["event"]) for message in messages if message["event"] != "heartbeat"]


async def _chunk(reader: asyncio.StreamReader) -> bytes:
    """The next piece of a chunked body: a proxy cuts it where its buffer ends, within an event, too."""
    size = int(await reader.readuntil(b"\r\n"), 16)
    return (await reader.readexactly(size + 2))[:size]


async def _log(redis: Redis, run_id: str) -> Any:
    return await redis.xrange(f"flair:run:{run_id}:events")
