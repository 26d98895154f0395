"""One item of a map stage: from its question to an outcome, whatever the provider does meanwhile.

    ask ──▶ answer ──▶ valid? ──yes──▶ Done
     ▲         │          └──no──▶ one re-ask that shows the model its error, then Skipped, or Done with
     │         │                   the last answer that was only flawed
     └─ wait ◀─┴─ retryable failure: full jitter, Retry-After honoured, within the item's time

Every call that came to an end is counted, and its tokens when the provider told them, whether it helped or not;
one that was cut off by the death or stop of its worker is made again and not known to anyone.
A call that is overdue is sent a second time, beside the first (``flow/hedging.py``): the first answer is taken, the
other call is cut off. Before a call is sent there must be room for it in the run's budget.

A 429 uses up time but no attempt: the server took nothing. Nobody waits while holding a permit. An item's
time runs while the provider is asked or waited for and stands still while the item queues for a permit or for room
in the budget: the last of ten thousand must not be out of time before its first call. An error that every other call
would meet too (``fatal``: a refused key, an unknown model) is raised, not recorded.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from pydantic import BaseModel, ValidationError

from flair_ray.domain.calls import CallTally, ChatRequest, Completion, Reask, Usage
from flair_ray.domain.codec import encode
from flair_ray.domain.tokens import request_tokens
from flair_ray.domain.work import Done, Skipped
from flair_ray.errors import (
    AnswerError,
    BudgetSpent,
    CallTimeout,
    FlairError,
    Flawed,
    InvalidAnswer,
    ProviderError,
    RateLimited,
    Refused,
    Truncated,
)
from flair_ray.flow.backoff import full_jitter
from flair_ray.flow.hedging import Hedger
from flair_ray.flow.shielding import to_the_end
from flair_ray.ports import Budget, Clock, Limiter, MapStage, Permit, Provider
from flair_ray.telemetry.spans import Span, span

REASON_LENGTH = 300
"""Characters of a reason that are kept: reasons reach the event log and every viewer."""
ROOM_POLL_S = 0.25
"""How often a call that found no room in the budget looks again: calls in flight give back what they did not use."""

OpenSpan = Callable[[], AbstractContextManager[Span]]
_open_span = partial(span, "call")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long and how often to try."""

    call_timeout_s: float
    item_deadline_s: float
    max_attempts: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of an item."""

    outcome: Done | Skipped
    output: Any
    """The parsed output of a Done, None of a Skipped."""
    tally: CallTally
    answer: str | None = None
    """Of a Done, the model's words: what others may share."""


@dataclass(slots=True)
class _Course:
    """How far one item has come."""

    name: str
    """Of the item, for the budget."""
    left_s: float
    """Of its deadline, when the calls that are under way began."""
    begun_s: float | None = None
    """When they did; None while nothing is under way."""
    tally: CallTally = field(default_factory=CallTally)
    reask: Reask | None = None
    sent: int = 0
    failures: int = 0
    """Calls that are to be made again: what the waits grow with."""
    attempts: int = 0
    """Those of them that were no 429."""
    flawed: tuple[Any, str] | None = None
    """The last output that would do, and the model's words for it."""
    stopped: bool = False
    """Cancelled when an answer was there already: it is taken, and nothing more is asked."""


