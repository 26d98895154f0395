"""What is sent to whom, and what is read from the answers of vendors who count their own way."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from flair_ray.domain.answers import ScriptDraft
from flair_ray.domain.calls import ChatRequest, Usage
from flair_ray.domain.ids import StageName
from flair_ray.errors import AuthRefused, CallTimeout, ModelNotFound, Refused, ServerTrouble
from flair_ray.providers.kimi import BASE_URL, Kimi
from flair_ray.providers.openai_compatible import COMPATIBLE, Dialect, OpenAICompatible, openai_dialect

REQUEST = ChatRequest(
    StageName.S3, "You write.", "The library.", "The brief.", ScriptDraft, material=None, seed=7, max_output_tokens=500
)


def _reply(usage: object = None, **choice: object) -> dict[str, Any]:
    message = {"role": "assistant", "content": "{}"}
    return {"model": "m-2026", "choices": [{"message": message, "finish_reason": "stop", **choice}], "usage": usage}


async def _sent(recorder: Any, provider: OpenAICompatible) -> Any:
    recorder.reply = (200, _reply(), {})
    await provider.complete(REQUEST, 10)
    await provider.close()
    return recorder.bodies[0]


def _openai(recorder: Any, model: str, dialect: Dialect) -> OpenAICompatible:
    return OpenAICompatible("openai", model, SecretStr("sk-1"), recorder.url + "/v1", dialect)


async def test_a_reasoning_model_is_given_room_to_reason_and_no_sampling(recorder: Any) -> None:
    body = await _sent(recorder, _openai(recorder, "gpt-6-luna", openai_dialect("gpt-6-luna")))
    assert body["max_completion_tokens"] == 500 + 4096
    assert (body["reasoning_effort"], body["seed"]) == ("low", 7)
    assert not {"max_tokens", "temperature", "top_p"} & set(body)
    assert [m["role"] for m in body["messages"]] == ["system", "user"]
    asked = body["response_format"]["json_schema"]
    assert (asked["name"], asked["strict"]) == ("ScriptDraft", True)
    assert recorder.headers[0]["Authorization"] == "Bearer sk-1"
    assert recorder.paths == ["/v1/chat/completions"]


@pytest.mark.parametrize("model", ["gpt-4.1-mini", "gpt-4o", "gpt-5.3-chat-latest", "chatgpt-4o-latest"])
async def test_a_model_that_does_not_reason_is_not_told_how_much(recorder: Any, model: str) -> None:
    body = await _sent(recorder, _openai(recorder, model, openai_dialect(model)))
    assert body["max_completion_tokens"] == 500
    assert "reasoning_effort" not in body


async def test_any_other_server_gets_the_field_that_all_know(recorder: Any) -> None:
    body = await _sent(recorder, _openai(recorder, "llama3", COMPATIBLE))
    assert body["max_tokens"] == 500
    assert not {"max_completion_tokens", "reasoning_effort", "thinking"} & set(body)


@pytest.mark.parametrize(
    ("model", "extra", "room"),
    [
        ("kimi-k2.6", {"thinking": {"type": "disabled"}}, 0),
        ("kimi-k2.5", {"thinking": {"type": "disabled"}}, 0),
        ("kimi-k3", {"reasoning_effort": "low"}, 8192),
        ("kimi-k2.7-code", {}, 8192),
        ("moonshot-v1-32k", {}, 0),
        ("kimi-of-tomorrow", {}, 8192),
    ],
)
async def test_kimi_thinks_no_more_than_it_must(recorder: Any, model: str, extra: dict[str, Any], room: int) -> None:
    body = await _sent(recorder, Kimi(model, SecretStr("sk-1"), recorder.url))
    assert body["max_completion_tokens"] == 500 + room
    assert {k: v for k, v in body.items() if k in ("thinking", "reasoning_effort")} == extra
    assert not {"seed", "max_tokens", "temperature"} & set(body)
    assert recorder.headers[0]["User-Agent"].startswith("AsyncOpenAI/Python"), "its own, not a borrowed one"


def test_kimi_lives_on_moonshots_platform() -> None:
    assert Kimi("kimi-k2.6", SecretStr("sk-1")).url.rstrip("/") == BASE_URL


@pytest.mark.parametrize(
    ("counted", "usage"),
    [
        (
            {
                "prompt_tokens": 900,
                "completion_tokens": 80,
                "prompt_tokens_details": {"cached_tokens": 512},
                "completion_tokens_details": {"reasoning_tokens": 30},
            },
            Usage(900, 512, 80, 30),
        ),
        ({"prompt_tokens": 900, "completion_tokens": 80, "cached_tokens": 256}, Usage(900, 256, 80, 0)),
        (
            {
                "prompt_tokens": 900,
                "completion_tokens": 80,
                "prompt_cache_hit_tokens": 128,
                "prompt_cache_miss_tokens": 772,
            },
            Usage(900, 128, 80, 0),
        ),
        ({"prompt_tokens": 900, "completion_tokens": 80, "prompt_tokens_details": None}, Usage(900, 0, 80, 0)),
        ({"prompt_tokens": 90, "completion_tokens": 8, "cached_tokens": 101}, Usage(90, 90, 8, 0)),
        (None, Usage()),
    ],
)
async def test_cached_tokens_are_read_wherever_a_vendor_puts_them(recorder: Any, counted: Any, usage: Usage) -> None:
    recorder.reply = (200, _reply(counted), {})
    provider = _openai(recorder, "m", COMPATIBLE)
    completion = await provider.complete(REQUEST, 10)
    await provider.close()
    assert completion.usage == usage
    assert completion.model == "m-2026"


@pytest.mark.parametrize(
    ("choice", "finish", "text"),
    [
        ({}, "stop", "{}"),
        ({"finish_reason": "length"}, "length", "{}"),
        ({"finish_reason": "content_filter"}, "refusal", "{}"),
        ({"finish_reason": "something new"}, "stop", "{}"),
        ({"finish_reason": None}, "stop", "{}"),
        ({"message": {"content": None, "refusal": "No."}}, "refusal", ""),
        ({"message": {}}, "stop", ""),
    ],
)
async def test_why_the_model_stopped(recorder: Any, choice: Any, finish: str, text: str) -> None:
    recorder.reply = (200, _reply(**choice), {})
    provider = _openai(recorder, "m", COMPATIBLE)
    completion = await provider.complete(REQUEST, 10)
    await provider.close()
    assert (completion.finish, completion.text) == (finish, text)


@pytest.mark.parametrize("body", [[], {"choices": None}, {"choices": [{}]}, {"object": "error"}, "text", 3])
async def test_a_200_that_is_no_completion_is_the_servers_trouble(recorder: Any, body: Any) -> None:
    recorder.reply = (200, body, {})
    provider = _openai(recorder, "m", COMPATIBLE)
    with pytest.raises(ServerTrouble, match="no completion"):
        await provider.complete(REQUEST, 10)
    await provider.close()


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, {"error": {"type": "exceeded_current_quota_error", "message": "no money"}}, AuthRefused),
        (400, {"error": {"type": "content_filter", "message": "high risk"}}, Refused),
        (404, "nothing here", ModelNotFound),
        (502, ["not", "an", "error"], ServerTrouble),
    ],
)
async def test_errors_are_read_in_any_shape(recorder: Any, status: int, body: Any, kind: type[Exception]) -> None:
    recorder.reply = (status, body, {})
    provider = _openai(recorder, "m", COMPATIBLE)
    with pytest.raises(kind):
        await provider.complete(REQUEST, 10)
    await provider.close()


async def test_a_server_that_drips_is_late_all_the_same(dripper: str) -> None:
    provider = OpenAICompatible("openai", "m", None, dripper)
    with pytest.raises(CallTimeout):
        await provider.complete(REQUEST, 0.3)
    await provider.close()


@pytest.mark.parametrize("listed", [{"data": [{"id": "other"}]}, {"data": []}])
async def test_a_model_that_is_not_listed_is_unknown(recorder: Any, listed: Any) -> None:
    recorder.reply = (200, listed, {})
    provider = Kimi("kimi-k2.6", SecretStr("sk-1"), recorder.url)
    with pytest.raises(ModelNotFound, match="kimi-k2\\.6"):
        await provider.check()
    recorder.reply = (401, {"error": {"type": "invalid_authentication_error"}}, {})
    with pytest.raises(AuthRefused):
        await provider.check()
    recorder.reply = (200, "hello", {})
    with pytest.raises(ServerTrouble):
        await provider.check()
    await provider.close()
    assert recorder.paths == ["/models"] * 3


async def test_a_server_without_a_list_of_models_passes_its_check(recorder: Any) -> None:
    recorder.reply = (404, "no such page", {})
    provider = _openai(recorder, "m", COMPATIBLE)
    await provider.check()
    await provider.close()


def test_the_address_is_said_and_not_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://somewhere.else/v1")
    assert OpenAICompatible("openai", "gpt-6-luna", SecretStr("sk-1"), None).url == "https://api.openai.com/v1/"
