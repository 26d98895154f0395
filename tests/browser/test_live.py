"""A run as it is watched: from its first video to its last script, and through all that gets in between."""

from __future__ import annotations

import asyncio
import csv
import io
import re
import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx2
import pytest
from playwright.async_api import Page, Route, expect

from flair_ray.config import Settings
from flair_ray.domain.ids import StageName
from flair_ray.errors import AuthRefused, BadRequest
from flair_ray.stores.redis_store import RedisRunStore
from tests.browser.conftest import PHONE, SESSION, Model, Open, come_to_rest, faults, state_of
from tests.serve_app.conftest import LocalHosts, Serve

pytestmark = [pytest.mark.long, pytest.mark.timeout(120)]
Started = Callable[..., Awaitable[str]]
Watch = Callable[..., Awaitable[Page]]


@pytest.fixture
def watch(opened: Open, api: httpx2.AsyncClient) -> Watch:
    async def at(run_id: str, **how: Any) -> Page:
        return await opened(f"{api.base_url}/#/runs/{run_id}", **how)

    return at


async def held_at_the_third_vote(
    api: httpx2.AsyncClient, model: Model, store: RedisRunStore, started: Started, **changes: Any
) -> tuple[str, str]:
    """A run in the middle of S4, and its last event."""
    model.hold(StageName.S4, after=3)
    run_id = await started(api, SESSION, **changes)
    return run_id, await come_to_rest(store, run_id, "vote_cast", 3)


async def test_a_run_from_the_first_video_to_the_last_script(
    api: httpx2.AsyncClient, watch: Watch, model: Model, started: Started
) -> None:
    model.hold(StageName.S1, after=5)
    run_id = await started(api, SESSION)
    page = await watch(run_id)
    await expect(page.get_by_role("heading", level=1)).to_have_text("Watching your videos")
    await expect(page.locator('#tiles [data-state="done"]')).to_have_count(5)
    await expect(page.locator("#tiles button")).to_have_count(12)
    await expect(page.locator(".step").first).to_contain_text("5 / 12")
    await page.locator('#tiles [data-state="done"]').first.hover()
    await expect(page.get_by_role("tooltip")).to_contain_text("hook")
    model.let()
    model.hold(StageName.S4, after=3)
    await expect(page.get_by_role("heading", level=1)).to_have_text("Viewers are voting")
    await expect(page.locator("#voters .place")).to_have_count(15)
    assert await page.locator(".board > li").count() == 6
    points = [int(text) for text in await page.locator(".board > li > .num:last-child").all_text_contents()]
    assert points == sorted(points, reverse=True)
    assert sum(points) == 3 * 15
    voter = page.locator('#voters [data-state="done"]').first
    await voter.focus()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("ArrowUp")
    await expect(page.get_by_role("tooltip").locator(".ballot li")).to_have_count(5)
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("tooltip")).to_have_count(0)
    assert not await faults(page)
    model.let()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Your scripts are ready")
    await expect(page.get_by_text("in your voice", exact=True)).to_have_count(3)
    await expect(page.locator(".facts")).to_contain_text("free")
    await page.get_by_role("link", name="See the results").click()
    await expect(page).to_have_url(f"{api.base_url}/#/runs/{run_id}/results")


async def test_who_reloads_or_comes_late_sees_the_same(
    api: httpx2.AsyncClient, watch: Watch, model: Model, store: RedisRunStore, started: Started
) -> None:
    model.hold(StageName.S1, after=2)
    run_id = await started(api, SESSION)
    first = await watch(run_id)
    await state_of(first, await come_to_rest(store, run_id, "s1_progress", 2))
    model.let()
    model.hold(StageName.S4, after=3)
    at = await come_to_rest(store, run_id, "vote_cast", 3)
    seen = await state_of(first, at)
    assert seen["stages"]["S4_MAP"]["completed"] == 3
    second = await watch(run_id)
    assert await state_of(second, at) == seen
    await first.reload()
    assert await state_of(first, at) == seen
    model.let()
    end = await come_to_rest(store, run_id, "pipeline_complete")
    states = [await state_of(page, end) for page in (first, second, await watch(run_id))]
    assert states[0] == states[1] == states[2]
    assert states[0]["status"] == "completed"


