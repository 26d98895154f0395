"""Whatever a provider does, one item ends, is counted right, and never waits while it holds a permit."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import chain, cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from flair_ray.domain.calls import CallTally, ChatRequest, Completion, Usage
from flair_ray.domain.ids import VideoId
from flair_ray.domain.patterns import Pattern
from flair_ray.domain.videos import Video
from flair_ray.domain.work import Done, Skipped
from flair_ray.engine.asking import Asker, Patience, Verdict
from flair_ray.errors import (
    AuthRefused,
    BadRequest,
    CallTimeout,
    ConnectionLost,
    FlairError,
    Flawed,
    ModelNotFound,
    RateLimited,
    ServerTrouble,
)
from flair_ray.flow.in_flight import Turn
from flair_ray.ports import Permit
from flair_ray.providers.offline.analyze import analyze
from flair_ray.stages.s1_analyze import Analyze

VIDEO = Video(VideoId("v"), "Why does this happen? Because you pour too fast. Now wait.", duration_s=9.0)
GOOD = analyze(VIDEO).model_dump_json()
USAGE = Usage(input_tokens=100, output_tokens=10)
PATIENCE = Patience(call_timeout_s=20.0, item_deadline_s=90.0, max_attempts=4)
FATAL = (AuthRefused("key"), ModelNotFound("model"))


class Clock:
    """Time passes when somebody sleeps or calls, and at no other moment."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.held = 0
        self.slept: list[float] = []

    def now_s(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        assert not self.held, "sleeping with a permit"
        self.slept.append(seconds)
        self.now += seconds


class Queue:
    """A limiter that makes each call wait its turn."""

    def __init__(self, clock: Clock, wait_s: float = 0.0) -> None:
        self._clock, self._wait_s = clock, wait_s

    @asynccontextmanager
    async def permit(self, tokens: int) -> AsyncIterator[Permit]:
        self._clock.now += self._wait_s
        self._clock.held += 1
        try:
            yield Turn()
        finally:
            self._clock.held -= 1


Act = tuple[float, str | FlairError]
"""Seconds a call takes, and what comes of it."""


@dataclass
class Scripted:
    """A provider that does as it is told, again from the start when its script is over."""

    clock: Clock
    acts: Sequence[Act]
    seen: list[tuple[ChatRequest, float, str | FlairError]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._next = cycle(self.acts)

    async def complete(self, request: ChatRequest, timeout_s: float) -> Completion:
        assert self.clock.held == 1
        takes_s, what = next(self._next)
        if takes_s > timeout_s:
            takes_s, what = timeout_s, CallTimeout("too slow")
        self.clock.now += takes_s
        self.seen.append((request, timeout_s, what))
        if isinstance(what, FlairError):
            raise what
        finish = what if what in ("refusal", "length") else "stop"
        return Completion(GOOD if what == "good" else "{}", USAGE, "scripted", finish)  # type: ignore[arg-type]

    async def close(self) -> None: ...


async def ask(provider: Scripted, queue_s: float = 0.0, seed: int = 1, patience: Patience = PATIENCE) -> Verdict:
    asker = Asker(provider, Queue(provider.clock, queue_s), patience, provider.clock)
    asker._rng = random.Random(seed)  # noqa: S311  # repeatable, not secret
    return await asker.ask(Analyze(), None, VIDEO, lambda: None)


waits = st.one_of(st.none(), st.just(0.0), st.floats(0.01, 120))
what = st.one_of(
    st.sampled_from(["good", "malformed", "malformed", "refusal", "length"]),
    st.builds(RateLimited, st.just("429"), waits),
    st.builds(ServerTrouble, st.just("500"), waits),
    st.sampled_from([ConnectionLost("cut"), CallTimeout("slow"), BadRequest("no"), *FATAL]),
)
scripts = st.lists(st.tuples(st.floats(0, 40), what), min_size=1, max_size=12)


@given(scripts, st.integers(0, 1000))
async def test_every_item_ends_within_its_time_and_is_counted_right(acts: list[Act], seed: int) -> None:
    clock = Clock()
    provider = Scripted(clock, acts)
    raised, verdict = None, None
    try:
        verdict = await ask(provider, seed=seed)
    except FlairError as err:
        raised = err
    came = [w for _, _, w in provider.seen]
    assert clock.held == 0
    assert clock.now - 1_000.0 <= PATIENCE.item_deadline_s + 1e-6
    assert all(0 < timeout_s <= PATIENCE.call_timeout_s for _, timeout_s, _ in provider.seen)
    assert [w for w in came if w in FATAL] == ([raised] if raised else [])
    if verdict is None:
        assert came[-1] is raised
        return
    limited = sum(isinstance(w, RateLimited) for w in came)
    answers = sum(isinstance(w, str) for w in came)
    good = came[-1] == "good"
    reasks = sum(w in ("malformed", "length") for w in came[:-1])
    assert verdict.tally == CallTally(
        calls=len(came),
        failed=len(came) - limited - good,
        retries=len(clock.slept),
        reasks=reasks,
        rejected_429=limited,
        usage=Usage(100 * answers, 0, 10 * answers, 0),
    )
    assert reasks <= 1
    assert len(came) == 1 + reasks + len(clock.slept)
    assert sum(isinstance(w, FlairError) for w in came) - limited <= PATIENCE.max_attempts
    assert isinstance(verdict.outcome, Done if good else Skipped)
    assert "good" not in came[:-1]


@given(scripts, st.integers(0, 1000))
async def test_a_question_is_asked_the_same_until_it_is_asked_again(acts: list[Act], seed: int) -> None:
    """The re-ask shows what was wrong, and stays with the question through later retries."""
    provider = Scripted(Clock(), acts)
    try:
        await ask(provider, seed=seed)
    except FlairError:
        pass
    plain = Analyze().request(None, VIDEO)
    wrong = next((n for n, (_, _, w) in enumerate(provider.seen) if w in ("malformed", "length")), len(provider.seen))
    assert all(request == plain for request, _, _ in provider.seen[: wrong + 1])
    for request, _, _ in provider.seen[wrong + 1 :]:
        assert replace(request, reask=None) == plain
        assert request.reask is not None
        assert request.reask.reason


@given(scripts, st.floats(0, 1e6), st.integers(0, 1000))
async def test_our_own_queue_costs_an_item_no_time(acts: list[Act], queue_s: float, seed: int) -> None:
    """The last of ten thousand items waits an hour for its turn; what the provider does decides, as for the first."""

    async def outcome(wait_s: float) -> object:
        try:
            return (await ask(Scripted(Clock(), acts), wait_s, seed)).outcome
        except FlairError as err:
            return type(err)

    assert await outcome(queue_s) == await outcome(0.0)


@pytest.mark.parametrize("retry_after_s", [None, 0.0])
async def test_a_streak_of_429s_is_met_with_growing_patience(retry_after_s: float | None) -> None:
    """ "Retry after 0" is no leave to hammer: 90 s of refusals are a few dozen calls and not thousands."""
    provider = Scripted(Clock(), [(0.0, RateLimited("429", retry_after_s))])
    verdict = await ask(provider)
    assert isinstance(verdict.outcome, Skipped)
    assert verdict.tally.calls == verdict.tally.rejected_429 <= 60
    assert max(provider.clock.slept) > 4


async def test_a_429_uses_up_no_attempt() -> None:
    refusals: list[Act] = [(0.0, RateLimited("429", 1.0))] * 10
    verdict = await ask(Scripted(Clock(), list(chain(refusals, [(1.0, "good")]))))
    assert isinstance(verdict.outcome, Done)
    assert (verdict.tally.rejected_429, verdict.tally.failed) == (10, 0)


async def test_what_a_server_asks_for_is_granted_and_not_much_more() -> None:
    provider = Scripted(Clock(), [(0.0, RateLimited("429", 8.0)), (0.0, ServerTrouble("503", 4.0)), (0.0, "good")])
    await ask(provider)
    assert 8.0 <= provider.clock.slept[0] <= 10.0
    assert 4.0 <= provider.clock.slept[1] <= 5.0


async def test_a_wait_that_cannot_be_sat_out_is_not_begun() -> None:
    provider = Scripted(Clock(), [(0.0, RateLimited("429", 3_600.0))])
    verdict = await ask(provider)
    assert (len(provider.seen), provider.clock.slept) == (1, [])
    assert verdict.outcome == Skipped("429", 3)


async def test_a_provider_that_overstays_is_cut_off() -> None:
    """Some servers trickle: each byte in time, the answer never."""

    class Trickles(Scripted):
        async def complete(self, request: ChatRequest, timeout_s: float) -> Completion:
            import asyncio

            await asyncio.Event().wait()
            raise AssertionError

    patience = Patience(call_timeout_s=0.01, item_deadline_s=90.0, max_attempts=2)
    verdict = await ask(Trickles(Clock(), [(0.0, "good")]), patience=patience)
    assert isinstance(verdict.outcome, Skipped)
    assert (verdict.tally.calls, verdict.tally.failed) == (2, 2)


async def test_an_answer_that_cannot_be_encoded_is_a_wrong_answer() -> None:
    """A lone surrogate, as in an emoji that was cut in half."""

    class Halved(Scripted):
        async def complete(self, request: ChatRequest, timeout_s: float) -> Completion:
            await super().complete(request, timeout_s)
            return Completion('{"hook": "\ud83d"}', USAGE, "halved")

    provider = Halved(Clock(), [(0.0, "good")])
    verdict = await ask(provider)
    assert isinstance(verdict.outcome, Skipped)
    assert verdict.tally.reasks == 1
    shown = provider.seen[1][0].reask
    assert shown is not None
    assert shown.answer.encode() == b'{"hook": "?"}'


class Picky(Analyze):
    """Finds some of what comes back not quite right, in turn."""

    def __init__(self, *flaws: bool) -> None:
        self._flaws = iter(flaws)

    def parse(self, shared: None, item: Video, answer: BaseModel) -> Pattern:
        pattern = super().parse(shared, item, answer)
        if next(self._flaws):
            raise Flawed("Not like that.", replace(pattern, hook="flawed"))
        return pattern


@pytest.mark.parametrize(
    ("flaws", "acts", "hook", "tally"),
    [
        ((False,), ["good"], "Why does this happen?", (1, 0, 0)),
        ((True, False), ["good", "good"], "Why does this happen?", (2, 1, 1)),
        ((True, True), ["good", "good"], "flawed", (2, 1, 1)),
        ((True,), ["good", "malformed"], "flawed", (2, 2, 1)),
        ((True,), ["good", BadRequest("400")], "flawed", (2, 2, 1)),
    ],
    ids=["as it should be", "mended", "no better", "worse", "refused"],
)
async def test_an_answer_that_would_do_is_taken_when_asking_again_brings_none_that_is_better(
    flaws: tuple[bool, ...], acts: list[str | FlairError], hook: str, tally: tuple[int, int, int]
) -> None:
    clock = Clock()
    provider = Scripted(clock, [(1.0, act) for act in acts])
    verdict = await Asker(provider, Queue(clock), PATIENCE, clock).ask(Picky(*flaws), None, VIDEO, lambda: None)
    assert isinstance(verdict.outcome, Done)
    assert verdict.output.hook == hook
    assert verdict.answer == GOOD
    assert len(provider.seen) == len(acts)
    assert (verdict.tally.calls, verdict.tally.failed, verdict.tally.reasks) == tally