class Asker:
    """Asks one provider under one limiter and one budget. Stateless but for its random waits."""

    def __init__(
        self,
        provider: Provider,
        limiter: Limiter,
        patience: Patience,
        clock: Clock,
        budget: Budget | None = None,
        hedger: Hedger | None = None,
        open_span: OpenSpan = _open_span,
    ) -> None:
        self._provider = provider
        self._limiter = limiter
        self._patience = patience
        self._clock = clock
        self._budget = budget
        self._hedger = hedger
        self._open_span = open_span
        self._rng = random.Random()  # noqa: S311  # jitter, not a secret

    async def ask(
        self,
        stage: MapStage[Any, Any, Any],
        shared: object,
        item: object,
        on_start: Callable[[], None],
        name: str = "item",
        request: ChatRequest | None = None,
    ) -> Verdict:
        """The outcome of one item. Calls ``on_start`` whenever a call is about to be sent. Raises fatal errors.

        ``request``: the item's question, where the caller has it already.
        """
        course = _Course(name, self._patience.item_deadline_s)
        request = request or stage.request(shared, item)
        while not course.stopped:
            completion: Completion | None = None
            try:
                completion = await self._first_answer(replace(request, reask=course.reask), course, on_start)
                output = stage.parse(shared, item, _checked(request.answer, completion))
                course.tally += CallTally(calls=1, usage=completion.usage)
                return _done(stage, output, completion.text, course)
            except AnswerError as err:
                if not _may_ask_again(err, completion, course):
                    return _given_up(err, course, stage)
            except BudgetSpent as err:
                return _given_up(err, course, stage)
            except ProviderError as err:
                if err.fatal:
                    raise
                wait_s = self._wait_s(err, course)
                if wait_s is None:
                    return _given_up(err, course, stage)
                await self._clock.sleep(wait_s)
        raise asyncio.CancelledError

    async def _first_answer(self, request: ChatRequest, course: _Course, on_start: Callable[[], None]) -> Completion:
        """What the first of one or two equal calls brings; an error only when no call brings an answer."""
        overdue = asyncio.Event()
        ask = partial(self._call, request, course, on_start)
        try:
            if self._hedger is None:
                return await ask(overdue)
            return await self._raced(ask, overdue, course)
        finally:
            course.left_s, course.begun_s = self._left_s(course), None

    async def _raced(
        self,
        ask: Callable[[asyncio.Event | None], Coroutine[None, None, Completion]],
        overdue: asyncio.Event,
        course: _Course,
    ) -> Completion:
        first = asyncio.create_task(ask(overdue))
        late = asyncio.create_task(overdue.wait())
        calls = [first]
        try:
            await asyncio.wait({first, late}, return_when=asyncio.FIRST_COMPLETED)
            if not first.done():
                calls.append(asyncio.create_task(ask(None)))
                await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
                if not any(map(_succeeded, calls)):
                    await asyncio.wait(calls)  # one has failed: the other may yet bring an answer
            taken = next(filter(_succeeded, calls), first)
            for lost in calls:
                if lost is not taken and lost.done():
                    course.tally += _tally_of(lost.exception())
            return await taken
        except asyncio.CancelledError:
            for call in filter(_succeeded, calls):
                course.stopped = True
                return call.result()
            raise
        finally:
            late.cancel()
            await _cut_off(calls, course)

    async def _call(
        self,
        request: ChatRequest,
        course: _Course,
        on_start: Callable[[], None],
        overdue: asyncio.Event | None,
    ) -> Completion:
        """A hedge has no ``overdue``: nothing is sent a third time."""
        tokens = request_tokens(request)
        while True:
            async with self._limiter.permit(tokens) as permit:
                course.sent += 1
                call = f"{course.name}:{course.sent}"
                if self._budget is None or await self._budget.reserve(call, request):
                    on_start()
                    course.tally += CallTally(hedges=int(overdue is None))
                    return await self._sent(request, call, course, permit, overdue or asyncio.Event())
                permit.unused()
            await self._clock.sleep(ROOM_POLL_S)

    async def _sent(
        self, request: ChatRequest, call: str, course: _Course, permit: Permit, overdue: asyncio.Event
    ) -> Completion:
        course.begun_s = self._clock.now_s() if course.begun_s is None else course.begun_s
        timeout_s = min(self._patience.call_timeout_s, max(0.0, self._left_s(course)))
        watched = self._hedger.began(overdue) if self._hedger else None
        usage: Usage | None = None
        answered = False
        try:
            with self._open_span() as told:
                async with asyncio.timeout(timeout_s):  # whatever a server trickles, and however an adapter counts
                    completion = await self._provider.complete(request, timeout_s)
                told.note(
                    gen_ai__usage__input_tokens=completion.usage.input_tokens,
                    gen_ai__usage__output_tokens=completion.usage.output_tokens,
                )
            usage, answered = completion.usage, True
            permit.used(usage.input_tokens + usage.output_tokens)
            return completion
        except TimeoutError:
            raise CallTimeout(f"No answer within {timeout_s:.0f} s.") from None
        except ProviderError as err:
            usage = None if err.maybe_billed else Usage()
            raise
        except asyncio.CancelledError:
            course.tally += CallTally(calls=1)  # a hedge that came second; of a cancelled item nobody hears
            raise
        finally:
            if self._hedger and watched:
                self._hedger.ended(watched, answered=answered)
            if self._budget:
                await to_the_end(self._budget.settle(call, usage))

    def _left_s(self, course: _Course) -> float:
        return course.left_s - (self._clock.now_s() - course.begun_s if course.begun_s is not None else 0.0)

    def _wait_s(self, err: ProviderError, course: _Course) -> float | None:
        """Seconds until the call is made again; None when it is not to be."""
        course.tally += _tally_of(err)
        course.failures += 1
        course.attempts += not isinstance(err, RateLimited)
        wait_s = full_jitter(course.failures, self._rng, err.retry_after_s)
        if not err.retryable or course.attempts >= self._patience.max_attempts or wait_s >= course.left_s:
            return None
        course.tally += CallTally(retries=1)
        course.left_s -= wait_s
        return wait_s


