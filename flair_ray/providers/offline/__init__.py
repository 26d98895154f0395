"""The provider that needs no key and no network: rules and phrase tables, not a language model.

It exists so that a first run, a test or a demonstration goes through the same port, schema and validation
as a real model, costs nothing and is the same everywhere. Each stage has one module: ``analyze`` (S1) reads
the transcript, ``write`` (S3) fills script plans with what the niche offers, ``vote`` (S4) scores texts by a
persona's habits, ``refine`` asks for edits and compares them, ``voice`` (S6) rewrites and plans shots. What they
know about words lies in the TOML files.

Invariants: deterministic in (seed, material) across processes; no I/O but reading its own tables once; any
text in, however odd, gives a valid answer. It alone reads ``ChatRequest.material``, and never the prompt,
so nothing said in a transcript can instruct it. Fails only with BadRequest, for material it has no rules for.
"""

from __future__ import annotations

from flair_ray.domain.answers import Answer
from flair_ray.domain.calls import ChatRequest, Completion, Usage
from flair_ray.domain.ids import StageName
from flair_ray.domain.scripts import ScriptSlot
from flair_ray.domain.videos import Video
from flair_ray.domain.work import (
    Comparer,
    ComparisonSheet,
    EditBrief,
    Placed,
    PollSheet,
    Request,
    VoiceBrief,
    Voter,
    WritingBrief,
)
from flair_ray.errors import BadRequest
from flair_ray.providers.offline.analyze import analyze
from flair_ray.providers.offline.refine import compare, propose
from flair_ray.providers.offline.voice import personalize
from flair_ray.providers.offline.vote import vote
from flair_ray.providers.offline.write import write_script

OFFLINE_MODEL = "offline-heuristic"


class OfflineProvider:
    """Implements ``ports.Provider`` without a model behind it."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed

    async def complete(self, request: ChatRequest, timeout_s: float) -> Completion:
        """A valid answer, at once. A re-ask gets the same answer: rules do not learn from being told.

        Raises BadRequest when there are no rules for this stage and material.
        """
        return Completion(self._answer(request).model_dump_json(), Usage(), OFFLINE_MODEL)

    async def check(self) -> None:
        """Nothing can be wrong with it."""

    async def close(self) -> None:
        """Holds nothing."""

    def _answer(self, request: ChatRequest) -> Answer:
        match request.stage, request.material:
            case StageName.S1, (_, Video() as video):
                return analyze(video)
            case StageName.S3, (WritingBrief() as brief, ScriptSlot() as slot):
                return write_script(brief, slot, self._seed)
            case StageName.S4, (PollSheet() as sheet, Voter() as voter):
                return vote(sheet, voter, self._seed)
            case StageName.R1, (EditBrief() as brief, Request() as asked):
                return propose(brief, asked, self._seed)
            case StageName.R2 | StageName.R3, (ComparisonSheet() as sheet, Comparer() as comparer):
                return compare(request.stage, sheet, comparer, self._seed)
            case StageName.S6, (VoiceBrief() as voice, Placed() as placed):
                return personalize(voice, placed, self._seed)
        raise BadRequest(
            f"The offline provider has no rules for {request.stage} with this material. It answers S1, S3, S4, S6 and "
            "refinements of the studio's own stages; choose another provider for anything else."
        )
