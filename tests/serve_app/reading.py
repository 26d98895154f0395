"""Reading a stream of server-sent events as a browser does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from itertools import count
from typing import Any

import httpx2

Message = dict[str, Any]


async def messages(response: httpx2.Response) -> AsyncGenerator[Message, None]:
    """Each message's data; checks that id and name outside say what the data say."""
    frame: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            frame[name] = value
            continue
        if "data" in frame:
            message = json.loads(frame["data"])
            assert (frame["id"], frame["event"]) == (message["id"], message["event"])
            yield message
        frame = {}


async def watch(
    client: httpx2.AsyncClient, run_id: str, headers: dict[str, str] | None = None, **query: str
) -> list[Message]:
    """A run's events until the server ends the stream."""
    async with client.stream("GET", f"/api/pipeline/status/{run_id}", params=query, headers=headers) as response:
        assert response.status_code == 200
        return [message async for message in messages(response)]


async def follow(
    client: httpx2.AsyncClient, run_id: str, *, events_each: int = 1_000_000, by_cursor: bool = False
) -> tuple[list[Message], int]:
    """A run's events until nothing will follow, heartbeats apart, and how often it took to connect.

    A viewer who hangs up after ``events_each`` events, and comes back whenever the connection ends, with the last id.
    """
    seen: list[Message] = []
    for connections in count(1):
        last = seen[-1]["id"] if seen else "0"
        place = {"params": {"cursor": last}} if by_cursor else {"headers": {"Last-Event-ID": last}}
        try:
            async with client.stream("GET", f"/api/pipeline/status/{run_id}", **place) as response:
                if response.status_code == 204:
                    return seen, connections
                if response.status_code == 200:
                    async with aclosing(messages(response)) as stored:
                        async for message in stored:
                            if message["event"] != "heartbeat":
                                seen.append(message)
                                if len(seen) % events_each == 0:
                                    break
        except httpx2.TransportError:
            await asyncio.sleep(0.05)
    raise AssertionError
