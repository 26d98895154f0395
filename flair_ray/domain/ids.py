"""Names of things, as types, and how new ones are made."""

from __future__ import annotations

import hashlib
import re
import uuid
from enum import StrEnum
from typing import NewType

from flair_ray.errors import InputError

RunId = NewType("RunId", str)
VideoId = NewType("VideoId", str)
PersonaId = NewType("PersonaId", str)
ScriptId = NewType("ScriptId", str)
ItemId = NewType("ItemId", str)
"""Identifies one item of a map stage: a video, script or persona id, unique within its stage."""


LONGEST_RUN_ID = 64
_RUN_ID = re.compile(rf"[a-z0-9][a-z0-9_-]{{0,{LONGEST_RUN_ID - 1}}}")


class StageName(StrEnum):
    """The six stages, by the names that event logs and clients know them by, and the steps of a refinement."""

    S1 = "S1_MAP"
    """Analyze each video: one Video → one Pattern."""
    S2 = "S2_REDUCE"
    """Aggregate: all Patterns → one PatternLibrary."""
    S3 = "S3_SEQUENTIAL"
    """Generate: one slot of the allocation → one CandidateScript. A map; the name is historical."""
    S4 = "S4_MAP"
    """Vote: one Persona, all scripts → one Ballot."""
    S5 = "S5_REDUCE"
    """Rank: all Ballots → one Ranking."""
    R1 = "REFINE_PROPOSE"
    """Between S5 and S6, where it was asked for. Propose: one viewer whom a script left cold → one Edit."""
    R2 = "REFINE_CHOOSE"
    """Choose: one viewer, all edits of each script → one Preference."""
    R3 = "REFINE_JUDGE"
    """Judge: one viewer, each script without and with its edit, in one order → one Preference."""
    S6 = "S6_PERSONALIZE"
    """Personalize: one ranked script → one FinalScript."""


REFINING = (StageName.R1, StageName.R2, StageName.R3)
SIX = tuple(stage for stage in StageName if stage not in REFINING)
"""Those that every run has. Clients know no others, so the steps of a refinement are told by events of their own."""


def told_as(stage: StageName) -> StageName:
    """Where a run stands, for those who know six stages: a refinement goes on from the ranking."""
    return StageName.S5 if stage in REFINING else stage


def new_run_id() -> RunId:
    """A random UUID in its 36-character form."""
    return RunId(str(uuid.uuid4()))


def given_run_id(text: str) -> RunId:
    """A run id that somebody chose: it becomes a part of keys, folders and addresses. Raises InputError."""
    if not _RUN_ID.fullmatch(text):
        raise InputError(
            f"A run id is 1 to {LONGEST_RUN_ID} of a-z, 0-9, _ and -, a letter or digit first; not {text!r}."
        )
    return RunId(text)


def digest(*parts: str, length: int = 16) -> str:
    """The first ``length`` hex digits of SHA-256 over the parts, each preceded by its byte length.

    The length prefix keeps ("ab", "c") and ("a", "bc") apart.
    """
    state = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        state.update(len(data).to_bytes(8, "big") + data)
    return state.hexdigest()[:length]
