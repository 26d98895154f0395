"""One suite over every provider that calls a server, against the mock, which speaks each one's wire format."""

from __future__ import annotations

import asyncio
import os
import pickle
import socket
import traceback
from collections.abc import AsyncIterator, Callable, Iterator

import psutil
import pytest
from pydantic import BaseModel, SecretStr, ValidationError

from flair_ray.domain.answers import BallotForm, PersonalizedDraft, ScriptDraft, VideoAnalysis, ballot_form
from flair_ray.domain.calls import ChatRequest, Usage
from flair_ray.domain.ids import StageName, VideoId
from flair_ray.domain.videos import Video
from flair_ray.domain.work import Done
from flair_ray.engine.asking import Asker, Patience
from flair_ray.errors import (
    AuthRefused,
    BadRequest,
    CallTimeout,
    ConnectionLost,
    ModelNotFound,
    ProviderError,
    RateLimited,
    ServerTrouble,
    Unreachable,
)
from flair_ray.flow.clock import SystemClock
from flair_ray.flow.in_flight import InFlightLimiter
from flair_ray.providers.gemini import Gemini
from flair_ray.providers.kimi import Kimi
from flair_ray.providers.local import DEFAULT_MODEL, Local, LocalModel, find_model
from flair_ray.providers.openai_compatible import COMPATIBLE, OPENAI, OpenAICompatible
from flair_ray.stages.s1_analyze import Analyze
from flair_ray.testing.mock_llm import MODEL, MockOptions, MockServer

KEY = "sk-not-for-anybody-to-see"
SECRET = "a sentence that only the prompt holds"

AnyProvider = OpenAICompatible | Gemini
Make = Callable[[str, str], AnyProvider]
"""Model and the mock's address without a path → provider."""

PROVIDERS: dict[str, Make] = {
    "openai": lambda model, url: OpenAICompatible("openai", model, SecretStr(KEY), url + "/v1", OPENAI),
    "compatible": lambda model, url: OpenAICompatible("openai", model, SecretStr(KEY), url + "/v1", COMPATIBLE),
    "kimi": lambda model, url: Kimi(model, SecretStr(KEY), url + "/v1"),
    "gemini": lambda model, url: Gemini(model, SecretStr(KEY), url),
}


@pytest.fixture(scope="module")
def server() -> Iterator[MockServer]:
    with MockServer(MockOptions(latency_s=0)) as mock:
        yield mock


@pytest.fixture
def mock(server: MockServer) -> MockServer:
    server.reset()
    return server


@pytest.fixture(params=list(PROVIDERS))
def make(request: pytest.FixtureRequest) -> Make:
    return PROVIDERS[request.param]


@pytest.fixture
async def provider(make: Make, mock: MockServer) -> AsyncIterator[AnyProvider]:
    made = make(MODEL, mock.gemini_url)
    yield made
    await made.close()


def ask(answer: type[BaseModel] = VideoAnalysis, shared: str = "The rules.", varying: str = SECRET) -> ChatRequest:
    return ChatRequest(StageName.S1, "You analyse.", shared, varying, answer, material=None, seed=7)


async def failure(provider: AnyProvider, timeout_s: float = 30.0) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await provider.complete(ask(), timeout_s)
    return caught.value


@pytest.mark.parametrize("answer", [VideoAnalysis, ScriptDraft, PersonalizedDraft, ballot_form(tuple("ABCDEFG"))])
async def test_every_question_gets_an_answer_of_its_shape(provider: AnyProvider, answer: type[BaseModel]) -> None:
    completion = await provider.complete(ask(answer), 30)
    answer.model_validate_json(completion.text)
    assert (completion.finish, completion.model) == ("stop", MODEL)


