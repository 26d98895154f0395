"""Two tenants on one server: what is one's, the other can neither read, list, watch, use nor change."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Route

from flair_ray.config import Settings
from flair_ray.domain.ids import RunId
from flair_ray.domain.tenants import Tenant, new_token
from serve_app.routes import ROUTES
from serve_app.streams import Streams, sse
from tests.serve_app.conftest import BODY, LocalHosts, Serve
from tests.serve_app.reading import watch

Started = Callable[..., Awaitable[str]]
NO_RUN = "00000000-0000-4000-8000-000000000000"
NO_TOKEN = {"/api/health", "/api/session"}
OF_A_RUN = {
    "platform": "tiktok",
    "post_url": "https://tiktok.example/1",
    "views": 1,
    "likes": 1,
    "comments": 1,
    "shares": 1,
}
"""What routes that take a run's id in their body want beside it."""
ADA, ADAS_ENTRY = new_token("ada")
BOB, BOBS_ENTRY = new_token("bob")
OFTEN = ":requests=100000:starts=10000"
"""All tests are within one minute."""


@pytest.fixture
def shared(settings: Settings) -> Settings:
    return settings.model_copy(update={"api_tokens": SecretStr(f"{ADAS_ENTRY}{OFTEN}, {BOBS_ENTRY}{OFTEN}")})


@pytest.fixture
async def visitor(serve_api: Serve, shared: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """Somebody without a token."""
    async with serve_api(shared) as client:
        yield client


def bearing(client: httpx2.AsyncClient, token: str) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=client.base_url, headers={"Authorization": f"Bearer {token}"}, timeout=30)


@pytest.fixture
async def ada(visitor: httpx2.AsyncClient) -> AsyncIterator[httpx2.AsyncClient]:
    async with bearing(visitor, ADA) as client:
        yield client


@pytest.fixture
async def bob(visitor: httpx2.AsyncClient) -> AsyncIterator[httpx2.AsyncClient]:
    async with bearing(visitor, BOB) as client:
        yield client


def operations() -> Iterator[tuple[str, str]]:
    """Every method and path of the API."""
    for route in ROUTES:
        assert isinstance(route, Route)
        yield from ((method, route.path) for method in sorted(route.methods or ()) if method != "HEAD")


def named_in_bodies() -> list[str]:
    return [path for method, path in operations() if method == "POST" and "{run_id}" not in path]


async def finished_run(client: httpx2.AsyncClient, started: Started, hosts: LocalHosts) -> dict[str, Any]:
    """A run with scripts, and one of these."""
    hosts.wake()
    run_id = await started(client)
    await watch(client, run_id)
    result = (await client.get(f"/api/pipeline/results/{run_id}")).json()
    return {"run_id": run_id, "script_id": result["results"][0]["script_id"]}


def filled(path: str, run_id: str) -> str:
    return re.sub(r"\{[^}]+\}", "report.html", path.replace("{run_id}", run_id))


async def test_nothing_is_open_without_a_token(visitor: httpx2.AsyncClient) -> None:
    wrong = ({}, {"Authorization": "Bearer flair_guess"}, {"Authorization": f"Basic {ADA}"}, {"Cookie": ADA})
    closed = [(method, path) for method, path in operations() if path.startswith("/api/") and path not in NO_TOKEN]
    assert len(closed) > 10
    for method, path in closed:
        for headers in wrong:
            answer = await visitor.request(method, filled(path, NO_RUN), headers=headers)
            assert answer.status_code == 401, (method, path, headers)
            assert answer.headers["www-authenticate"] == "Bearer"
            assert answer.json()["detail"]
    for path in NO_TOKEN:
        assert (await visitor.get(path)).status_code == 200


async def test_a_run_of_somebody_else_is_one_that_does_not_exist(
    ada: httpx2.AsyncClient, bob: httpx2.AsyncClient, started: Started
) -> None:
    run_id = await started(ada)
    before = (await ada.get(f"/api/runs/{run_id}")).json()
    for method, path in operations():
        if "{run_id}" in path:
            theirs = await bob.request(method, filled(path, run_id), json=OF_A_RUN)
            nobodys = await bob.request(method, filled(path, NO_RUN), json=OF_A_RUN)
            assert theirs.status_code == nobodys.status_code == 404, (method, path, theirs.text)
            assert theirs.json()["detail"] == nobodys.json()["detail"].replace(NO_RUN, run_id)
    assert (await ada.get(f"/api/runs/{run_id}")).json() == before