async def test_a_server_that_goes_away_and_comes_back(
    serve_api: Serve,
    settings: Settings,
    hosts: LocalHosts,
    opened: Open,
    model: Model,
    store: RedisRunStore,
    started: Started,
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    hosts.wake()
    async with AsyncExitStack() as life:
        client = await life.enter_async_context(serve_api(settings, port=port))
        run_id, at = await held_at_the_third_vote(client, model, store, started)
        page = await opened(f"http://127.0.0.1:{port}/#/runs/{run_id}")
        await state_of(page, at)
    await expect(page.locator(".hero .chip")).to_have_text("Reconnecting …")
    model.let()
    end = await come_to_rest(store, run_id, "pipeline_complete")
    async with serve_api(settings, port=port):
        seen = await state_of(page, end)
        other = await opened(f"http://127.0.0.1:{port}/#/runs/{run_id}")
        assert await state_of(other, end) == seen
        await expect(page.get_by_role("heading", level=1)).to_have_text("Your scripts are ready")


async def test_a_run_that_fails_and_is_resumed(
    api: httpx2.AsyncClient, watch: Watch, model: Model, started: Started
) -> None:
    model.fails[StageName.S3] = AuthRefused("The key was refused <b>twice</b>.")
    page = await watch(await started(api, SESSION))
    await expect(page.get_by_role("heading", level=1)).to_have_text("This run has failed")
    await expect(page.get_by_role("alert")).to_contain_text("The key was refused <b>twice</b>.")
    await expect(page.locator('.step[data-status="failed"]')).to_contain_text("Write")
    assert not await faults(page)
    await page.set_viewport_size(PHONE)
    title = await page.get_by_role("heading", level=1).bounding_box()
    assert title
    assert title["height"] < 40  # a line, whatever stands beside it
    model.fails.clear()
    await page.get_by_role("button", name="Resume").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Your scripts are ready")
    await expect(page.get_by_role("alert")).to_have_count(0)


async def test_a_run_that_is_stopped_and_resumed(
    api: httpx2.AsyncClient, watch: Watch, model: Model, store: RedisRunStore, started: Started
) -> None:
    run_id, at = await held_at_the_third_vote(api, model, store, started)
    page = await watch(run_id)
    await state_of(page, at)
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_role("button", name="Let it go on")).to_be_focused()
    assert not await faults(page)
    await page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("This run was stopped")
    model.let()
    await page.get_by_role("button", name="Resume").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Your scripts are ready")


async def test_on_a_phone(
    api: httpx2.AsyncClient, watch: Watch, model: Model, store: RedisRunStore, started: Started
) -> None:
    run_id, at = await held_at_the_third_vote(api, model, store, started, num_scripts=20)
    page = await watch(run_id, viewport=PHONE, has_touch=True, is_mobile=True, color_scheme="dark")
    await state_of(page, at)
    assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    tallest = "(all) => Math.max(...all.map((one) => one.offsetHeight))"
    assert await page.locator(".columns .cells > span").evaluate_all(tallest) < 24  # no number is broken in two
    await page.locator('#voters [data-state="done"]').first.tap()
    sheet = page.get_by_role("tooltip")
    await expect(sheet.locator(".ballot li")).to_have_count(5)
    box = await sheet.bounding_box()
    assert box
    assert (box["x"], box["width"]) == (0, PHONE["width"])
    assert not await faults(page)
    await page.get_by_role("heading", level=1).tap()
    await expect(sheet).to_have_count(0)


