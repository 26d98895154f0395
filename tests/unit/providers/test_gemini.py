"""What is sent to Gemini, and what is read from its answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import SecretStr

from flair_ray.domain.answers import ScriptDraft
from flair_ray.domain.calls import ChatRequest, Reask, Usage
from flair_ray.domain.ids import StageName
from flair_ray.errors import AuthRefused, BadRequest, CallTimeout, RateLimited, ServerTrouble
from flair_ray.providers.gemini import Gemini

REQUEST = ChatRequest(
    StageName.S3,
    "You write.",
    "The library.",
    "The brief.",
    ScriptDraft,
    material=None,
    seed=7,
    max_output_tokens=500,
    reask=Reask("{}", "hook: missing."),
)
RPC = "type.googleapis.com/google.rpc."


@pytest.fixture
async def gemini(recorder: Any) -> AsyncIterator[Gemini]:
    made = Gemini("gemini-3.8-flash", SecretStr("AIza-1"), recorder.url)
    yield made
    await made.close()


def _reply(text: str = "{}", **candidate: object) -> dict[str, Any]:
    content = {"role": "model", "parts": [{"text": "let me see", "thought": True}, {"text": text}]}
    return {"candidates": [{"content": content, "finishReason": "STOP", **candidate}], "modelVersion": "g-001"}


async def test_the_request_asks_for_the_schema_with_room_to_think(recorder: Any, gemini: Gemini) -> None:
    recorder.reply = (200, _reply(), {})
    await gemini.complete(REQUEST, 10)
    body, config = recorder.bodies[0], recorder.bodies[0]["generationConfig"]
    assert recorder.paths[0].endswith("/models/gemini-3.8-flash:generateContent")
    assert recorder.headers[0]["x-goog-api-key"] == "AIza-1"
    assert body["systemInstruction"]["parts"] == [{"text": "You write."}]
    assert [turn["role"] for turn in body["contents"]] == ["user", "model", "user"]
    assert body["contents"][0]["parts"][0]["text"] == "The library.\n\nThe brief."
    assert config["responseMimeType"] == "application/json"
    assert config["responseJsonSchema"]["title"] == "ScriptDraft"
    assert (config["maxOutputTokens"], config["seed"]) == (500 + 4096, 7)
    assert "LOW" in config["thinkingConfig"].values()
    assert not {"temperature", "topP"} & set(config)


async def test_models_of_old_are_not_told_a_level(recorder: Any) -> None:
    recorder.reply = (200, _reply(), {})
    old = Gemini("gemini-2.5-flash", SecretStr("AIza-1"), recorder.url)
    await old.complete(REQUEST, 10)
    await old.close()
    assert "thinkingConfig" not in recorder.bodies[0]["generationConfig"]


async def test_thoughts_are_output_that_is_no_text(recorder: Any, gemini: Gemini) -> None:
    counts = {
        "promptTokenCount": 900,
        "cachedContentTokenCount": 512,
        "candidatesTokenCount": 80,
        "thoughtsTokenCount": 40,
        "totalTokenCount": 1020,
    }
    recorder.reply = (200, {**_reply("answer"), "usageMetadata": counts}, {})
    completion = await gemini.complete(REQUEST, 10)
    assert completion.usage == Usage(900, 512, 120, 40)
    assert (completion.text, completion.model) == ("answer", "g-001")


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("CONTINUATION", "length"),
        ("SAFETY", "refusal"),
        ("RECITATION", "refusal"),
        ("BLOCKLIST", "refusal"),
        ("PROHIBITED_CONTENT", "refusal"),
        ("SPII", "refusal"),
        ("MALFORMED_RESPONSE", "stop"),
        ("OTHER", "stop"),
    ],
)
async def test_why_the_model_stopped(recorder: Any, gemini: Gemini, reason: str, finish: str) -> None:
    recorder.reply = (200, _reply(finishReason=reason, continuationToken="bW9yZQ=="), {})
    assert (await gemini.complete(REQUEST, 10)).finish == finish
    assert len(recorder.bodies) == 1, "no call that the limiter does not see"


async def test_a_blocked_prompt_is_a_refusal_without_an_answer(recorder: Any, gemini: Gemini) -> None:
    recorder.reply = (200, {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}, {})
    completion = await gemini.complete(REQUEST, 10)
    assert (completion.finish, completion.text) == ("refusal", "")


@pytest.mark.parametrize(
    ("details", "headers", "wait_s"),
    [
        ([{"@type": RPC + "RetryInfo", "retryDelay": "34.074824224s"}], {}, 34.074824224),
        ([{"@type": RPC + "RetryInfo", "retryDelay": "0s"}], {"Retry-After": "9"}, 0.0),
        ([{"@type": RPC + "QuotaFailure", "violations": [{"quotaId": "PerDay"}]}], {"Retry-After": "9"}, 9.0),
        ([{"@type": RPC + "RetryInfo", "retryDelay": "later"}], {}, None),
        ([{"@type": RPC + "RetryInfo"}, "no object"], {}, None),
        ({"retryDelay": "3s"}, {}, None),
        (None, {}, None),
    ],
)
async def test_how_long_to_wait_is_in_the_details(
    recorder: Any, gemini: Gemini, details: Any, headers: dict[str, str], wait_s: float | None
) -> None:
    error = {"code": 429, "message": "Quota.", "status": "RESOURCE_EXHAUSTED", "details": details}
    recorder.reply = (429, {"error": error}, headers)
    with pytest.raises(RateLimited) as caught:
        await gemini.complete(REQUEST, 10)
    assert caught.value.retry_after_s == wait_s
    assert len(recorder.bodies) == 1


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"error": {"code": 400, "status": "INVALID_ARGUMENT"}}, BadRequest),
        (
            400,
            {"error": {"status": "INVALID_ARGUMENT", "details": [{"reason": "API_KEY_INVALID"}]}},
            AuthRefused,
        ),
        (400, {"error": {"status": "FAILED_PRECONDITION"}}, AuthRefused),
        (400, "not an object", BadRequest),
        (502, ["not", "an", "object"], ServerTrouble),
        (200, [1, 2], ServerTrouble),
        (200, {}, ServerTrouble),
    ],
)
async def test_errors_are_read_in_any_shape(
    recorder: Any, gemini: Gemini, status: int, body: Any, kind: type[Exception]
) -> None:
    recorder.reply = (status, body, {})
    with pytest.raises(kind):
        await gemini.complete(REQUEST, 10)


async def test_a_server_that_drips_is_late_all_the_same(dripper: str) -> None:
    gemini = Gemini("gemini-3.8-flash", None, dripper)
    with pytest.raises(CallTimeout):
        await gemini.complete(REQUEST, 0.3)
    await gemini.close()