async def test_a_run_of_somebody_else_named_in_a_body_is_of_no_use(
    ada: httpx2.AsyncClient, bob: httpx2.AsyncClient, started: Started, hosts: LocalHosts
) -> None:
    order = await finished_run(ada, started, hosts)
    for path in named_in_bodies():
        answer = await bob.post(path, json=OF_A_RUN | order)
        assert answer.status_code in (404, 415, 422), (path, answer.text)


async def test_what_one_does_changes_nothing_that_another_is_told(
    ada: httpx2.AsyncClient, bob: httpx2.AsyncClient, started: Started, hosts: LocalHosts
) -> None:
    told = [path for method, path in operations() if method == "GET" and "{" not in path]
    before = {path: (await bob.get(path)).text for path in told}
    order = await finished_run(ada, started, hosts)
    for path in named_in_bodies():
        await ada.post(path, json=OF_A_RUN | order)
    await ada.post("/api/videos", files={"files": ("mine.csv", b"transcript\nsalt the water first\n")})
    assert {path: (await bob.get(path)).text for path in told} == before


async def test_the_owner_gets_through(ada: httpx2.AsyncClient, started: Started) -> None:
    """Or all of the above would hold for a server that knows nobody."""
    run_id = await started(ada, session="mine")
    assert (await ada.get(f"/api/runs/{run_id}")).json()["session_id"] == "mine"
    assert (await ada.get(f"/api/runs/{run_id}/ranking")).status_code == 409
    assert (await ada.post(f"/api/pipeline/{run_id}/cancel")).status_code == 202
    assert (await ada.delete(f"/api/runs/{run_id}")).status_code == 204


async def test_lists_have_only_what_is_ones_own(
    ada: httpx2.AsyncClient, bob: httpx2.AsyncClient, started: Started
) -> None:
    adas, bobs = await started(ada, session="shared"), await started(bob, session="shared")
    for client, own in ((ada, adas), (bob, bobs)):
        listed = (await client.get("/api/runs?session_id=shared")).json()["runs"]
        assert {adas, bobs} & {row["run_id"] for row in listed} == {own}
    for session in ("ada/shared", "../ada/shared", "/ada/shared", "ada%2Fshared", "*"):
        assert adas not in (await bob.get("/api/runs", params={"session_id": session})).text


async def test_uploads_are_ones_own(ada: httpx2.AsyncClient, bob: httpx2.AsyncClient) -> None:
    videos = {"files": ("mine.csv", b"transcript,views\nsalt the water before the pasta goes in,10\n")}
    sent = await ada.post("/api/videos", files=videos)
    video_set_id = sent.json()["video_set_id"]
    assert (await ada.post("/api/pipeline/start", json=BODY | {"video_set_id": video_set_id})).status_code == 200
    for guess in (video_set_id, f"ada/{video_set_id}", f"../ada/{video_set_id}"):
        for path in ("/api/pipeline/start", "/api/pipeline/run", "/api/estimate"):
            answer = await bob.post(path, json=BODY | {"video_set_id": guess})
            assert answer.status_code == 422, (path, guess)
            assert "no videos" in answer.json()["detail"]


async def test_idempotency_keys_are_ones_own(ada: httpx2.AsyncClient, bob: httpx2.AsyncClient) -> None:
    async def start(client: httpx2.AsyncClient, body: dict[str, Any]) -> str:
        answer = await client.post("/api/pipeline/start", json=body, headers={"Idempotency-Key": "the same"})
        run_id: str = answer.json()["run_id"]
        return run_id

    assert await start(ada, BODY) == await start(ada, BODY)
    assert await start(ada, BODY) != await start(bob, BODY | {"seed": 8})


async def test_requests_and_starts_have_a_rate(serve_api: Serve, settings: Settings) -> None:
    (cy, cys_entry), (dee, dees_entry) = new_token("cy"), new_token("dee")
    entries = f"{cys_entry}:requests=8 {dees_entry}:starts=2"
    limited = settings.model_copy(update={"api_tokens": SecretStr(entries)})
    async with serve_api(limited) as server, bearing(server, cy) as asking, bearing(server, dee) as starting:
        answers = [await asking.get("/api/prompts/preview") for _ in range(17)]  # more than two minutes may have
        refused = [answer for answer in answers if answer.status_code == 429]
        assert refused
        assert all(1 <= int(answer.headers["retry-after"]) <= 60 for answer in refused)
        assert all(answer.json()["detail"] for answer in refused)
        statuses = [(await starting.post("/api/pipeline/start", json=BODY)).status_code for _ in range(5)]
        assert statuses[:2] == [200, 200]
        assert 429 in statuses
        assert (await starting.get("/api/runs")).status_code == 200


