"""Reading a stream of server-sent events as a browser does."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2

Message = dict[str, Any]


async def messages(response: httpx2.Response) -> AsyncIterator[Message]:
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
