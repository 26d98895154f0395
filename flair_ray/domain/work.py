"""Units of work between the engine and the stages, and what becomes of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from flair_ray.domain.ids import ItemId
from flair_ray.domain.labels import first_of
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
    owner: str = ""
    """For whom it votes and remembers: see ``domain.tenants.sharer``."""


@dataclass(frozen=True, slots=True)
class EditBrief:
    """Shared by all who are asked for an edit: whose script it is."""

    profile: CreatorProfile
    length: int
    """How many scripts a ballot names."""
    seed: int


@dataclass(frozen=True, slots=True)
class Request:
    """One viewer who is asked for an edit of one script."""

    persona: Persona
    script: CandidateScript
    place: int | None
    """Where this viewer's ballot has it; None: it does not name it."""


@dataclass(frozen=True, slots=True)
class ComparisonSheet:
    """Shared by all who compare versions of scripts: the groups, and the neutral labels of the places on the sheet."""

    groups: tuple[tuple[CandidateScript, ...], ...]
    """Per script its versions."""
    labels: tuple[tuple[str, ...], ...]
    """Per group one for each place. They stay where they are: no version keeps a label in all orders."""
    seed: int

    def shown(self, order: int) -> tuple[tuple[int, ...], ...]:
        """Per group its versions in the order of their places."""
        sizes = enumerate(map(len, self.groups))
        return tuple(tuple((first_of(at, order, size) + n) % size for n in range(size)) for at, size in sizes)


@dataclass(frozen=True, slots=True)
class Comparer:
    """Who compares, and in which of the sheet's orders."""

    persona: Persona
    order: int


@dataclass(frozen=True, slots=True)
class VoiceBrief:
    """Shared by all items of S6."""

    profile: CreatorProfile
    seed: int


@dataclass(frozen=True, slots=True)
class Placed:
    """One item of S6: a script and where the vote put it."""

    script: CandidateScript
    """With the edit that won it viewers, where there is one."""
    rank: int
    score: float
    voted: CandidateScript | None = None
    """As it was voted for, where that is another."""

    @property
    def original(self) -> CandidateScript:
        return self.voted or self.script


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