@pytest.mark.long
@pytest.mark.parametrize("answer", [VideoAnalysis, ScriptDraft, PersonalizedDraft, ballot_form(tuple("ABCDEFG"))])
async def test_a_local_model_answers_in_shape_too(answer: type[BaseModel]) -> None:
    """It has no wire: what else the suite asks of it, and what only it can do wrong, is in its unit tests."""
    model = LocalModel(find_model(DEFAULT_MODEL))
    completion = await Local(model.answer, find_model(DEFAULT_MODEL)).complete(ask(answer), 100)
    answer.model_validate_json(completion.text)
    assert completion.finish == "stop"
    assert completion.usage.output_tokens > 5
    model.close()


async def test_a_small_ballot_cannot_be_wrong(provider: AnyProvider) -> None:
    form = ballot_form(("BD", "FG", "KL", "MN"))
    for voter in range(12):
        completion = await provider.complete(ask(form, varying=f"Voter {voter}"), 30)
        ballot = form.model_validate_json(completion.text)
        assert isinstance(ballot, BallotForm)
        assert sorted(ballot.top) == ["BD", "FG", "KL", "MN"]


async def test_usage_is_read_back_with_what_came_from_the_cache(provider: AnyProvider) -> None:
    shared = "The same for everybody. " * 400
    first = (await provider.complete(ask(shared=shared, varying="Ann"), 30)).usage
    second = (await provider.complete(ask(shared=shared, varying="Bob"), 30)).usage
    assert first.input_tokens == pytest.approx(len(shared) / 4, rel=0.02)
    assert first.cached_tokens == 0
    assert 0 < first.input_tokens - second.cached_tokens < 256
    assert first.output_tokens > 20


@pytest.mark.parametrize(
    ("fault", "kind", "retry_after_s"),
    [
        ("400", BadRequest, None),
        ("401", AuthRefused, None),
        ("402", AuthRefused, None),
        ("403", AuthRefused, None),
        ("404", ModelNotFound, None),
        ("429", RateLimited, None),
        ("429:2.5", RateLimited, 2.5),
        ("500", ServerTrouble, None),
        ("503", ServerTrouble, None),
        ("503:3", ServerTrouble, 3.0),
        ("drop", ConnectionLost, None),
        ("cut", ConnectionLost, None),
        ("empty", ServerTrouble, None),
        ("html", ServerTrouble, None),
    ],
)
async def test_a_failure_is_told_by_its_class(
    provider: AnyProvider, mock: MockServer, fault: str, kind: type[ProviderError], retry_after_s: float | None
) -> None:
    await provider.complete(ask(), 30)
    mock.configure(script=[fault])
    err = await failure(provider)
    assert type(err) is kind
    assert getattr(err, "retry_after_s", None) == retry_after_s
    assert err.retryable == (kind in (RateLimited, ServerTrouble, ConnectionLost))
    assert err.fatal == (kind in (AuthRefused, ModelNotFound))
    assert str(pickle.loads(pickle.dumps(err))) == str(err)  # noqa: S301  # our own
    await provider.complete(ask(), 30)
    assert mock.stats()["calls"] == 3


async def test_no_answer_in_time_is_a_timeout_and_a_lost_connection_is_none(
    provider: AnyProvider, mock: MockServer
) -> None:
    mock.configure(script=["slow:60", "drop"])
    assert type(await failure(provider, timeout_s=0.2)) is CallTimeout
    assert type(await failure(provider, timeout_s=0.2)) is ConnectionLost


async def test_nobody_there_is_a_lost_connection(make: Make) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        provider = make(MODEL, f"http://127.0.0.1:{taken.getsockname()[1]}")
        err = await failure(provider)
        assert type(err) is Unreachable
        assert f"127.0.0.1:{taken.getsockname()[1]}" in str(err)
        with pytest.raises(Unreachable):
            await provider.check()
        await provider.close()