async def test_a_video_that_was_left_out_says_why(
    api: httpx2.AsyncClient, watch: Watch, model: Model, store: RedisRunStore, started: Started
) -> None:
    model.fails_once[StageName.S1] = BadRequest("The clip <b>broke</b> off.")
    run_id = await started(api, SESSION)
    end = await come_to_rest(store, run_id, "pipeline_complete")
    why, name = re.compile("Left out: .*The clip <b>broke</b> off"), re.compile(": left out$")
    page = await watch(run_id)
    await state_of(page, end)
    tile, card = page.get_by_role("button", name=name), page.get_by_role("tooltip")
    await expect(tile).to_have_text("×")
    await tile.hover()
    await expect(card).to_contain_text(why)
    await page.get_by_role("heading", level=1).hover()
    await expect(card).to_have_count(0)
    await page.locator('#tiles [tabindex="0"]').focus()
    await page.keyboard.press("Home")
    while "left out" not in str(await page.locator(":focus").get_attribute("aria-label")):
        await page.keyboard.press("ArrowRight")
    await expect(card).to_contain_text(why)
    await expect(tile).to_have_accessible_description(why)
    phone = await watch(run_id, viewport=PHONE, has_touch=True, is_mobile=True)
    await state_of(phone, end)
    await phone.get_by_role("button", name=name).tap()
    await expect(phone.get_by_role("tooltip")).to_contain_text(why)
    assert not await faults(phone)


MOVING = """() => {
  const box = document.createElement("a");
  box.className = "btn";
  document.querySelector("main").append(box);
  getComputedStyle(box).color;
  box.style.color = "red";
  getComputedStyle(box).color;
  const found = document.getAnimations().filter((one) => one.playState === "running");
  box.remove();
  return [...new Set(found.map((one) => one.animationName ?? one.constructor.name))].sort();
}"""
"""The names of what moves, while something changes its colour that does so smoothly."""


async def test_nothing_moves_for_who_asks_for_that(
    api: httpx2.AsyncClient, watch: Watch, model: Model, store: RedisRunStore, started: Started
) -> None:
    run_id, at = await held_at_the_third_vote(api, model, store, started)
    page = await watch(run_id, reduced_motion="no-preference")
    await state_of(page, at)
    assert await page.evaluate(MOVING) == ["CSSTransition", "wait"]
    await page.emulate_media(reduced_motion="reduce")
    assert await page.evaluate(MOVING) == []
    answer = asyncio.Event()

    async def late(route: Route) -> None:
        await answer.wait()
        await route.continue_()

    await page.route(f"**/api/runs/{run_id}", late)
    await page.goto(f"{api.base_url}/#/runs/{run_id}/results")
    await expect(page.locator(".busy")).to_be_visible()
    assert await page.evaluate(MOVING) == []
    await page.emulate_media(reduced_motion="no-preference")
    assert await page.evaluate(MOVING) == ["CSSTransition", "turn"]
    answer.set()


async def test_nothing_that_others_wrote_is_run(
    api: httpx2.AsyncClient, watch: Watch, model: Model, store: RedisRunStore, started: Started
) -> None:
    attack = "<img src=x onerror=\"document.title='run'\"><script>document.title='run'</script>"
    rows = [[str(n), f"{attack} {n}", f"Nobody tells you this about rice {n} {attack}"] for n in range(4)]
    table = io.StringIO()
    csv.writer(table).writerows([["id", "description", "transcript"], *rows])
    files = {"files": ("videos.csv", table.getvalue().encode(), "text/csv")}
    video_set = (await api.post(f"/api/videos?session_id={SESSION}", files=files)).json()["video_set_id"]
    profile = {"tone": attack, "vocabulary": [attack], "catchphrases": [attack], "topics_to_avoid": [], "niche": attack}
    run_id = await started(api, SESSION, video_set_id=video_set, creator_profile=profile, num_videos=4)
    page = await watch(run_id)
    await state_of(page, await come_to_rest(store, run_id, "pipeline_complete"))
    await page.locator("#tiles button").first.hover()
    await expect(page.get_by_role("tooltip")).to_contain_text("<script>")
    await expect(page.locator("#drafts")).to_contain_text("onerror=")
    await page.goto(f"{api.base_url}/#/runs")
    await expect(page.locator(".run").first).to_contain_text("<img src=x")
    assert await page.locator("main img, main script").count() == 0
    assert "run" not in (await page.title()).split()
    refused = await page.evaluate(
        "(() => { try { document.body.innerHTML = '<p>' } catch (error) { return error.name } })()"
    )
    assert refused == "TypeError"  # and would be, if a page tried
