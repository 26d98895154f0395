"""What every request passes: ids, headers, other origins, what is not this machine; and that no log tells a secret."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from types import SimpleNamespace

import httpx2
import pytest
from pydantic import SecretStr

from flair_ray.config import Settings
from flair_ray.domain.ids import RunId
from flair_ray.domain.tenants import new_token
from flair_ray.errors import InputError
from flair_ray.stores.front import RedisFront
from flair_ray.stores.redis_store import RedisRunStore
from serve_app import studio
from serve_app.request_ids import number_log_records
from serve_app.tenants import COOKIE, check_reach
from tests.serve_app.conftest import BODY, LocalHosts, Serve

Started = Callable[..., Awaitable[str]]
EVE, EVES_ENTRY = new_token("eve")
PAGE = "https://page.example"


async def test_a_request_keeps_its_id(quiet_api: httpx2.AsyncClient, store: RedisRunStore) -> None:
    headers = {"X-Request-ID": "order-7_A.b"}
    answer = await quiet_api.post("/api/pipeline/start", json=BODY, headers=headers)
    assert answer.headers["x-request-id"] == "order-7_A.b"
    first = (await store.events(RunId(answer.json()["run_id"])))[0]
    assert first.data["request_id"] == "order-7_A.b"
    refused = await quiet_api.post("/api/pipeline/start", json={}, headers=headers)
    assert refused.json()["request_id"] == refused.headers["x-request-id"] == "order-7_A.b"


@pytest.mark.parametrize(
    "sent", ["", "a b", "x" * 65, "a\tb", 'a","admin":"1', "a;b", "%0d%0aSet-Cookie:a=b", "\u00e4"]
)
async def test_an_id_that_could_be_something_else_is_not_taken(quiet_api: httpx2.AsyncClient, sent: str) -> None:
    answer = await quiet_api.get("/nowhere", headers=[(b"X-Request-ID", sent.encode())])
    named = answer.headers["x-request-id"]
    assert named != sent
    assert len(named) == 32
    assert answer.json()["request_id"] == named
    assert "set-cookie" not in answer.headers


async def test_what_nobody_foresaw_is_found_in_the_log_by_its_id(
    quiet_api: httpx2.AsyncClient, hosts: LocalHosts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> None:
        raise ValueError("the reason")

    monkeypatch.setattr(hosts, "check", fail)
    answers = [await quiet_api.get("/api/health", headers={"X-Request-ID": name}) for name in ("one", "two")]
    for name, answer in zip(("one", "two"), answers, strict=True):
        assert answer.status_code == 500
        assert answer.headers["x-request-id"] == answer.json()["request_id"] == name
        assert "the reason" not in answer.text
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        record = next(r for r in caplog.records if r.name == "serve_app.problems" and vars(r)["request_id"] == name)
        assert record.exc_info


async def test_other_origins_are_closed_out(quiet_api: httpx2.AsyncClient) -> None:
    preflight = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
    for answer in (
        await quiet_api.options("/api/pipeline/start", headers=preflight),
        await quiet_api.get("/api/runs", headers={"Origin": PAGE}),
    ):
        assert "access-control-allow-origin" not in answer.headers


async def test_listed_origins_may_come_and_others_may_not(serve_api: Serve, settings: Settings) -> None:
    async with serve_api(settings.model_copy(update={"cors_origins": f"{PAGE} https://b.example"})) as client:
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        for origin, allowed in ((PAGE, True), (f"{PAGE}.evil.example", False), ("null", False)):
            preflight = await client.options("/api/pipeline/start", headers={"Origin": origin, **asked})
            written = await client.post("/api/pipeline/start", json=BODY, headers={"Origin": origin})
            assert (preflight.headers.get("access-control-allow-origin") == origin) is allowed
            assert written.status_code == (200 if allowed else 403)
            assert "access-control-allow-credentials" not in written.headers


async def test_a_listed_origin_can_read_every_refusal(
    serve_api: Serve, settings: Settings, hosts: LocalHosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail() -> None:
        raise ValueError

    monkeypatch.setattr(hosts, "check", fail)
    listed = settings.model_copy(update={"cors_origins": PAGE})
    async with serve_api(listed) as client, serve_api(listed, most=0) as crowded:
        answers = [
            await client.get("/api/health", headers={"Origin": PAGE}),
            await client.get("/nowhere", headers={"Origin": PAGE}),
            await crowded.get("/api/runs", headers={"Origin": PAGE}),
        ]
        other = await crowded.get("/api/runs", headers={"Origin": "https://b.example"})
    assert [answer.status_code for answer in answers] == [500, 404, 429]
    assert {answer.headers.get("access-control-allow-origin") for answer in answers} == {PAGE}
    assert {answer.headers["access-control-expose-headers"] for answer in answers} == {"Retry-After, X-Request-ID"}
    assert (other.status_code, "access-control-allow-origin" in other.headers) == (429, False)


async def test_any_origin_may_come_with_a_token_only(serve_api: Serve, settings: Settings) -> None:
    changes = {"cors_origins": "*", "api_tokens": SecretStr(EVES_ENTRY)}
    async with serve_api(settings.model_copy(update=changes)) as client:
        bearer = {"Origin": PAGE, "Authorization": f"Bearer {EVE}"}
        assert (await client.post("/api/pipeline/start", json=BODY, headers=bearer)).status_code == 200
        signing_in = await client.post("/api/session", json={"token": EVE}, headers={"Origin": PAGE})
        assert signing_in.status_code == 403


LOCAL = [{"Host": "localhost:8000"}, {"Host": "127.0.0.1"}, {"Host": "[::1]:80"}]
NOT_LOCAL = [{"Host": "studio.example"}, {"Host": "[::1"}, {"Host": "127.0.0.1.evil.example"}]
PROXIED = [{"X-Forwarded-For": "192.0.2.1"}, {"Forwarded": "for=192.0.2.1"}]


async def test_without_tokens_it_is_for_its_own_machine(serve_api: Serve, settings: Settings) -> None:
    async with serve_api(settings) as client:
        for headers in LOCAL:
            assert (await client.get("/api/runs", headers=headers)).status_code == 200, headers
        for headers in NOT_LOCAL + PROXIED:
            answer = await client.get("/api/runs", headers=headers)
            assert answer.status_code == 403, headers
            assert "FLAIR_API_TOKENS" in answer.json()["detail"]
            assert (await client.get("/api/health", headers=headers)).status_code == 200
    async with serve_api(settings.model_copy(update={"allow_anyone": True})) as client:
        assert (await client.get("/api/runs", headers={"Host": "studio.example"})).status_code == 200


def test_listening_beyond_this_machine_needs_tokens_or_a_word(settings: Settings) -> None:
    for host in ("127.0.0.1", "localhost", "::1", "127.8.8.8"):
        check_reach(settings, host)
    for host in ("0.0.0.0", "::", "192.0.2.1", "studio.example", ""):
        with pytest.raises(InputError, match="FLAIR_ALLOW_ANYONE"):
            check_reach(settings, host)
        check_reach(settings.model_copy(update={"api_tokens": SecretStr(EVES_ENTRY)}), host)
        check_reach(settings.model_copy(update={"allow_anyone": True}), host)
    with pytest.raises(InputError, match="FLAIR_CORS_ORIGINS"):
        check_reach(settings.model_copy(update={"cors_origins": "*"}), "127.0.0.1")
    with pytest.raises(InputError, match="entry 1"):
        check_reach(settings.model_copy(update={"api_tokens": SecretStr("ada")}), "127.0.0.1")


async def test_no_log_and_no_answer_tells_a_secret(
    serve_api: Serve,
    settings: Settings,
    hosts: LocalHosts,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail() -> None:
        raise ValueError

    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(hosts, "nudge", fail)
    async with serve_api(settings.model_copy(update={"api_tokens": SecretStr(EVES_ENTRY)})) as client:
        told = await client.post("/api/session", json={"token": EVE})
        cookie = told.cookies[COOKIE]
        client.headers["Authorization"] = f"Bearer {EVE}"
        profile = BODY["creator_profile"] | {"tone": "hushed and private"}
        run_id = (await client.post("/api/pipeline/start", json=BODY | {"creator_profile": profile})).json()["run_id"]
        ticket = (await client.post(f"/api/runs/{run_id}/ticket")).json()["ticket"]
        del client.headers["Authorization"]
        client.cookies.clear()
        monkeypatch.setattr(RedisRunStore, "snapshot", fail)
        answers = [
            told,
            await client.get(f"/api/pipeline/status/{run_id}", params={"ticket": ticket}),
            await client.get(f"/api/runs/{run_id}", headers={"Cookie": f"{COOKIE}={cookie}"}),
            await client.get("/api/runs", headers={"Authorization": f"Bearer {EVE}x"}),
            await client.post("/api/session", json={"token": EVE + "x", "more": [EVE]}),
        ]
    assert {answer.status_code for answer in answers} == {200, 401, 500}
    ours = [str(vars(r)) for r in caplog.records if not r.name.startswith(("httpx2", "httpcore2", "httpx", "httpcore"))]
    assert any("request failed" in text for text in ours)
    for secret in (EVE, cookie, ticket, "hushed and private", EVES_ENTRY.partition(":")[2]):
        assert not [text for text in ours if secret in text]
        assert not [answer.text for answer in answers if secret in answer.text]


async def test_so_many_runs_may_wait_and_no_more(
    serve_api: Serve, settings: Settings, store: RedisRunStore, hosts: LocalHosts
) -> None:
    waiting = await RedisFront(store._redis, 600).handed_in()
    async with serve_api(settings.model_copy(update={"max_waiting": waiting + 1})) as client:
        first = await client.post("/api/pipeline/start", json=BODY)
        refused = await client.post("/api/pipeline/start", json=BODY)
        assert (first.status_code, refused.status_code) == (200, 429)
        assert int(refused.headers["Retry-After"]) > 0
        hosts.wake()
        while (await client.post("/api/pipeline/start", json=BODY)).status_code == 429:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_a_host_that_does_not_answer_keeps_no_start_waiting(
    serve_api: Serve, settings: Settings, hosts: LocalHosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answers = asyncio.Event(), asyncio.Event()

    async def busy() -> None:
        asked.set()
        await answers.wait()

    monkeypatch.setattr(hosts, "nudge", busy)
    monkeypatch.setattr(studio, "NUDGE_S", 600)
    async with serve_api(settings) as client:
        for _ in range(2):
            assert (await client.post("/api/pipeline/start", json=BODY)).status_code == 200
            await asked.wait()


def test_others_may_give_their_log_records_an_id_of_their_own(caplog: pytest.LogCaptureFixture) -> None:
    """As Serve does after every answer: a record that refuses it costs the next request its connection."""
    number_log_records()
    with caplog.at_level("INFO"):
        logging.getLogger("ray.serve").info("answered", extra={"request_id": "theirs"})
        logging.getLogger("serve_app").info("ours")
    assert [vars(record)["request_id"] for record in caplog.records] == ["theirs", "-"]


@pytest.mark.filterwarnings("ignore:Using extra keyword arguments")  # Serve's own
async def test_a_host_that_has_just_answered_is_not_asked_for_its_health(monkeypatch: pytest.MonkeyPatch) -> None:
    from serve_app import app

    asked = []

    class Nudge:
        async def remote(self) -> None:
            asked.append(now_s)

    now_s = 100.0
    monkeypatch.setattr(app, "monotonic", lambda: now_s)
    hosts = app.RayRunHosts([SimpleNamespace(nudge=Nudge())])
    await hosts.nudge()
    await hosts.check()
    assert asked == [100.0]
    now_s += app.FRESH_S
    await hosts.check()
    assert asked == [100.0, 101.0]
