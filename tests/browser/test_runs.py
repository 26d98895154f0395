"""The list of runs, who may see the studio, and what keyboards and screen readers find."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import httpx2
import pytest
from playwright.async_api import expect
from pydantic import SecretStr

from flair_ray.config import Settings
from flair_ray.domain.ids import StageName
from flair_ray.domain.tenants import new_token
from flair_ray.stores.redis_store import RedisRunStore
from tests.browser.conftest import DESKTOP, PHONE, Model, Open, come_to_rest, faults, state_of
from tests.serve_app.conftest import Serve

pytestmark = [pytest.mark.long, pytest.mark.timeout(120)]
Started = Callable[..., Awaitable[str]]
OVERLAP = """() => [...document.querySelectorAll(".run")].some((run) => {
  const boxes = [...run.children].map((one) => one.getBoundingClientRect());
  return boxes.some((a, i) => boxes.slice(i + 1).some((b) =>
    a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom));
})"""


async def test_runs_are_listed_opened_resumed_and_deleted(
    api: httpx2.AsyncClient, opened: Open, model: Model, store: RedisRunStore, started: Started
) -> None:
    page = await opened(f"{api.base_url}/#/runs", "list")
    await expect(page.get_by_role("heading", name="Nothing yet")).to_be_visible()
    assert not await faults(page)
    done = await started(api, "list", top_n=2)
    await come_to_rest(store, done, "pipeline_complete")
    model.hold(StageName.S4, after=2)
    stopped = await started(api, "list")
    await come_to_rest(store, stopped, "vote_cast", 2)
    await expect(page.locator(".run")).to_have_count(2)
    await expect(page.locator(".run .chip")).to_have_text(["Running", "Done"])
    await api.post(f"/api/pipeline/{stopped}/cancel")
    await expect(page.locator(".run .chip")).to_have_text(["Stopped", "Done"])
    assert not await faults(page)
    await page.set_viewport_size(PHONE)
    assert not await page.evaluate(OVERLAP)
    await page.set_viewport_size(DESKTOP)
    model.let()
    await page.get_by_role("button", name=f"Resume run {stopped[:8]}").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Your scripts are ready")
    await page.get_by_role("navigation").get_by_role("link", name="Runs").click()
    await expect(page.locator(".run .chip")).to_have_text(["Done", "Done"])
    await page.get_by_role("button", name=f"Delete run {done[:8]}").click()
    await page.get_by_role("button", name="Delete", exact=True).click()
    await expect(page.locator(".run")).to_have_count(1)
    assert (await api.get(f"/api/runs/{done}")).status_code == 404
    await page.locator(".run h2 a").click()
    await expect(page).to_have_url(f"{api.base_url}/#/runs/{stopped}/results")
    await page.goto(f"{api.base_url}/#/runs/{done}")
    await expect(page.get_by_role("alert")).to_contain_text(done)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [None, PHONE])
async def test_axe_finds_nothing_serious(
    api: httpx2.AsyncClient,
    opened: Open,
    store: RedisRunStore,
    started: Started,
    scheme: str,
    viewport: dict[str, int] | None,
) -> None:
    session = f"axe-{scheme}-{viewport is None}"
    run_id = await started(api, session)
    end = await come_to_rest(store, run_id, "pipeline_complete")
    how = {"color_scheme": scheme, **({"viewport": viewport} if viewport else {})}
    page = await opened(f"{api.base_url}/#/runs/{run_id}", session, **how)
    await state_of(page, end)
    await page.locator("#voters button").first.focus()
    assert not await faults(page)
    await page.goto(f"{api.base_url}/#/runs")
    await expect(page.locator(".run")).to_have_count(1)
    assert not await faults(page)
    width = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert width <= 0


async def test_the_keyboard_alone_goes_everywhere(api: httpx2.AsyncClient, opened: Open, started: Started) -> None:
    run_id = await started(api, "keys")
    page = await opened(f"{api.base_url}/#/runs", "keys")
    await expect(page.locator(".run .chip")).to_have_text(["Done"])
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the page")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("main")).to_be_focused()
    await page.keyboard.press("Tab")  # New scripts
    await page.keyboard.press("Tab")
    focused = page.locator(":focus")
    await expect(focused).to_have_attribute("href", f"#/runs/{run_id}/results")
    outline = await focused.evaluate("el => getComputedStyle(el).outlineWidth")
    assert outline == "3px"
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{api.base_url}/#/runs/{run_id}")
    await expect(page.locator("main")).to_be_focused()  # a screen reader goes on at the new page


async def test_a_token_is_asked_for_where_there_are_tokens(
    serve_api: Serve, settings: Settings, opened: Open, started: Started
) -> None:
    token, entry = new_token("ada")
    async with serve_api(settings.model_copy(update={"api_tokens": SecretStr(entry)})) as client:
        page = await opened(f"{client.base_url}/#/runs")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Sign in to the studio")
        assert not await faults(page)
        field = page.get_by_label("Your token")
        await expect(field).to_be_focused()
        await field.fill("wrong")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_have_text("This token is not known here.")
        assert not await faults(page)
        await field.fill(token)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Your runs")
        await expect(page.locator("#account")).to_contain_text("ada")
        kept = {"flair:draft": "{}", "flair:video:1": "a-job", "theirs": "1"}
        await page.evaluate("(kept) => Object.assign(localStorage, kept)", kept)
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Sign in to the studio")
        assert token not in await page.evaluate("JSON.stringify(localStorage) + document.cookie")
        left = await page.evaluate("Object.keys(localStorage)")
        assert sorted(left) == ["flair:session", "theirs"]  # the session is set by this test's browser
