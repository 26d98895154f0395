"""Veo's long-running operation, against a peer that speaks its three answers and keeps count of what it would bill."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from flair_ray.config import Account
from flair_ray.domain.scripts import CandidateScript, FinalScript
from flair_ray.domain.video_jobs import VEO
from flair_ray.errors import AuthRefused, BadRequest, CallTimeout, ProviderError, RateLimited, Refused, Unreachable
from flair_ray.providers.veo import Veo

FILM = b"\x00\x00\x00 ftypisom, or nearly"
KEY = "a key that nobody may see"


class Peer:
    """Knows the operations that were begun; each takes ``polls`` looks until it is done."""

    def __init__(self) -> None:
        self.begun: list[dict[str, object]] = []
        self.paths: list[str] = []
        self.keys: set[str | None] = set()
        self.polls = 2
        self.looks = 0
        self.ending: dict[str, object] = {
            "response": {"videos": [{"bytesBase64Encoded": base64.b64encode(FILM).decode(), "mimeType": "video/mp4"}]}
        }
        self.refusal: tuple[int, str] | None = None
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.paths.append(request.path)
        self.keys.add(request.headers.get("x-goog-api-key"))
        if self.refusal:
            status, reason = self.refusal
            error = {"code": status, "message": f"about {KEY}", "status": reason}
            return web.json_response({"error": error}, status=status, headers={"Retry-After": "7"})
        body = await request.json()
        model, _, verb = request.path.rpartition("/")[2].partition(":")
        if verb == "predictLongRunning":
            self.begun.append(body)
            name = f"projects/p/locations/l/publishers/google/models/{model}/operations/{len(self.begun)}"
            return web.json_response({"name": name})
        assert verb == "fetchPredictOperation"
        self.looks += 1
        done = self.looks > self.polls
        ending = self.ending if done else {}
        return web.json_response({"name": body["operationName"], **({"done": True} if done else {}), **ending})


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    made = Peer()
    app = web.Application()
    app.router.add_post("/{path:.*}", made.handle)
    server = TestServer(app)
    await server.start_server()
    made.url = str(server.make_url("")).rstrip("/")
    yield made
    await server.close()


@pytest.fixture
async def veo(peer: Peer) -> AsyncIterator[Veo]:
    made = account(peer.url)
    yield made
    await made.close()


def account(url: str) -> Veo:
    return Veo(Account(VEO, SecretStr(KEY), url))


@pytest.fixture
def script() -> FinalScript:
    original = CandidateScript("S01", "p", "Hook.", "Body.", "Payoff.", 20.0, "")  # type: ignore[arg-type]
    return FinalScript(original.script_id, original, "Hook.", "Body.", "Payoff.", "A pan, close.", (), 1, 9.0)


async def test_a_video_is_asked_for_once_and_found_by_its_name(peer: Peer, veo: Veo, script: FinalScript) -> None:
    operation = await veo.begin(script)
    assert operation.endswith("/operations/1")
    assert await veo.fetch(script, operation) is None
    other = account(peer.url)  # another process, which knows the name only
    assert await other.fetch(script, operation) is None
    assert await other.fetch(script, operation) == FILM
    await other.close()
    [body] = peer.begun
    assert body["instances"] == [{"prompt": "A pan, close."}]
    asked = {"sampleCount": 1, "aspectRatio": "9:16", "durationSeconds": 8, "resolution": "1080p"}
    assert body["parameters"] == asked
    assert peer.paths[0].endswith("publishers/google/models/veo-3.1-generate-001:predictLongRunning")
    assert peer.keys == {KEY}


async def test_what_the_safety_filter_stops_is_no_video(peer: Peer, veo: Veo, script: FinalScript) -> None:
    peer.polls, peer.ending = 0, {"response": {"raiMediaFilteredCount": 1, "raiMediaFilteredReasons": ["a prompt"]}}
    with pytest.raises(Refused):
        await veo.fetch(script, await veo.begin(script))


async def test_an_operation_that_failed_says_so(peer: Peer, veo: Veo, script: FinalScript) -> None:
    peer.polls, peer.ending = 0, {"error": {"code": 3, "message": "the prompt, quoted"}}
    with pytest.raises(ProviderError) as caught:
        await veo.fetch(script, await veo.begin(script))
    assert not caught.value.retryable
    assert "quoted" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (400, "INVALID_ARGUMENT", BadRequest),
        (401, "UNAUTHENTICATED", AuthRefused),
        (403, "PERMISSION_DENIED", AuthRefused),
        (429, "RESOURCE_EXHAUSTED", RateLimited),
    ],
)
async def test_refusals_are_told_by_their_status(
    peer: Peer, veo: Veo, script: FinalScript, status: int, reason: str, kind: type[ProviderError]
) -> None:
    peer.refusal = (status, reason)
    with pytest.raises(kind) as caught:
        await veo.begin(script)
    assert len(peer.paths) == 1, "never asked twice by itself"
    assert KEY not in str(caught.value)
    if isinstance(caught.value, RateLimited):
        assert caught.value.retry_after_s == 7


async def test_nobody_there_costs_nothing(script: FinalScript) -> None:
    veo = account("http://127.0.0.1:9")
    with pytest.raises(Unreachable) as caught:
        await veo.begin(script)
    assert not caught.value.maybe_billed
    await veo.close()


async def test_no_answer_may_have_been_billed(
    dripper: str, script: FinalScript, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flair_ray.providers.veo.CALL_TIMEOUT_S", 0.2)
    veo = account(dripper)
    with pytest.raises(CallTimeout) as caught:
        await veo.begin(script)
    assert caught.value.maybe_billed
    await veo.close()