async def _cut_off(calls: list[asyncio.Task[Completion]], course: _Course) -> None:
    """End calls and wait until they have given their permits back; a cancel meanwhile is heeded after that."""
    for call in calls:
        call.cancel()
    while pending := [call for call in calls if not call.done()]:
        try:
            await asyncio.wait(pending)
        except asyncio.CancelledError:
            course.stopped = True


def _succeeded(call: asyncio.Task[Completion]) -> bool:
    return call.done() and not call.cancelled() and call.exception() is None


def _tally_of(err: BaseException | None) -> CallTally:
    """What a call that brought no answer counts as. A budget's refusal was no call."""
    if not isinstance(err, ProviderError):
        return CallTally()
    limited = isinstance(err, RateLimited)
    return CallTally(calls=1, failed=int(not limited), rejected_429=int(limited))


def _may_ask_again(err: AnswerError, completion: Completion | None, course: _Course) -> bool:
    """Whether the model gets to see what was wrong: once, and only where that can help."""
    text, usage = (completion.text, completion.usage) if completion else ("", Usage())
    if isinstance(err, Flawed):
        course.flawed = err.output, text
    asks = err.reaskable and not course.reask and course.left_s > 0
    course.tally += CallTally(calls=1, failed=int(asks or not isinstance(err, Flawed)), usage=usage)
    if not asks:
        return False
    said = text.encode(errors="replace").decode()  # half an emoji cannot be sent back
    course.reask = Reask(said, str(err))
    course.tally += CallTally(reasks=1)
    return True


def _checked(form: type[BaseModel], completion: Completion) -> BaseModel:
    if completion.finish == "refusal":
        raise Refused("The model declined to answer.")
    if completion.finish == "length":
        raise Truncated("The answer was cut off at the output limit. Answer more briefly.")
    try:
        return form.model_validate_json(completion.text)
    except ValidationError as err:
        raise InvalidAnswer(_in_words(err)) from None


def _in_words(err: ValidationError) -> str:
    problems = (f"{'.'.join(map(str, e['loc'])) or 'answer'}: {e['msg']}" for e in err.errors(include_input=False))
    return ("The answer does not fit the schema: " + "; ".join(problems))[:REASON_LENGTH]


def _done(stage: MapStage[Any, Any, Any], output: Any, text: str, course: _Course) -> Verdict:
    return Verdict(Done(encode(output, stage.output)), output, course.tally, text)


def _given_up(err: FlairError, course: _Course, stage: MapStage[Any, Any, Any]) -> Verdict:
    if course.flawed:
        return _done(stage, *course.flawed, course)
    return Verdict(Skipped(str(err)[:REASON_LENGTH].replace("\n", " "), err.exit_code), None, course.tally)
