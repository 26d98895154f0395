"""One item of a map stage: from its question to an outcome, whatever the provider does meanwhile.

    ask ──▶ answer ──▶ valid? ──yes──▶ Done
     ▲         │          └──no──▶ one re-ask that shows the model its error, then Skipped
     └─ wait ◀─┴─ retryable failure: full jitter, Retry-After honoured, within the item's time

Every call that was sent is counted, and its tokens when the provider told them, whether it helped or not.
A 429 uses up time but no attempt: the server took nothing. Nobody waits while holding a permit. An item's
time runs while the provider is asked or waited for and stands still while the item queues for a permit: the
last of ten thousand must not be out of time before its first call. An error that every other call would meet
too (``fatal``: a refused key, an unknown model) is raised, not recorded.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from flair_ray.domain.calls import CallTally, ChatRequest, Completion, Reask
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


@dataclass(slots=True)
class _Time:
    """What an item has left of its deadline, seconds."""

    left_s: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of an item."""

    outcome: Done | Skipped
    output: Any
    """The parsed output of a Done, None of a Skipped."""
    tally: CallTally


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
        """The outcome of one item. Calls ``on_start`` when the first permit is held. Raises fatal errors."""
        request = stage.request(shared, item)
        time = _Time(self._patience.item_deadline_s)
        tally = CallTally()
        failures = attempts = 0
        while True:
            completion: Completion | None = None
            try:
                completion = await self._call(request, time, on_start)
                output = _checked(stage, shared, item, request, completion)
                tally += CallTally(calls=1, usage=completion.usage)
                return Verdict(Done(encode(output, stage.output)), output, tally)
            except AnswerError as err:
                tally += CallTally(calls=1, failed=1, usage=completion.usage if completion else CallTally().usage)
                if not err.reaskable or request.reask is not None or time.left_s <= 0:
                    return _given_up(err, tally)
                request = replace(request, reask=Reask(completion.text if completion else "", str(err)))
                tally += CallTally(reasks=1)
            except ProviderError as err:
                if err.fatal:
                    raise
                limited = isinstance(err, RateLimited)
                tally += CallTally(calls=1, failed=int(not limited), rejected_429=int(limited))
                failures += 1
                attempts += not limited
                wait_s = full_jitter(failures, self._rng, _asked_wait(err))
                if not err.retryable or attempts >= self._patience.max_attempts or wait_s >= time.left_s:
                    return _given_up(err, tally)
                tally += CallTally(retries=1)
                time.left_s -= wait_s
                await self._clock.sleep(wait_s)

    async def _call(self, request: ChatRequest, time: _Time, on_start: Callable[[], None]) -> Completion:
        async with self._limiter.permit():
            on_start()
            begun_s, timeout_s = self._clock.now_s(), min(self._patience.call_timeout_s, time.left_s)
            try:
                async with asyncio.timeout(timeout_s):  # whatever a server trickles, and however an adapter counts
                    return await self._provider.complete(request, timeout_s)
            except TimeoutError:
                raise CallTimeout(f"No answer within {timeout_s:.0f} s.") from None
            finally:
                time.left_s -= self._clock.now_s() - begun_s


def _checked(
    stage: MapStage[Any, Any, Any], shared: object, item: object, request: ChatRequest, completion: Completion
) -> Any:
    if completion.finish == "refusal":
        raise Refused("The model declined to answer.")
    if completion.finish == "length":
        raise Truncated("The answer was cut off at the output limit. Answer more briefly.")
    try:
        answer = request.answer.model_validate_json(completion.text)
    except ValidationError as err:
        raise InvalidAnswer(_in_words(err)) from None
    return stage.parse(shared, item, answer)


def _in_words(err: ValidationError) -> str:
    problems = (f"{'.'.join(map(str, e['loc'])) or 'answer'}: {e['msg']}" for e in err.errors(include_input=False))
    return ("The answer does not fit the schema: " + "; ".join(problems))[:REASON_LENGTH]


def _asked_wait(err: ProviderError) -> float | None:
    return err.retry_after_s if isinstance(err, RateLimited | ServerTrouble) else None


def _given_up(err: ProviderError, tally: CallTally) -> Verdict:
    return Verdict(Skipped(str(err)[:REASON_LENGTH].replace("\n", " "), err.exit_code), None, tally)
