"""How a mock language model behaves: how slow, how limited, how unreliable.

One frozen value, checked when it is made, given as JSON to the server's process and changed over HTTP while the
server runs (``POST /config``). Anything that cannot be used is an InputError that names the option.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError, model_validator

from flair_ray.errors import InputError

_FIXED = frozenset({"host", "port", "seed"})
"""Belong to the start of a server; a running one cannot change them."""


class Tail(NamedTuple):
    """``share`` of the calls takes ``factor`` times as long; written SHARE:FACTOR."""

    share: Annotated[float, Field(ge=0, le=1)] = 0.0
    factor: Annotated[float, Field(ge=1, le=1_000)] = 1.0

    def __str__(self) -> str:
        return f"{self.share:g}:{self.factor:g}"


def _parts(value: object) -> object:
    if not isinstance(value, str):
        return value
    share, _, factor = value.partition(":")
    try:
        return float(share), float(factor)
    except ValueError:
        raise ValueError(f"must be SHARE:FACTOR, such as 0.05:10, not {value!r}") from None


Share = Annotated[float, Field(ge=0, le=1, strict=True)]


class MockOptions(BaseModel):
    """Raises InputError when an option is unknown or out of bounds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    port: int = Field(0, ge=0, le=65_535, strict=True)
    """0 takes a free one."""
    host: str = Field("127.0.0.1", min_length=1)
    latency_s: float = Field(1.0, ge=0, le=3_600, strict=True)
    """Seconds from a request's arrival to its answer."""
    jitter: Share = 0.0
    """Latency varies evenly by plus or minus this fraction of itself."""
    tail: Annotated[Tail, BeforeValidator(_parts), PlainSerializer(str)] = Tail()
    max_in_flight: int | None = Field(None, ge=1, le=1_000_000, strict=True)
    rpm: int | None = Field(None, ge=1, le=100_000_000, strict=True)
    """Requests per minute, as a token bucket that holds one second's worth (at least one request)."""
    fail: Share = 0.0
    """Share of the calls that get a 500."""
    malformed: Share = 0.0
    """Share of the calls that get an answer which does not fit its schema."""
    seed: int = Field(0, ge=0, lt=2**63, strict=True)

    def __init__(self, **given: Any) -> None:
        try:
            super().__init__(**given)
        except ValidationError as err:
            first = err.errors(include_url=False)[0]
            raise InputError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}.") from None

    @model_validator(mode="after")
    def _shares_of_the_same_calls(self) -> MockOptions:
        if self.fail + self.malformed > 1:
            raise InputError("fail and malformed are shares of the same calls: together they must be at most 1.")
        return self

    def changed(self, changes: Mapping[str, Any]) -> MockOptions:
        """These options with some replaced. Raises InputError, also for what is fixed at the start."""
        if fixed := sorted(_FIXED & changes.keys()):
            raise InputError(f"{fixed[0]!r} belongs to the start of a server and cannot be changed.")
        return MockOptions(**{**self.model_dump(), **changes})
