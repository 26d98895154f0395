"""What a mock server lets in, what becomes of it, and what it counts.

Admission: at most ``max_in_flight`` calls at a time, and a token bucket for ``rpm``. The bucket holds one
second's worth of requests (at least one), starts full and fills continuously, so no window of t seconds
admits more than rpm/60·(t + 1) (or rpm/60·t + 1, where a second is worth less than a request). Refused
calls take no token.

Everything random is three draws per admitted call from one generator: the n-th call of a seed meets the
same luck whatever the other options are, so two settings can be compared call by call.

A product is tested against this file, so it shares no code with the product's own limiter.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field, fields

from flair_ray.testing.mock_faults import Fault
from flair_ray.testing.mock_options import MockOptions

_ROUNDING = 1e-9
"""Tokens: a caller who waits exactly as long as it was told must find a whole one."""


class TokenBucket:
    """``rpm`` requests per minute in the long run, one second's worth at once."""

    def __init__(self, rpm: int, now_s: float) -> None:
        self.rate = rpm / 60
        self.size = max(1.0, self.rate)
        self.tokens = self.size
        self._filled_s = now_s

    def wait_s(self, now_s: float) -> float:
        """Seconds until a whole token is there; 0 when one is."""
        self._fill(now_s)
        missing = 1 - self.tokens
        return missing / self.rate if missing > _ROUNDING else 0.0

    def take(self) -> None:
        self.tokens -= 1

    def resized(self, rpm: int, now_s: float) -> TokenBucket:
        """The same bucket at another rate: a change of limits is no gift of tokens."""
        self._fill(now_s)
        other = TokenBucket(rpm, now_s)
        other.tokens = min(self.tokens, other.size)
        return other

    def _fill(self, now_s: float) -> None:
        self.tokens = min(self.size, self.tokens + (now_s - self._filled_s) * self.rate)
        self._filled_s = now_s


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a call is not let in, and when it may come again."""

    reason: str
    retry_after_s: float


class Gate:
    """Lets calls in within the limits. Every ``enter`` that returns None is followed by one ``leave``."""

    def __init__(self, options: MockOptions, now_s: float) -> None:
        self.in_flight = 0
        self._options = options
        self._bucket = TokenBucket(options.rpm, now_s) if options.rpm else None

    def enter(self, now_s: float) -> Refusal | None:
        """None when the call is in; a refusal changes nothing."""
        limit = self._options.max_in_flight
        if limit is not None and self.in_flight >= limit:
            return Refusal(
                f"{self.in_flight} calls are in flight, {limit} are allowed", self._options.latency_s / limit
            )
        if self._bucket and (wait_s := self._bucket.wait_s(now_s)):
            return Refusal(f"more than {self._options.rpm} requests per minute", wait_s)
        if self._bucket:
            self._bucket.take()
        self.in_flight += 1
        return None

    def leave(self) -> None:
        self.in_flight -= 1

    def refill(self, now_s: float) -> None:
        """A full bucket, as at the start; calls in flight stay in flight."""
        self._bucket = TokenBucket(self._options.rpm, now_s) if self._options.rpm else None

    def change(self, options: MockOptions, now_s: float) -> None:
        """Other limits from now on; what is in flight stays, even above a lower limit."""
        self._options = options
        if options.rpm and self._bucket:
            self._bucket = self._bucket.resized(options.rpm, now_s)
        else:
            self.refill(now_s)


class Luck:
    """Latency of each call and what goes wrong with it, from one seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311  # repeatable, not secret

    def draw(self, options: MockOptions) -> tuple[float, Fault]:
        """Seconds this call takes, and what becomes of it."""
        sway, slow, end = self._random.random(), self._random.random(), self._random.random()
        latency_s = options.latency_s * (1 + options.jitter * (2 * sway - 1))
        if slow < options.tail.share:
            latency_s *= options.tail.factor
        if end < options.fail:
            return latency_s, Fault("500")
        return latency_s, Fault("malformed" if end < options.fail + options.malformed else "ok")


@dataclass(slots=True)
class Tally:
    """Counters since the last reset. Once nothing is in flight,
    ``calls = ok + rejected_429 + failed + bad_requests + abandoned``.
    """

    calls: int = 0
    """Every request that reached chat completions."""
    ok: int = 0
    rejected_429: int = 0
    """Over the limits, or told to by a script."""
    failed: int = 0
    """Injected failures: errors, unusable answers, cut connections."""
    bad_requests: int = 0
    """400: the request cannot be read, or its schema cannot be answered."""
    abandoned: int = 0
    """The client hung up before its answer."""
    peak_in_flight: int = 0
    by_stage: Counter[str] = field(default_factory=Counter)
    """Readable requests by stage, refused ones included."""
    repeated_prompts: int = 0
    """Admitted requests whose messages had been answered, were being answered, or had been abandoned before."""
    _asked: Counter[bytes] = field(default_factory=Counter)

    def ask(self, prompt_key: bytes) -> None:
        self.repeated_prompts += self._asked[prompt_key] > 0
        self._asked[prompt_key] += 1

    def fail(self, prompt_key: bytes) -> None:
        """Nothing came of this call: asking again is no repetition."""
        self.failed += 1
        self.forget(prompt_key)

    def forget(self, prompt_key: bytes) -> None:
        """As if it had not been asked."""
        self._asked[prompt_key] -= 1

    def as_json(self) -> dict[str, object]:
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "_asked"}
