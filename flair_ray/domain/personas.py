"""What is remembered of a persona from one run to the next, and its seat in a run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NewType

from flair_ray.domain.ballots import Ballot
from flair_ray.domain.codec import adapter
from flair_ray.domain.ids import RunId, ScriptId, digest
from flair_ray.domain.people import Persona
from flair_ray.domain.tenants import sharer

PersonaKey = NewType("PersonaKey", str)
"""Whose memory it is: by content, for the ids in users' own panels repeat."""
PAST_BALLOTS = 20
"""Ballots that are remembered of a persona, the last ones."""


@dataclass(frozen=True, slots=True)
class Seat:
    """One item of S4 as it travels: a worker has the rest from the persona pool."""

    key: PersonaKey


@dataclass(frozen=True, slots=True)
class PastBallot:
    """How a persona voted in an earlier run."""

    run_id: RunId
    top: tuple[ScriptId, ...]
    """Best first."""
    scored: tuple[ScriptId, ...] = ()
    """Scripts whose results have come in."""


@dataclass(frozen=True, slots=True)
class PersonaState:
    """A persona as it takes its seat in a run."""

    persona: Persona
    block: int
    """Which of the run's balanced orders it is shown."""
    past: tuple[PastBallot, ...] = ()
    """Oldest first."""
    scored: int = 0
    """Results that have come in for scripts it had ranked."""
    agreed: float = 0.0
    """The sum of how well it had predicted them, 0 to 1 each."""


def persona_key(persona: Persona, owner: str = "") -> PersonaKey:
    """Of who it is and for whom it votes: what it is told and how it did are nobody else's business.

    How much it counts in one panel is no part of that.
    """
    return PersonaKey(digest(adapter(Persona).dump_json(persona, exclude={"weight"}).decode(), owner, length=32))


def track_record(state: PersonaState) -> float | None:
    """How well it has predicted so far, on average; None while nothing is known."""
    return state.agreed / state.scored if state.scored else None


def ballots_by_key(
    personas: Iterable[Persona], ballots: Sequence[Ballot], session_id: str
) -> dict[PersonaKey, tuple[ScriptId, ...]]:
    """What each persona that has voted in a run of that session put first, second and so on."""
    keys = {persona.persona_id: persona_key(persona, sharer(session_id)) for persona in personas}
    return {keys[ballot.persona_id]: ballot.top for ballot in ballots}
