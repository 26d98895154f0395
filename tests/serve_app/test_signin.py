"""How browsers get in, and what does not: forged and foreign cookies, forged writes, tickets of others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import httpx2
import pytest
from pydantic import SecretStr

from flair_ray.config import Settings
from flair_ray.domain.tenants import new_token
from flair_ray.stores.redis_store import connect
from serve_app.tenants import COOKIE, CSRF_HEADER
from tests.serve_app.conftest import BODY, Serve

Started = Callable[..., Awaitable[str]]
ADA, ADAS_ENTRY = new_token("ada")
BOB, BOBS_ENTRY = new_token("bob")
PAGE = {CSRF_HEADER: "1", "Sec-Fetch-Site": "same-origin"}
"""What a page of the studio sends with a write."""


@pytest.fixture
def shared(settings: Settings) -> Settings:
    return settings.model_copy(update={"api_tokens": SecretStr(f"{ADAS_ENTRY}:starts=10000 {BOBS_ENTRY}")})


@pytest.fixture
async def browser(serve_api: Serve, shared: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """Keeps cookies, as a browser does."""
    async with serve_api(shared) as client:
        yield client


async def sign_in(client: httpx2.AsyncClient, token: str = ADA, **headers: str) -> httpx2.Response:
    return await client.post("/api/session", json={"token": token}, headers=headers)


async def start(client: httpx2.AsyncClient, **headers: str) -> httpx2.Response:
    return await client.post("/api/pipeline/start", json=BODY, headers=headers)


async def test_a_browser_signs_in_works_and_signs_out(browser: httpx2.AsyncClient) -> None:
    assert (await browser.get("/api/session")).json()["tenant"] is None
    answer = await sign_in(browser)
    assert answer.json()["tenant"] == "ada"
    assert answer.headers["cache-control"] == "no-store"
    run_id = (await start(browser, **PAGE)).json()["run_id"]
    async with browser.stream("GET", f"/api/pipeline/status/{run_id}") as stream:  # an EventSource sends the cookie
        assert stream.status_code == 200
    cookie = browser.cookies[COOKIE]
    assert (await browser.delete("/api/session", headers=PAGE)).status_code == 204
    assert COOKIE not in browser.cookies
    browser.cookies[COOKIE] = cookie
    assert (await browser.get("/api/runs")).status_code == 401


async def test_the_cookie_is_out_of_reach(browser: httpx2.AsyncClient) -> None:
    said = (await sign_in(browser)).headers["set-cookie"].lower()
    assert "httponly" in said
    assert "samesite=strict" in said
    assert "secure" not in said
    assert ADA.lower() not in said
    server = browser.base_url.netloc.decode()
    assert "secure" in (await sign_in(browser, Origin=f"https://{server}")).headers["set-cookie"].lower()


NO_TOKENS = ["", "flair_", ADA[:-1], ADA.upper(), f"{ADA} ", "\ud800", "x" * 201, None, 7.25, [ADA]]


@pytest.mark.parametrize("token", NO_TOKENS, ids=range(len(NO_TOKENS)))
async def test_what_is_no_token_gets_nobody_in(browser: httpx2.AsyncClient, token: object) -> None:
    raw = f'{{"token": {"null" if token is None else repr(token)}}}'.replace("'", '"')
    answer = await browser.post("/api/session", content=raw.encode("utf-8", "surrogatepass"))
    assert answer.status_code in (401, 422)
    assert "set-cookie" not in answer.headers
    assert str(token or "?") not in answer.text


async def test_a_page_of_another_origin_signs_nobody_in(browser: httpx2.AsyncClient) -> None:
    assert (await sign_in(browser, BOB, Origin="https://elsewhere.example")).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {CSRF_HEADER: "1", "Sec-Fetch-Site": "cross-site"},
        {CSRF_HEADER: "1", "Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "same-origin"},
        {CSRF_HEADER: "1", "Origin": "https://elsewhere.example"},
    ],
)
async def test_a_write_that_a_page_from_elsewhere_has_caused_is_refused(
    browser: httpx2.AsyncClient, headers: dict[str, str]
) -> None:
    await sign_in(browser)
    assert (await start(browser, **headers)).status_code == 403
    assert (await browser.delete("/api/session", headers=headers)).status_code == 403
    assert (await start(browser, **PAGE)).status_code == 200


async def test_a_cookie_that_was_not_given_out_is_none(browser: httpx2.AsyncClient, started: Started) -> None:
    async with httpx2.AsyncClient(base_url=browser.base_url, headers={"Authorization": f"Bearer {ADA}"}) as ada:
        ticket = (await ada.post(f"/api/runs/{await started(ada)}/ticket")).json()["ticket"]
    for forged in ("ada", ADA, ADAS_ENTRY.partition(":")[2], ticket, "*", "a" * 5000):
        answer = await browser.get("/api/runs", headers={"Cookie": f"{COOKIE}={forged}"})
        assert answer.status_code == 401, forged
    await sign_in(browser)
    stolen = browser.cookies[COOKIE]
    answer = await browser.get("/api/runs", headers={"Authorization": f"Bearer {stolen}"})
    assert answer.status_code == 401  # and the browser's good cookie does not make up for it


async def test_a_token_taken_away_ends_what_was_signed_in_with_it(
    serve_api: Serve, browser: httpx2.AsyncClient, settings: Settings
) -> None:
    await sign_in(browser)
    later = settings.model_copy(update={"api_tokens": SecretStr(f"{new_token('ada')[1]} {BOBS_ENTRY}")})
    async with serve_api(later) as server:
        answer = await server.get("/api/runs", headers={"Cookie": f"{COOKIE}={browser.cookies[COOKIE]}"})
        assert answer.status_code == 401


async def test_a_ticket_opens_one_stream_for_minutes(
    browser: httpx2.AsyncClient, started: Started, redis_url: str
) -> None:
    async with httpx2.AsyncClient(base_url=browser.base_url, headers={"Authorization": f"Bearer {ADA}"}) as ada:
        run_id, other = await started(ada), await started(ada)
        answer = await ada.post(f"/api/runs/{run_id}/ticket")
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    ticket = {"ticket": answer.json()["ticket"]}

    async def status(path: str) -> int:
        async with browser.stream("GET", path, params=ticket) as stream:
            return stream.status_code

    assert await status(f"/api/pipeline/status/{run_id}") == 200
    assert await status(f"/api/pipeline/status/{run_id}") == 200  # an EventSource comes back by itself
    assert await status(f"/api/pipeline/status/{other}") == 401
    for path in (f"/api/runs/{run_id}", f"/api/pipeline/results/{run_id}", "/api/runs"):
        assert await status(path) in (401, 404), path
    assert (await browser.post(f"/api/pipeline/{run_id}/cancel", params=ticket)).status_code == 401
    async with connect(redis_url) as redis:
        kept = [key async for key in redis.scan_iter("flair:admission:ticket:*")]
        assert kept
        assert not [key for key in kept if ticket["ticket"] in key]
        assert 0 < await redis.ttl(kept[0]) <= 300
        await redis.delete(*kept)  # what their end does
        await redis.connection_pool.aclose()
    assert await status(f"/api/pipeline/status/{run_id}") == 401