@pytest.mark.parametrize("fault", ["truncated", "refusal", "filtered", "blank", "malformed", "wrong_shape"])
async def test_an_answer_of_no_use_is_paid_for_all_the_same(
    provider: AnyProvider, mock: MockServer, fault: str
) -> None:
    mock.configure(script=[fault])
    completion = await provider.complete(ask(), 30)
    assert completion.usage.input_tokens > 0
    assert completion.usage.output_tokens > 0
    assert completion.finish == {"truncated": "length", "refusal": "refusal", "filtered": "refusal"}.get(fault, "stop")
    with pytest.raises(ValidationError):
        VideoAnalysis.model_validate_json(completion.text)


async def test_a_wrong_answer_is_asked_for_again_once_and_both_are_counted(
    provider: AnyProvider, mock: MockServer
) -> None:
    mock.configure(script=["wrong_shape"])
    patience = Patience(call_timeout_s=30, item_deadline_s=60, max_attempts=1)
    asker = Asker(provider, InFlightLimiter(1), patience, SystemClock())
    verdict = await asker.ask(Analyze(), None, Video(VideoId("v1"), "How to repot basil."), lambda: None)
    assert isinstance(verdict.outcome, Done)
    assert (verdict.tally.calls, verdict.tally.failed, verdict.tally.reasks) == (2, 1, 1)
    one = (await provider.complete(ask(), 30)).usage
    assert verdict.tally.usage.input_tokens > one.input_tokens
    assert mock.stats()["repeated_prompts"] == 0, "the re-ask shows what was wrong"


async def test_calls_share_one_client_and_closing_it_leaves_nothing_open(make: Make, mock: MockServer) -> None:
    provider = make(MODEL, mock.gemini_url)
    before = _connections(mock)
    for _ in range(5):
        await provider.complete(ask(), 30)
    assert len(_connections(mock) - before) == 1
    await asyncio.gather(*(provider.complete(ask(varying=str(i)), 30) for i in range(20)))
    await provider.close()
    await asyncio.sleep(0)  # the event loop closes sockets in its next round
    assert not _connections(mock) - before
    assert mock.stats()["ok"] == 25


async def test_closing_what_was_never_used_is_fine(make: Make) -> None:
    await make(MODEL, "http://127.0.0.1:9").close()


FAULTS = ["400", "401", "402", "403", "404", "429:1", "500", "503", "drop", "cut", "empty", "html"]


async def test_neither_key_nor_prompt_is_in_a_message(provider: AnyProvider, mock: MockServer) -> None:
    mock.configure(script=FAULTS)
    for _ in FAULTS:
        err = await failure(provider)
        shown = "".join(traceback.format_exception(err)) + repr(err)
        assert KEY not in shown
        assert SECRET not in shown
    assert KEY not in repr(provider) + str(vars(provider))


async def test_a_check_finds_out_what_every_call_would_meet(make: Make, mock: MockServer) -> None:
    for model in (MODEL, "no-such-model"):
        provider = make(model, mock.gemini_url)
        lists_models = not (isinstance(provider, OpenAICompatible) and provider.dialect is COMPATIBLE)
        if model == MODEL or not lists_models:
            await provider.check()
        else:
            with pytest.raises(ModelNotFound, match="no-such-model"):
                await provider.check()
        await provider.close()
    assert mock.stats()["calls"] == 0, "checking is free"


async def test_usage_adds_up(provider: AnyProvider) -> None:
    answers = await asyncio.gather(*(provider.complete(ask(varying=f"Video {i}"), 30) for i in range(10)))
    total = sum((answer.usage for answer in answers), Usage())
    assert total.output_tokens == sum(answer.usage.output_tokens for answer in answers)


def _connections(mock: MockServer) -> set[tuple[object, ...]]:
    """Ours to the mock, by both ends."""
    port = int(mock.gemini_url.rpartition(":")[2])
    found = psutil.Process(os.getpid()).net_connections(kind="tcp")
    return {(c.laddr, c.raddr) for c in found if c.raddr and c.raddr.port == port and c.status == "ESTABLISHED"}
