"""One viewer's connection, cut in the middle of a run while everyone else's holds: the page says so and catches up."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import httpx2
import pytest
from playwright.async_api import Page, expect

from flair_ray.domain.ids import StageName
from flair_ray.stores.redis_store import RedisRunStore
from tests.browser.conftest import SESSION, Model, Open, come_to_rest, state_of

pytestmark = [pytest.mark.long, pytest.mark.timeout(120)]
Started = Callable[..., Awaitable[str]]
PIECE = 65_536
EARLY = (
    b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 24\r\nConnection: close\r\n\r\n"
    b"Path '/' not found yet.\n"
)
"""As Ray Serve answers before its application is there."""


class Line:
    """A TCP line to a server on loopback. ``down``: nobody gets through. ``early``: there is no studio behind it yet.
    ``silent``: open, and nothing comes. ``worn`` cuts each connection after so many bytes of the answer, wherever in an
    event that is."""

    def __init__(self, port: int) -> None:
        self.down = self.early = False
        self.worn: Callable[[], int] | None = None
        self.cuts = 0
        self._to = port
        self._flows = asyncio.Event()
        self._open: set[asyncio.StreamWriter] = set()
        self.silent = False

    @property
    def silent(self) -> bool:
        return not self._flows.is_set()

    @silent.setter
    def silent(self, silent: bool) -> None:
        (self._flows.clear if silent else self._flows.set)()

    def cut(self) -> None:
        for end in self._open:
            end.transport.abort()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a browser."""
        if self.down:
            writer.transport.abort()
            return
        if self.early:
            writer.write(EARLY)
            await writer.drain()
            writer.close()
            return
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._to)
        ends = {writer, to_server}
        self._open |= ends
        worn = self.worn() if self.worn else None
        with suppress(OSError):
            await asyncio.wait(
                {
                    asyncio.create_task(self._pump(reader, to_server, None)),
                    asyncio.create_task(self._pump(from_server, writer, worn)),
                },
                return_when=asyncio.FIRST_COMPLETED,
            )
        for end in ends:
            end.transport.abort()
        self._open -= ends

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, most: int | None) -> None:
        with suppress(OSError):
            while piece := await source.read(PIECE):
                await self._flows.wait()
                if most is not None and (most := most - len(piece)) <= 0:
                    self.cuts += 1
                    piece = piece[: most or None]
                sink.write(piece)
                await sink.drain()
                if most is not None and most <= 0:
                    return


@pytest.fixture
async def line(api: httpx2.AsyncClient) -> AsyncIterator[tuple[Line, str]]:
    """The line and its address at this end."""
    assert api.base_url.port
    line = Line(api.base_url.port)
    server = await asyncio.start_server(line.carry, "127.0.0.1", 0)
    yield line, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    line.cut()


Watched = Callable[[int], Awaitable[tuple[Line, str, Page, Page]]]


@pytest.fixture
def watched(
    api: httpx2.AsyncClient,
    line: tuple[Line, str],
    opened: Open,
    model: Model,
    store: RedisRunStore,
    started: Started,
) -> Watched:
    """A run that rests after so many videos, its line, and two pages: one over the line, one beside it."""

    async def rests(after: int) -> tuple[Line, str, Page, Page]:
        cable, address = line
        model.hold(StageName.S1, after)
        run_id = await started(api, SESSION)
        page, other = await opened(f"{address}/#/runs/{run_id}"), await opened(f"{api.base_url}/#/runs/{run_id}")
        await state_of(page, await come_to_rest(store, run_id, "s1_progress", after))
        return cable, run_id, page, other

    return rests


async def ends_the_same(store: RedisRunStore, run_id: str, page: Page, other: Page) -> None:
    end = await come_to_rest(store, run_id, "pipeline_complete")
    assert await state_of(page, end) == await state_of(other, end)


async def see(page: Page, link: str) -> None:
    """What the page says of its connection."""
    await expect(page.locator(".hero .chip")).to_have_text(link)


async def test_a_line_that_is_cut_in_every_stage(watched: Watched, model: Model, store: RedisRunStore) -> None:
    cable, run_id, page, other = await watched(5)
    for stage, event, after in (
        (StageName.S3, "s3_progress", 2),
        (StageName.S4, "vote_cast", 3),
        (StageName.S6, "s6_progress", 1),
    ):
        cable.down = True
        cable.cut()
        await see(page, "Reconnecting …")
        model.let()
        model.hold(stage, after)
        at = await come_to_rest(store, run_id, event, after)
        missed = await state_of(other, at)
        await see(page, "Reconnecting …")
        await see(other, "Live")
        cable.down = False
        assert await state_of(page, at) == missed
        await see(page, "Live")
    cable.cut()
    model.let()
    await ends_the_same(store, run_id, page, other)
    await expect(page.get_by_role("heading", level=1)).to_have_text("Your scripts are ready")


async def test_a_server_whose_studio_is_not_up_yet(watched: Watched, model: Model, store: RedisRunStore) -> None:
    cable, run_id, page, other = await watched(5)
    cable.early = True
    async with page.expect_response(lambda answer: answer.status == 404 and "/api/runs/" in answer.url):
        cable.cut()
    model.let()
    await see(page, "Reconnecting …")
    cable.early = False
    await ends_the_same(store, run_id, page, other)


@pytest.mark.parametrize("seed", range(3))
async def test_a_line_that_breaks_again_and_again_within_events(
    watched: Watched, model: Model, store: RedisRunStore, seed: int
) -> None:
    cable, run_id, page, other = await watched(1)
    bytes_each = random.Random(seed)  # noqa: S311  # where a line breaks
    cable.worn = lambda: bytes_each.randint(500, 4_000)
    cable.cut()
    model.let()
    await ends_the_same(store, run_id, page, other)
    assert cable.cuts >= 3


async def test_a_line_that_only_falls_silent(
    api: httpx2.AsyncClient,
    line: tuple[Line, str],
    opened: Open,
    model: Model,
    store: RedisRunStore,
    started: Started,
) -> None:
    """As behind a router that has forgotten it: nothing is closed, nothing comes."""
    cable, address = line
    model.hold(StageName.S4, after=3)
    run_id = await started(api, SESSION)
    at = await come_to_rest(store, run_id, "vote_cast", 3)
    page, other = await opened("about:blank"), await opened(f"{api.base_url}/#/runs/{run_id}")
    await page.clock.install()
    await page.goto(f"{address}/#/runs/{run_id}")
    await state_of(page, at)
    cable.silent = True
    model.let()
    end = await come_to_rest(store, run_id, "pipeline_complete")
    await see(page, "Live")
    await page.clock.fast_forward(46_000)  # a heartbeat was due
    await see(page, "Reconnecting …")
    cable.silent = False
    await page.clock.fast_forward(1_000)
    assert await state_of(page, end) == await state_of(other, end)
