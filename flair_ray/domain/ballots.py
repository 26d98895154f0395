"""One viewer's vote."""

from __future__ import annotations

from dataclasses import dataclass

from flair_ray.domain.ids import PersonaId, ScriptId

BALLOT_LENGTH = 5
"""A ballot ranks this many scripts, or all of them when there are fewer."""


@dataclass(frozen=True, slots=True)
class Ballot:
    """An ordered top k of distinct, known scripts, k = min(5, scripts)."""

    persona_id: PersonaId
    top: tuple[ScriptId, ...]
    """Best first."""
    order: tuple[ScriptId, ...]
    """The order in which all scripts were shown: kept, because position bias is measured from it."""
    block: int
    """Which of the balanced orders that was."""
    reaction: str = ""
    """One line in the viewer's words, written before voting."""
    record: float | None = None
    """How well this viewer had predicted results by then, 0 to 1; None while nothing is known."""
