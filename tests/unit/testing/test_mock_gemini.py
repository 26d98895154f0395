"""Gemini's wire format, over real HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel

from flair_ray.domain.answers import PersonalizedDraft, ScriptDraft, VideoAnalysis

PATH = "/v1/models/any:generateContent"


def _body(text: str, answer: type[BaseModel] | None = None) -> dict[str, Any]:
    body: dict[str, Any] = {
        "contents": [{"role": "user", "parts": [{"text": text}]}],
        "systemInstruction": {"parts": [{"text": "You analyse."}]},
    }
    if answer is not None:
        schema = answer.model_json_schema()
        body["generationConfig"] = {"responseMimeType": "application/json", "responseJsonSchema": schema}
    return body


def _text(body: Any) -> str:
    return str(body["candidates"][0]["content"]["parts"][0]["text"])


@pytest.mark.parametrize("answer", [VideoAnalysis, ScriptDraft, PersonalizedDraft])
@pytest.mark.parametrize("version", ["v1", "v1beta"])
async def test_a_request_is_answered_from_its_schema(start: Any, answer: type[BaseModel], version: str) -> None:
    mock = await start(latency_s=0)
    status, body, _ = await mock.post(PATH.replace("v1", version), _body("Why basil?", answer))
    assert status == 200
    answer.model_validate_json(_text(body))
    assert body["modelVersion"] == "any"


async def test_both_formats_share_the_server(start: Any) -> None:
    mock = await start(latency_s=0, max_in_flight=1)
    await mock.ask("hello", VideoAnalysis)
    await mock.post(PATH, _body("hello", VideoAnalysis))
    stats = await mock.get("/stats")
    assert (stats["calls"], stats["ok"], stats["by_stage"]) == (2, 2, {"S1_MAP": 2})


async def test_usage_tells_what_is_cached(start: Any) -> None:
    mock = await start(latency_s=0)
    shared = "The same for everybody. " * 300
    first, second = [(await mock.post(PATH, _body(shared + who)))[1]["usageMetadata"] for who in ("Ann", "Bob")]
    assert first["cachedContentTokenCount"] == 0
    assert second["cachedContentTokenCount"] >= 1_024
    assert first["totalTokenCount"] == first["promptTokenCount"] + first["candidatesTokenCount"]


async def test_refusals_say_what_google_says(start: Any) -> None:
    mock = await start(latency_s=0)
    await mock.post("/config", {"script": ["401", "404", "429", "429:2.5", "503"]})
    seen = [await mock.post(PATH, _body("hello")) for _ in range(5)]
    assert [(status, body["error"]["status"]) for status, body, _ in seen] == [
        (400, "INVALID_ARGUMENT"),
        (404, "NOT_FOUND"),
        (429, "RESOURCE_EXHAUSTED"),
        (429, "RESOURCE_EXHAUSTED"),
        (503, "UNAVAILABLE"),
    ]
    assert seen[0][1]["error"]["details"][0]["reason"] == "API_KEY_INVALID"
    assert seen[2][1]["error"]["details"] == []
    assert seen[3][1]["error"]["details"][0]["retryDelay"] == "2.500s"


async def test_over_the_limit_the_wait_is_in_the_body(start: Any) -> None:
    mock = await start(latency_s=0, rpm=60)
    statuses = [await mock.post(PATH, _body("hello")) for _ in range(2)]
    assert [status for status, _, _ in statuses] == [200, 429]
    assert statuses[1][1]["error"]["details"][0]["retryDelay"] == "1.000s"


async def test_a_blocked_answer_has_no_text_and_a_blocked_prompt_no_candidate(start: Any) -> None:
    mock = await start(latency_s=0)
    await mock.post("/config", {"script": ["refusal", "filtered", "blank", "truncated"]})
    bodies = [(await mock.post(PATH, _body("hello", VideoAnalysis)))[1] for _ in range(4)]
    assert bodies[0]["candidates"][0] == {"index": 0, "finishReason": "SAFETY"}
    assert bodies[1]["promptFeedback"]["blockReason"] == "PROHIBITED_CONTENT"
    assert "candidates" not in bodies[1]
    assert "candidates" not in bodies[2]
    assert bodies[3]["candidates"][0]["finishReason"] == "MAX_TOKENS"
    with pytest.raises(json.JSONDecodeError):
        json.loads(_text(bodies[3]))


@pytest.mark.parametrize("body", [b"not json", {}, {"contents": []}, {"contents": [{"parts": "text"}]}])
async def test_what_cannot_be_read_gets_400(start: Any, body: object) -> None:
    mock = await start(latency_s=0)
    status, answer, _ = await mock.post(PATH, body)
    assert (status, answer["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert (await mock.get("/stats"))["bad_requests"] == 1


async def test_only_its_own_model_is_listed(start: Any) -> None:
    mock = await start()
    assert (await mock.get("/v1/models/mock"))["name"] == "models/mock"
    assert (await mock.get("/v1beta/models/other"))["error"]["status"] == "NOT_FOUND"
