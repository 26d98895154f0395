"""The studio in real Chromium: a real server, a run host in this process, a model that waits where a test says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from experiments.chromium import FLAGS, chromium
from flair_ray.domain.calls import ChatRequest, Completion
from flair_ray.domain.ids import RunId, StageName
from flair_ray.engine.driver import Driver
from flair_ray.engine.local_executor import LocalExecutor
from flair_ray.errors import ProviderError
from flair_ray.ports import Executor
from flair_ray.providers.offline import OfflineProvider
from flair_ray.stores.redis_store import RedisRunStore
from tests.serve_app.conftest import api, hosts, quiet_api, serve_api, started  # noqa: F401  # fixtures

SESSION = "a-browser"
"""What every page of these tests remembers as its session."""
EXPECTED = ("Failed to load resource", "stylesheet MIME type", "TrustedHTML")
"""What Chromium notes by itself: answers that are errors, and HTML that it refused, which is an exception as well."""
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


class Model(OfflineProvider):
    """Answers at once, until it is told to wait or to fail within a stage."""

    def __init__(self) -> None:
        super().__init__()
        self._left: dict[StageName, int] = {}
        self._gates: dict[StageName, asyncio.Event] = {}
        self.fails: dict[StageName, ProviderError] = {}
        self.fails_once: dict[StageName, ProviderError] = {}

    def hold(self, stage: StageName, after: int) -> None:
        """After so many answers the stage's calls wait."""
        self._left[stage] = after
        self._gates[stage] = asyncio.Event()

    def let(self) -> None:
        """Nothing waits any more, until it is told to again."""
        self._left.clear()
        for gate in self._gates.values():
            gate.set()

    async def complete(self, request: ChatRequest, timeout_s: float) -> Completion:
        if error := self.fails_once.pop(request.stage, None) or self.fails.get(request.stage):
            raise error
        if (left := self._left.get(request.stage)) is not None:
            self._left[request.stage] = left - 1
            if left <= 0:
                await self._gates[request.stage].wait()
        return await super().complete(request, timeout_s)


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def local_driver(make_driver: Callable[[Executor], Driver], local_tools: Any, model: Model) -> Callable[..., Driver]:
    return lambda: make_driver(LocalExecutor(local_tools(model)))


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield browser
        await browser.close()


Open = Callable[..., Awaitable[Page]]


@pytest.fixture
async def opened(browser: Browser) -> AsyncIterator[Open]:
    """A page of a browser of its own, at an address; whatever its console complains about fails the test."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    async def open_page(address: str, session: str = SESSION, **how: Any) -> Page:
        context = await browser.new_context(**{"viewport": DESKTOP, "reduced_motion": "reduce"} | how)
        context.set_default_timeout(20_000)
        contexts.append(context)
        await context.add_init_script(f"try {{ localStorage.setItem('flair:session', '{session}') }} catch {{}}")
        page = await context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: said.type == "error" and complaints.append(said.text))
        await page.goto(address)
        return page

    yield open_page
    for context in contexts:
        await context.close()
    assert [text for text in complaints if not any(known in text for known in EXPECTED)] == []


async def state_of(page: Page, event_id: str = "") -> dict[str, Any]:
    """What a live page knows, once it has taken in this event; without what is asked for now and then."""
    if event_id:
        await page.locator(f'.page-live[data-event="{event_id}"]').wait_for(timeout=120_000)
    state: dict[str, Any] = await page.evaluate("document.querySelector('.page-live').state()")
    return {name: value for name, value in state.items() if name not in ("spend", "recovering", "assumed")}


async def come_to_rest(store: RedisRunStore, run_id: str, name: str, count: int = 1) -> str:
    """The id of a log's last event, once there are so many of this name and nothing follows."""
    while True:
        events = await store.events(RunId(run_id))
        if sum(event.name == name for event in events) >= count:
            await asyncio.sleep(0.05)
            if events == await store.events(RunId(run_id)):
                return events[-1].event_id
        await asyncio.sleep(0.02)


async def faults(page: Page) -> list[str]:
    """What axe finds serious or critical."""
    found = await Axe().run(page)
    return [
        f"{one['id']}: {node['target']} {node.get('failureSummary', '')}"
        for one in found.response["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]
