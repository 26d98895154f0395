"""How a mock language model behaves: how slow, how limited, how unreliable.

One frozen value, checked when it is made, given on the command line and changed over HTTP while the
server runs (``POST /config``). Anything that cannot be used is an InputError that names the option.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from flair_ray.errors import InputError

_BOUNDS: Mapping[str, tuple[int, int]] = {
    "port": (0, 65_535),
    "latency_s": (0, 3_600),
    "jitter": (0, 1),
    "max_in_flight": (1, 1_000_000),
    "rpm": (1, 100_000_000),
    "fail": (0, 1),
    "malformed": (0, 1),
    "seed": (0, 2**63 - 1),
}
_WHOLE = frozenset({"port", "max_in_flight", "rpm", "seed"})
_OPTIONAL = frozenset({"max_in_flight", "rpm"})
_FIXED = frozenset({"host", "port", "seed"})
"""Belong to the start of a server; a running one cannot change them."""


@dataclass(frozen=True, slots=True)
class Tail:
    """``share`` of the calls takes ``factor`` times as long."""

    share: float = 0.0
    factor: float = 1.0

    def __str__(self) -> str:
        return f"{self.share:g}:{self.factor:g}"


@dataclass(frozen=True, slots=True)
class MockOptions:
    """Raises InputError when an option is out of bounds."""

    port: int = 0
    """0 takes a free one."""
    host: str = "127.0.0.1"
    latency_s: float = 1.0
    """Seconds from a request's arrival to its answer."""
    jitter: float = 0.0
    """Latency varies evenly by plus or minus this fraction of itself."""
    tail: Tail = Tail()
    max_in_flight: int | None = None
    rpm: int | None = None
    """Requests per minute, as a token bucket that holds one second's worth (at least one request)."""
    fail: float = 0.0
    """Share of the calls that get a 500."""
    malformed: float = 0.0
    """Share of the calls that get an answer which does not fit its schema."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name in _BOUNDS:
            _check(name, getattr(self, name))
        _check_tail(self.tail)
        if not isinstance(self.host, str) or not self.host:
            raise InputError(f"host must be an address such as 127.0.0.1, not {self.host!r}.")
        if self.fail + self.malformed > 1:
            raise InputError("fail and malformed are shares of the same calls: together they must be at most 1.")

    def changed(self, changes: Mapping[str, Any]) -> MockOptions:
        """These options with some replaced. Raises InputError for one that is unknown or fixed at the start."""
        known = {f.name for f in fields(self)} - _FIXED
        if unknown := sorted(set(changes) - known):
            raise InputError(f"{unknown[0]!r} cannot be changed; these can: {', '.join(sorted(known))}.")
        tail = changes.get("tail", self.tail)
        return replace(self, **{**changes, "tail": parse_tail(tail) if isinstance(tail, str) else tail})

    def as_json(self) -> dict[str, object]:
        """Every option by name, the tail as SHARE:FACTOR."""
        return {**asdict(self), "tail": str(self.tail)}

    def as_arguments(self) -> list[str]:
        """The command line that gives these options."""
        given = {name: value for name, value in self.as_json().items() if value is not None}
        return [text for name, value in given.items() for text in (f"--{name.replace('_', '-')}", str(value))]


def parse_tail(text: str) -> Tail:
    """ "0.05:10" → a Tail. Raises InputError."""
    share, _, factor = text.partition(":")
    try:
        return Tail(float(share), float(factor))
    except ValueError:
        raise InputError(f"tail must be SHARE:FACTOR, such as 0.05:10, not {text!r}.") from None


def _check(name: str, value: float | None) -> None:
    low, high = _BOUNDS[name]
    if value is None and name in _OPTIONAL:
        return
    wrong_kind = isinstance(value, bool) or not isinstance(value, int if name in _WHOLE else (int, float))
    if value is None or wrong_kind or not low <= value <= high:
        kind = "a whole number" if name in _WHOLE else "a number"
        raise InputError(f"{name} must be {kind} from {low} to {high:,}, not {value!r}.")


def _check_tail(tail: object) -> None:
    if not isinstance(tail, Tail) or not (0 <= tail.share <= 1 and 1 <= tail.factor <= 1_000):
        raise InputError(f"tail needs a share from 0 to 1 and a factor from 1 to 1000, such as 0.05:10, not {tail}.")
