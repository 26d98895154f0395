"""One item of a map stage: from its question to an outcome, whatever the provider does meanwhile.

    ask ──▶ answer ──▶ valid? ──yes──▶ Done
     ▲         │          └──no──▶ one re-ask that shows the model its error, then Skipped
     └─ wait ◀─┴─ retryable failure: full jitter, Retry-After honoured, within the item's time

Every call that came to an end is counted, and its tokens when the provider told them, whether it helped or not;
one that was cut off by the death or stop of its worker is made again and not known to anyone.
A 429 uses up time but no attempt: the server took nothing. Nobody waits while holding a permit. An item's
time runs while the provider is asked or waited for and stands still while the item queues for a permit: the
last of ten thousand must not be out of time before its first call. An error that every other call would meet
too (``fatal``: a refused key, an unknown model) is raised, not recorded.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from pydantic import BaseModel, ValidationError

from flair_ray.domain.calls import CallTally, ChatRequest, Completion, Reask, Usage
from flair_ray.domain.codec import encode
from flair_ray.domain.work import Done, Skipped
from flair_ray.errors import (
    AnswerError,
    CallTimeout,
    InvalidAnswer,
    ProviderError,
    RateLimited,
    Refused,
    ServerTrouble,
    Truncated,
)
from flair_ray.flow.backoff import full_jitter
from flair_ray.ports import Clock, Limiter, MapStage, Provider

REASON_LENGTH = 300
"""Characters of a reason that are kept: reasons reach the event log and every viewer."""


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


@dataclass(slots=True)
class _Course:
    """How far one item has come."""

    left_s: float
    """Of its deadline."""
    tally: CallTally = field(default_factory=CallTally)
    reask: Reask | None = None
    failures: int = 0
    """Calls that are to be made again: what the waits grow with."""
    attempts: int = 0
    """Those of them that were no 429."""


class Asker:
    """Asks one provider under one limiter. Stateless but for its random waits."""

    def __init__(self, provider: Provider, limiter: Limiter, patience: Patience, clock: Clock) -> None:
        self._provider = provider
        self._limiter = limiter
        self._patience = patience
        self._clock = clock
        self._rng = random.Random()  # noqa: S311  # jitter, not a secret

    async def ask(
        self, stage: MapStage[Any, Any, Any], shared: object, item: object, on_start: Callable[[], None]
    ) -> Verdict:
        """The outcome of one item. Calls ``on_start`` whenever a permit is held. Raises fatal errors."""
        course = _Course(self._patience.item_deadline_s)
        question = partial(stage.request, shared, item)
        while True:
            completion: Completion | None = None
            try:
                form, completion = await self._call(question, course, on_start)
                output = stage.parse(shared, item, _checked(form, completion))
                course.tally += CallTally(calls=1, usage=completion.usage)
                return Verdict(Done(encode(output, stage.output)), output, course.tally)
            except AnswerError as err:
                if not _may_ask_again(err, completion, course):
                    return _given_up(err, course)
            except ProviderError as err:
                if err.fatal:
                    raise
                wait_s = self._wait_s(err, course)
                if wait_s is None:
                    return _given_up(err, course)
                await self._clock.sleep(wait_s)

    async def _call(
        self, question: Callable[[], ChatRequest], course: _Course, on_start: Callable[[], None]
    ) -> tuple[type[BaseModel], Completion]:
        """One call, and the form its answer must fit. The prompt is built here: items that queue need none yet."""
        async with self._limiter.permit():
            on_start()
            request = replace(question(), reask=course.reask)
            begun_s, timeout_s = self._clock.now_s(), min(self._patience.call_timeout_s, course.left_s)
            try:
                async with asyncio.timeout(timeout_s):  # whatever a server trickles, and however an adapter counts
                    return request.answer, await self._provider.complete(request, timeout_s)
            except TimeoutError:
                raise CallTimeout(f"No answer within {timeout_s:.0f} s.") from None
            finally:
                course.left_s -= self._clock.now_s() - begun_s

    def _wait_s(self, err: ProviderError, course: _Course) -> float | None:
        """Seconds until the call is made again; None when it is not to be."""
        limited = isinstance(err, RateLimited)
        course.tally += CallTally(calls=1, failed=int(not limited), rejected_429=int(limited))
        course.failures += 1
        course.attempts += not limited
        wait_s = full_jitter(course.failures, self._rng, _asked_wait(err))
        if not err.retryable or course.attempts >= self._patience.max_attempts or wait_s >= course.left_s:
            return None
        course.tally += CallTally(retries=1)
        course.left_s -= wait_s
        return wait_s


def _may_ask_again(err: AnswerError, completion: Completion | None, course: _Course) -> bool:
    """Whether the model gets to see what was wrong: once, and only where that can help."""
    course.tally += CallTally(calls=1, failed=1, usage=completion.usage if completion else Usage())
    if not err.reaskable or course.reask or course.left_s <= 0:
        return False
    said = completion.text.encode(errors="replace").decode() if completion else ""  # half an emoji cannot be sent back
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


def _asked_wait(err: ProviderError) -> float | None:
    return err.retry_after_s if isinstance(err, RateLimited | ServerTrouble) else None


def _given_up(err: ProviderError, course: _Course) -> Verdict:
    return Verdict(Skipped(str(err)[:REASON_LENGTH].replace("\n", " "), err.exit_code), None, course.tally)
