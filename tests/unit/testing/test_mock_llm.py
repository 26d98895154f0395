"""Over real HTTP, in this process, on a clock that the tests move."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from openai import AsyncOpenAI, DefaultAioHttpClient, InternalServerError, RateLimitError
from pydantic import BaseModel, ValidationError

from flair_ray.domain.answers import PersonalizedDraft, ScriptDraft, VideoAnalysis, ballot_form
from flair_ray.testing import mock_llm

Ballot = ballot_form(tuple("ABCDEFGH"))


def _content(body: Any) -> str:
    return str(body["choices"][0]["message"]["content"])


@pytest.mark.parametrize("answer", [VideoAnalysis, ScriptDraft, Ballot, PersonalizedDraft])
async def test_a_request_is_answered_from_its_own_schema_and_words(start: Any, answer: type[BaseModel]) -> None:
    mock = await start()
    texts = set()
    for topic in ("basil", "chess", "tax", "sourdough"):
        status, body, _ = await mock.ask(f"Everything I know about {topic} fits on one page", answer)
        assert status == 200
        answer.model_validate_json(_content(body))
        texts.add(_content(body))
    assert len(texts) == 4
    again = await mock.ask("Everything I know about basil fits on one page", answer)
    assert _content(again[1]) in texts


async def test_another_seed_answers_otherwise(start: Any) -> None:
    one, two = await start(seed=1), await start(seed=2)
    first, second = (await one.ask("Why?", ScriptDraft))[1], (await two.ask("Why?", ScriptDraft))[1]
    assert _content(first) != _content(second)


async def test_without_a_schema_the_answer_is_text_and_with_json_object_an_object(start: Any) -> None:
    mock = await start()
    assert _content((await mock.ask("Why do basil roots rot?"))[1]).endswith(".")
    asked = await mock.ask("Why?", response_format={"type": "json_object"})
    assert isinstance(json.loads(_content(asked[1])), dict)


async def test_usage_counts_tokens_and_what_is_cached(start: Any) -> None:
    mock = await start()
    shared = "The same for everybody. " * 300
    first, second = [(await mock.ask(shared + who, VideoAnalysis))[1]["usage"] for who in ("Ann", "Bob")]
    assert first["prompt_tokens"] == pytest.approx(len(shared) / 4, rel=0.01)
    assert first["total_tokens"] == first["prompt_tokens"] + first["completion_tokens"]
    assert first["prompt_tokens_details"]["cached_tokens"] == 0
    assert second["prompt_tokens_details"]["cached_tokens"] == 1_024 + 128 * 6
    assert second["completion_tokens_details"]["reasoning_tokens"] == 0


async def test_calls_over_the_limit_in_flight_get_429_and_when_to_come_back(start: Any, clock: Any) -> None:
    mock = await start(max_in_flight=3, latency_s=6.0)
    clock.hold()
    held = [asyncio.create_task(mock.ask(f"question {i}", VideoAnalysis)) for i in range(3)]
    await mock.stats_once(in_flight=3)
    status, body, headers = await mock.ask("one too many", VideoAnalysis)
    assert (status, headers["Retry-After"], headers["retry-after-ms"]) == (429, "2", "2000")
    assert body["error"]["code"] == "rate_limit_exceeded"
    clock.release()
    assert [(await call)[0] for call in held] == [200] * 3
    assert (await mock.ask("now there is room", VideoAnalysis))[0] == 200
    assert await mock.get("/stats") == {
        "calls": 5,
        "ok": 4,
        "rejected_429": 1,
        "failed": 0,
        "bad_requests": 0,
        "abandoned": 0,
        "in_flight": 0,
        "peak_in_flight": 3,
        "by_stage": {"S1_MAP": 5},
        "repeated_prompts": 0,
    }


async def test_calls_over_the_rate_get_429_and_when_to_come_back(start: Any, clock: Any) -> None:
    mock = await start(rpm=120)
    assert [(await mock.ask("hello"))[0] for _ in range(3)] == [200, 200, 429]
    headers = (await mock.ask("hello"))[2]
    assert (headers["Retry-After"], headers["retry-after-ms"]) == ("1", "500")
    clock.now += 0.5
    assert [(await mock.ask("hello"))[0] for _ in range(2)] == [200, 429]


async def test_limits_change_while_it_runs(start: Any, clock: Any) -> None:
    mock = await start(rpm=600, max_in_flight=29)
    assert [(await mock.ask("hello"))[0] for _ in range(11)].count(200) == 10
    status, options, _ = await mock.post("/config", {"rpm": 300, "latency_s": 0.5, "tail": "0.5:2"})
    assert (status, options["rpm"], options["tail"], options["max_in_flight"]) == (200, 300, "0.5:2", 29)
    clock.now += 60
    assert [(await mock.ask("hello"))[0] for _ in range(11)].count(200) == 5
    assert set(clock.slept[10:]) <= {0.5, 1.0}


@pytest.mark.parametrize("changes", [{"rpm": 0}, {"pace": 1}, ["rpm"], b"{", {"fail": "often"}])
async def test_a_change_that_cannot_be_made_changes_nothing(start: Any, changes: object) -> None:
    mock = await start(rpm=120)
    status, body, _ = await mock.post("/config", changes)
    assert status == 400
    assert body["error"]["message"]
    assert [(await mock.ask("hello"))[0] for _ in range(3)] == [200, 200, 429]


async def test_latency_counts_from_the_arrival_and_follows_the_seed(start: Any, clock: Any) -> None:
    async def slept(seed: int) -> list[float]:
        clock.slept.clear()
        mock = await start(latency_s=2.0, jitter=0.1, seed=seed)
        for _ in range(20):
            await mock.ask("hello")
        return list(clock.slept)

    first = await slept(1)
    assert all(1.8 <= seconds <= 2.2 for seconds in first)
    assert len(set(first)) == 20
    assert await slept(1) == first
    assert await slept(2) != first


async def test_failures_and_malformed_answers_come_in_their_shares(start: Any) -> None:
    mock = await start(fail=0.25, malformed=0.25, seed=3)
    outcomes = []
    for i in range(200):
        status, body, _ = await mock.ask(f"question {i}", VideoAnalysis)
        try:
            if status == 200:
                VideoAnalysis.model_validate_json(_content(body))
            outcomes.append(status)
        except ValidationError:
            outcomes.append("malformed")
    stats = await mock.get("/stats")
    assert stats["ok"] == outcomes.count(200)
    assert stats["failed"] == outcomes.count(500) + outcomes.count("malformed")
    assert 30 <= outcomes.count(500) <= 70
    assert 30 <= outcomes.count("malformed") <= 70


async def test_a_prompt_asked_again_is_a_repetition_unless_it_was_refused_or_failed(start: Any, clock: Any) -> None:
    mock = await start(max_in_flight=1, fail=1.0)
    await mock.ask("same", VideoAnalysis)
    await mock.post("/config", {"fail": 0})
    clock.hold()
    first = asyncio.create_task(mock.ask("same", VideoAnalysis))
    await mock.stats_once(in_flight=1)
    assert (await mock.ask("same", VideoAnalysis))[0] == 429
    await mock.post("/config", {"max_in_flight": 2})
    second = asyncio.create_task(mock.ask("same", VideoAnalysis))
    assert (await mock.stats_once(in_flight=2))["repeated_prompts"] == 1
    clock.release()
    await asyncio.gather(first, second)
    await mock.ask("same", VideoAnalysis)
    await mock.ask("other", VideoAnalysis)
    assert (await mock.get("/stats"))["repeated_prompts"] == 2


async def test_a_client_that_hangs_up_gives_its_place_back(start: Any, clock: Any) -> None:
    mock = await start(max_in_flight=1)
    clock.hold()
    call = asyncio.create_task(mock.ask("never mind", VideoAnalysis))
    await mock.stats_once(in_flight=1)
    call.cancel()
    stats = await mock.stats_once(in_flight=0, abandoned=1)
    assert stats["ok"] == 0
    clock.release()
    assert (await mock.ask("never mind", VideoAnalysis))[0] == 200
    assert (await mock.get("/stats"))["repeated_prompts"] == 1


async def test_reset_starts_everything_anew_but_what_is_in_flight(start: Any, clock: Any) -> None:
    mock = await start(rpm=120, jitter=0.5, seed=5)
    long = "The same for everybody. " * 300
    usage = (await mock.ask(long))[1]["usage"]
    clock.hold()
    held = asyncio.create_task(mock.ask("held"))
    await mock.stats_once(in_flight=1)
    await mock.post("/reset")
    assert await mock.get("/stats") == {
        "calls": 0,
        "ok": 0,
        "rejected_429": 0,
        "failed": 0,
        "bad_requests": 0,
        "abandoned": 0,
        "in_flight": 1,
        "peak_in_flight": 1,
        "by_stage": {},
        "repeated_prompts": 0,
    }
    clock.release()
    await held
    assert (await mock.get("/stats"))["ok"] == 0
    again = await mock.ask(long)
    assert again[1]["usage"] == usage
    assert clock.slept[2] == clock.slept[0]
    assert (await mock.ask("the bucket was full"))[0] == 200


@pytest.mark.parametrize(
    "body",
    [
        b"not json",
        {"model": "m", "messages": []},
        {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": True},
        {
            "model": "m",
            "messages": [{"role": "user", "content": "x"}],
            "response_format": {"type": "json_schema", "json_schema": {"name": "A", "schema": {"type": "strange"}}},
        },
    ],
)
async def test_what_cannot_be_answered_gets_400_and_is_counted(start: Any, body: object) -> None:
    mock = await start()
    status, answer, _ = await mock.post("/v1/chat/completions", body)
    assert (status, answer["error"]["type"]) == (400, "invalid_request_error")
    stats = await mock.get("/stats")
    assert (stats["calls"], stats["bad_requests"], stats["in_flight"]) == (1, 1, 0)


async def test_a_body_past_the_limit_gets_400(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mock_llm, "MAX_BODY_BYTES", 1_000)
    mock = await start()
    assert (await mock.ask("x" * 1_000))[0] == 400
    assert (await mock.get("/stats"))["bad_requests"] == 1


async def test_the_openai_sdk_parses_answers_and_refusals(start: Any) -> None:
    mock = await start(max_in_flight=29)
    async with AsyncOpenAI(
        base_url=mock.root + "/v1", api_key="any", max_retries=0, http_client=DefaultAioHttpClient()
    ) as client:
        assert [model.id async for model in client.models.list()] == ["mock"]
        for answer in (VideoAnalysis, ScriptDraft, Ballot, PersonalizedDraft):
            completion = await client.chat.completions.parse(
                model="any",
                messages=[{"role": "system", "content": "You analyse."}, {"role": "user", "content": "Why basil?"}],
                response_format=answer,
            )
            assert isinstance(completion.choices[0].message.parsed, answer)
            assert completion.usage is not None
            assert completion.usage.completion_tokens > 0
        await mock.post("/config", {"fail": 1.0})
        with pytest.raises(InternalServerError):
            await client.chat.completions.create(model="any", messages=[{"role": "user", "content": "Why?"}])
        await mock.post("/config", {"rpm": 1})
        await client.with_options(max_retries=0).models.list()
        with pytest.raises(InternalServerError):
            await client.chat.completions.create(model="any", messages=[{"role": "user", "content": "Why?"}])
        with pytest.raises(RateLimitError) as refused:
            await client.chat.completions.create(model="any", messages=[{"role": "user", "content": "Why?"}])
        assert refused.value.response.headers["retry-after"] == "60"
    by_stage = (await mock.get("/stats"))["by_stage"]
    assert by_stage == {"S1_MAP": 1, "S3_SEQUENTIAL": 1, "S4_MAP": 1, "S6_PERSONALIZE": 1, "text": 3}
