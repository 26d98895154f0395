"""How far a panel itself is to be trusted: voters who are asked twice, and two scripts whose place is known beforehand.

With ``careful`` a third of the voters is asked again, as if new, under another of the balanced orders; and the sheet
has two scripts more: one of the others again, word for word, and one that nobody should like. None of it counts: both
are taken out of the ballots that do. The copy does not stand for its original, which would then have the better of two
places on the sheet, and of two judgements, where the others have one.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import replace
from enum import StrEnum
from math import ceil

from flair_ray.domain.ballots import Ballot
from flair_ray.domain.ids import PersonaId, ScriptId, digest
from flair_ray.domain.people import Persona
from flair_ray.domain.scripts import CandidateScript

AGAIN = " (asked again)"
ONE_IN = 3
COPY, DULL = ScriptId("control-copy"), ScriptId("control-dull")
DULL_SCRIPT = CandidateScript(
    script_id=DULL,
    pattern_used="control",
    hook="Today I would like to say a few words about a topic.",
    body="There are several things that one could say about it. Some of them are important and others are less so. "
    "It depends on the situation, and there are different opinions. One should consider all of them.",
    payoff="That was what I wanted to say about this topic. Thank you.",
    estimated_duration=20.0,
    structural_notes="",
)


class Rigor(StrEnum):
    """How much is spent on knowing whether the votes mean something."""

    STANDARD = "standard"
    CAREFUL = "careful"


def original(scripts: Sequence[CandidateScript], seed: int) -> CandidateScript:
    """The script that is on the sheet twice. At least one script."""
    return random.Random(f"control {seed}").choice(scripts)  # noqa: S311  # a seeded choice, not a secret


def controls(scripts: Sequence[CandidateScript], seed: int) -> tuple[CandidateScript, ...]:
    return replace(original(scripts, seed), script_id=COPY), DULL_SCRIPT


def replicates(personas: Sequence[Persona], seed: int) -> tuple[Persona, ...]:
    """One in three, under ids of their own; which ones is decided by lot."""
    by_lot = sorted(personas, key=lambda persona: digest("again", str(seed), persona.persona_id))
    chosen = sorted(by_lot[: ceil(len(by_lot) / ONE_IN)], key=lambda persona: persona.persona_id)
    return tuple(replace(persona, persona_id=PersonaId(persona.persona_id + AGAIN)) for persona in chosen)


def without_controls(top: Sequence[ScriptId]) -> tuple[ScriptId, ...]:
    """The scripts of a ballot that count, best first."""
    return tuple(script_id for script_id in top if script_id not in (COPY, DULL))


def counted(ballots: Sequence[Ballot], voters: Collection[PersonaId]) -> tuple[Ballot, ...]:
    """The ballots that count, of voters who were asked once or first; one with nothing but controls is none."""
    first = (ballot for ballot in ballots if ballot.persona_id in voters)
    cleaned = (replace(ballot, top=without_controls(ballot.top)) for ballot in first)
    return tuple(ballot for ballot in cleaned if ballot.top)
