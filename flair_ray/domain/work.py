"""Units of work between the engine and the stages, and what becomes of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from flair_ray.domain.ids import ItemId
from flair_ray.domain.patterns import PatternLibrary
from flair_ray.domain.people import CreatorProfile, Persona
from flair_ray.domain.scripts import CandidateScript

S = TypeVar("S")
I = TypeVar("I")  # shared and item, as everywhere in the stages


@dataclass(frozen=True, slots=True)
class Work(Generic[S, I]):
    """What a map stage has to do: N items in a declared order, and what all of them share."""

    shared: S
    items: tuple[tuple[ItemId, I], ...]


@dataclass(frozen=True, slots=True)
class WritingBrief:
    """Shared by all items of S3: for whom to write, and what the collection taught."""

    profile: CreatorProfile
    library: PatternLibrary
    seed: int
    feedback: str = ""
    """What earlier results have taught; empty where that is nothing."""


@dataclass(frozen=True, slots=True)
class PollSheet:
    """Shared by all items of S4: the scripts, their neutral labels, and the balanced orders."""

    scripts: tuple[CandidateScript, ...]
    labels: tuple[str, ...]
    """labels[i] names scripts[i] to the voters: no rank, no order in it."""
    orders: tuple[tuple[int, ...], ...]
    """One permutation of script indices per block."""
    seed: int
    feedback: str = ""


@dataclass(frozen=True, slots=True)
class Voter:
    """One item of S4: who votes, and in which order the scripts are shown."""

    persona: Persona
    block: int
    record: float | None = None
    """How well it has predicted results so far."""


@dataclass(frozen=True, slots=True)
class VoiceBrief:
    """Shared by all items of S6."""

    profile: CreatorProfile
    seed: int


@dataclass(frozen=True, slots=True)
class Placed:
    """One item of S6: a script and where the vote put it."""

    script: CandidateScript
    rank: int
    score: float


@dataclass(frozen=True, slots=True)
class Done:
    """An item that has its result."""

    value: str
    """The stage's output as JSON."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """An item that will have no result, and why; counted as completed, never scored."""

    reason: str
    exit_code: int = 3
    """Of the error that caused it, should the whole stage fail for it."""


def dump_outcome(outcome: Done | Skipped) -> str:
    """The stored form: "+" and the JSON value, or "-", the exit code and the reason."""
    if isinstance(outcome, Done):
        return "+" + outcome.value
    return f"-{outcome.exit_code} {outcome.reason}"


def load_outcome(text: str) -> Done | Skipped:
    """The outcome in its stored form."""
    if text.startswith("+"):
        return Done(text[1:])
    code, _, reason = text[1:].partition(" ")
    return Skipped(reason, int(code))