async def test_streams_have_a_limit_of_their_own(serve_api: Serve, settings: Settings) -> None:
    cy, cys_entry = new_token("cy")
    limited = settings.model_copy(update={"api_tokens": SecretStr(f"{cys_entry}:streams=1:requests=100000")})
    async with serve_api(limited) as server, bearing(server, cy) as client:
        run_id = (await client.post("/api/pipeline/start", json=BODY)).json()["run_id"]
        async with client.stream("GET", f"/api/pipeline/status/{run_id}") as watched:
            assert watched.status_code == 200
            refused = await client.get(f"/api/pipeline/status/{run_id}")
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
        async with asyncio.timeout(5):
            while await _status(client, run_id) == 429:  # noqa: ASYNC110  # the server hears of the end in a moment
                await asyncio.sleep(0.01)


async def test_a_burst_of_streams_does_not_pass_the_limit(serve_api: Serve, settings: Settings) -> None:
    cy, cys_entry = new_token("cy")
    limited = settings.model_copy(update={"api_tokens": SecretStr(f"{cys_entry}:streams=2:requests=100000")})
    async with serve_api(limited) as server, bearing(server, cy) as client, AsyncExitStack() as stack:
        refused = await client.post("/api/pipeline/run", json={})
        assert refused.status_code == 422  # and has given its room back
        starting = [client.stream("POST", "/api/pipeline/run", json=BODY) for _ in range(8)]
        answers = await asyncio.gather(*(stack.enter_async_context(one) for one in starting))
        assert sorted(answer.status_code for answer in answers) == [200] * 2 + [429] * 6


async def test_a_stream_that_never_began_gives_its_room_back() -> None:
    async def gone(*_: object) -> Any:
        raise OSError

    tenant = Tenant("cy", "digest", streams=1)
    streams = Streams(SimpleNamespace(), SimpleNamespace())  # type: ignore[arg-type]  # neither is reached
    for _ in range(2):
        response = sse(streams.watch(RunId(NO_RUN)), streams.room(tenant))
        with pytest.raises(HTTPException):
            streams.room(tenant)
        with pytest.raises(ClientDisconnect):
            await response({"type": "http", "asgi": {"spec_version": "2.4"}}, gone, gone)
    assert not streams.open.total()


async def _status(client: httpx2.AsyncClient, run_id: str) -> int:
    async with client.stream("GET", f"/api/pipeline/status/{run_id}") as watched:
        return watched.status_code


async def test_what_one_tenants_posts_teach_no_other_hears(
    ada: httpx2.AsyncClient, bob: httpx2.AsyncClient, started: Started, hosts: LocalHosts
) -> None:
    post = await finished_run(ada, started, hosts) | OF_A_RUN
    assert (await bob.post("/api/performance", json=post)).status_code == 404
    assert (await ada.post("/api/performance", json=post)).status_code == 200
    for query in ("", "?session_id=anonymous", "?session_id=ada/anonymous"):
        assert (await bob.get(f"/api/insights{query}")).json()["total_videos_tracked"] == 0
    for query in ("", "?session_id=anonymous"):
        assert (await ada.get(f"/api/insights{query}")).json()["total_videos_tracked"] == 1


async def test_what_one_tenants_posts_teach_the_panel_stays_between_them(
    ada: httpx2.AsyncClient, bob: httpx2.AsyncClient, started: Started, hosts: LocalHosts
) -> None:
    """The same personas vote for both; how well they judged is known of each one's own results only."""
    run_id = (await finished_run(ada, started, hosts))["run_id"]
    for script_id, likes in (("S01", 900), ("S02", 1), ("S03", 400)):
        post = OF_A_RUN | {"run_id": run_id, "script_id": script_id, "views": 1_000, "likes": likes}
        assert (await ada.post("/api/performance", json=post)).status_code == 200

    async def known(client: httpx2.AsyncClient) -> set[bool]:
        again = (await finished_run(client, started, hosts))["run_id"]
        ballots = (await client.get(f"/api/runs/{again}/files/ballots.jsonl")).text.splitlines()
        return {json.loads(ballot)["record"] is not None for ballot in ballots}

    assert True in await known(ada)
    assert await known(bob) == {False}
