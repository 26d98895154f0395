from __future__ import annotations

import json

import pytest

from flair_ray.errors import InputError
from flair_ray.testing import mock_wire
from flair_ray.testing.mock_openai import OpenAIWire
from flair_ray.testing.mock_wire import Asked, PrefixCache, prompt_key, token_count


def read_chat(body: bytes) -> Asked:
    return OpenAIWire().read(body, "")


def _chat(**body: object) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": "Why?"}], **body}).encode()


def _format(name: str) -> dict[str, object]:
    return {"type": "json_schema", "json_schema": {"name": name, "schema": {"type": "object"}}}


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        ("VideoAnalysis", "S1_MAP"),
        ("ScriptDraft", "S3_SEQUENTIAL"),
        ("BallotForm", "S4_MAP"),
        ("PersonalizedDraft", "S6_PERSONALIZE"),
        ("SomethingElse", "SomethingElse"),
    ],
)
def test_the_name_of_the_schema_tells_the_stage(name: str, stage: str) -> None:
    assert read_chat(_chat(response_format=_format(name))).stage == stage


def test_without_a_schema_text_is_asked_for() -> None:
    for body in (_chat(), _chat(response_format=None), _chat(response_format={"type": "text"})):
        assert read_chat(body).stage == "text"
        assert read_chat(body).schema is None


def test_any_json_object_will_do_for_json_object() -> None:
    schema = read_chat(_chat(response_format={"type": "json_object"})).schema
    assert schema is not None
    assert schema["type"] == "object"


def test_content_may_come_in_parts() -> None:
    parts = [{"type": "text", "text": "Wh"}, {"type": "text", "text": "y?"}]
    assert read_chat(_chat(messages=[{"role": "user", "content": parts}])).prompt == read_chat(_chat()).prompt


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "the body"),
        (b"{", "the body"),
        (b"[]", "the body"),
        (b'{"messages": []}', "model"),
        (_chat(messages=[]), "messages"),
        (_chat(messages=[{"role": "user", "content": 3}]), "messages.0.content"),
        (_chat(response_format={"type": "json_schema", "json_schema": {"name": "A"}}), "response_format.json_schema"),
        (_chat(response_format=_format("")), "response_format.json_schema.name"),
        (_chat(stream=True), "stream"),
        (b'{"model": "m", "messages": [{"role": "user", "content": "\\ud800"}]}', "the body"),
    ],
)
def test_what_is_no_request_is_refused_by_field(body: bytes, field: str) -> None:
    with pytest.raises(InputError, match=field):
        read_chat(body)


def test_a_refusal_quotes_nothing_of_the_prompt() -> None:
    with pytest.raises(InputError) as caught:
        read_chat(_chat(messages=[{"role": "user", "content": "secret plan"}, {"role": 3}]))
    assert "secret" not in str(caught.value)


def test_a_prompt_is_known_by_all_of_its_messages() -> None:
    prompts = [
        [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}],
        [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
        [{"role": "user", "content": "ab"}],
        [{"role": "user", "content": "a"}],
    ]
    assert len({prompt_key(read_chat(_chat(messages=messages)).prompt) for messages in prompts}) == 4


def test_a_token_is_four_bytes() -> None:
    assert [token_count(b"x" * n) for n in (0, 1, 4, 5)] == [0, 1, 1, 2]


def test_the_longest_common_prefix_is_cached_in_steps_of_128_tokens_from_1024_on() -> None:
    cache, shared = PrefixCache(), b"s" * 4 * 1_500
    assert cache.cached_tokens(shared + b"one") == 0
    assert cache.cached_tokens(shared + b"two") == 1_024 + 3 * 128
    assert cache.cached_tokens(shared[: 4 * 1_200] + b"t" * 4_000) == 1_024 + 128
    assert cache.cached_tokens(shared[: 4 * 1_024]) == 1_024
    assert cache.cached_tokens(shared[: 4 * 1_023] + b"other") == 0
    assert cache.cached_tokens(b"t" + shared) == 0


def test_short_prompts_are_never_cached() -> None:
    cache = PrefixCache()
    assert [cache.cached_tokens(b"s" * 4_000) for _ in range(2)] == [0, 0]


def test_a_full_cache_starts_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mock_wire, "CACHE_SIZE", 3)
    cache, long = PrefixCache(), b"s" * 4 * 2_000
    assert [cache.cached_tokens(long) for _ in range(2)] == [0, 0]
