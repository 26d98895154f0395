"""One call to a language model: what is asked, what comes back, what it cost.

A request is laid out for prefix caching: ``system`` and ``shared`` are byte-identical for all items
of a stage (or of an order block), ``varying`` comes last. The answer is JSON that fits ``answer``.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal

from flair_ray.domain.ids import StageName

if TYPE_CHECKING:
    from pydantic import BaseModel


Finish = Literal["stop", "length", "refusal"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call or of many. ``cached_tokens`` is a part of ``input_tokens``."""

    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    """Includes ``reasoning_tokens``."""
    reasoning_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Usage)))


@dataclass(frozen=True, slots=True)
class Reask:
    """What went wrong with the first answer, to be shown to the model once."""

    answer: str
    reason: str


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """Everything a provider needs for one answer."""

    stage: StageName
    system: str
    shared: str
    varying: str
    answer: type[BaseModel]
    """The model whose JSON schema the answer must fit."""
    material: object
    """The typed facts behind the prompt. Only the offline provider reads it; it never leaves the machine."""
    seed: int = 0
    max_output_tokens: int = 2048
    reask: Reask | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "shared", sys.intern(self.shared))  # thousands of items queue with one copy of it


@dataclass(frozen=True, slots=True)
class Completion:
    """An answer as text, not yet validated."""

    text: str
    usage: Usage
    model: str
    finish: Finish = "stop"
    """Why the model stopped: done, cut off at the token limit, or declined."""


@dataclass(frozen=True, slots=True)
class CallTally:
    """What one item took: every call that was sent counts, whether it helped or not."""

    calls: int = 0
    failed: int = 0
    """Calls that brought an error or an unusable answer."""
    retries: int = 0
    reasks: int = 0
    rejected_429: int = 0
    hedges: int = 0
    """Calls that were sent beside a slow one."""
    cache_hits: int = 0
    """Answers that another run had paid for."""
    usage: Usage = Usage()

    def __add__(self, other: CallTally) -> CallTally:
        return CallTally(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(CallTally)))


CALL_COUNTS = tuple(f.name for f in fields(CallTally) if f.name != "usage")
