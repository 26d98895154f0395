"""A mock server in this process, on a clock that tests move."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer
from pydantic import BaseModel

from flair_ray.testing.mock_llm import MockOptions, create_app


class ManualClock:
    """Time stands still unless it is set; sleeping is noted, and over at once unless it is held."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.slept: list[float] = []
        self._free = asyncio.Event()
        self._free.set()

    def now_s(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await self._free.wait()

    def hold(self) -> None:
        self._free.clear()

    def release(self) -> None:
        self._free.set()


class MockClient:
    """What tests say to a mock server."""

    def __init__(self, session: ClientSession, root: str) -> None:
        self._session = session
        self.root = root

    async def ask(self, text: str, answer: type[BaseModel] | None = None, **body: object) -> tuple[int, Any, Any]:
        """Status, body, headers."""
        asked = {"model": "any", "messages": [{"role": "user", "content": text}], **body}
        if answer is not None:
            schema = {"name": answer.__name__, "schema": answer.model_json_schema(), "strict": True}
            asked["response_format"] = {"type": "json_schema", "json_schema": schema}
        return await self.post("/v1/chat/completions", asked)

    async def post(self, path: str, body: object = None) -> tuple[int, Any, Any]:
        data = body if isinstance(body, bytes) else None
        async with self._session.post(self.root + path, data=data, json=None if data else body) as response:
            return response.status, await response.json(), response.headers

    async def get(self, path: str) -> Any:
        async with self._session.get(self.root + path) as response:
            return await response.json()

    async def stats_once(self, **expected: int) -> Any:
        """The counters, as soon as they are as expected."""
        while True:
            stats = await self.get("/stats")
            if all(stats[name] == value for name, value in expected.items()):
                return stats


@asynccontextmanager
async def _mock(options: MockOptions, clock: ManualClock) -> AsyncIterator[MockClient]:
    server = TestServer(create_app(options, clock))
    await server.start_server()
    try:
        async with ClientSession() as session:
            yield MockClient(session, str(server.make_url("")).rstrip("/"))
    finally:
        clock.release()
        await server.close()


@pytest.fixture
async def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def start(clock: ManualClock) -> AsyncIterator[Callable[..., Awaitable[MockClient]]]:
    """``await start(rpm=60)`` gives the client of a server with these options, on the test's clock."""
    opened = []

    async def begin(**options: Any) -> MockClient:
        context = _mock(MockOptions(**options), clock)
        opened.append(context)
        return await context.__aenter__()

    yield begin
    for context in opened:
        await context.__aexit__(None, None, None)
