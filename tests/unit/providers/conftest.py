"""A server that notes what it is sent and answers what it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer


class Recorder:
    """``replies`` are (status, body, headers), the last one again and again."""

    def __init__(self) -> None:
        self.bodies: list[Any] = []
        self.headers: list[Any] = []
        self.paths: list[str] = []
        self.reply: tuple[int, object, dict[str, str]] = (200, {}, {})
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.paths.append(request.path)
        self.headers.append(request.headers)
        self.bodies.append(await request.json() if request.can_read_body else None)
        status, body, headers = self.reply
        return web.json_response(body, status=status, headers=headers)


@pytest.fixture
async def recorder() -> AsyncIterator[Recorder]:
    noted = Recorder()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", noted.handle)
    server = TestServer(app)
    await server.start_server()
    noted.url = str(server.make_url("")).rstrip("/")
    yield noted
    await server.close()


@pytest.fixture
async def dripper() -> AsyncIterator[str]:
    """The address of a server that sends one byte after the other and never comes to an end."""

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.02)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", drip)
    server = TestServer(app)
    await server.start_server()
    yield str(server.make_url("")).rstrip("/")
    await server.close()
