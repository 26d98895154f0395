"""What a run has so far: its inputs and the frozen outputs of the stages that are done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar, cast

from flair_ray.domain.ballots import Ballot
from flair_ray.domain.ids import ItemId, ScriptId, StageName
from flair_ray.domain.patterns import Pattern, PatternLibrary
from flair_ray.domain.people import Persona
from flair_ray.domain.ranking import RankedScript, Ranking, weights_of
from flair_ray.domain.refining import REFINED, Edit, Preference, Refinement, refinement, tried
from flair_ray.domain.rigor import Rigor, counted
from flair_ray.domain.runs import RunSpec
from flair_ray.domain.scripts import CandidateScript, FinalScript
from flair_ray.domain.videos import Video

T = TypeVar("T")


@dataclass(slots=True)
class RunState:
    """Grows stage by stage; each stage reads what earlier ones left. A map stage leaves one value per
    item that has a result, in the stage's item order; a reduce leaves one value."""

    spec: RunSpec
    videos: tuple[Video, ...]
    personas: tuple[Persona, ...]
    outputs: dict[StageName, tuple[object, ...]] = field(default_factory=dict)
    skipped: dict[StageName, Mapping[ItemId, str]] = field(default_factory=dict)
    missing: dict[StageName, int] = field(default_factory=dict)
    """Per map stage, how many items were neither used nor given up when it moved on: its stragglers."""
    late: dict[StageName, tuple[object, ...]] = field(default_factory=dict)
    """What stragglers brought after their stage had moved on: kept, shown, and used for nothing."""
    flawed: dict[StageName, Mapping[ItemId, str]] = field(default_factory=dict)
    """Outputs that are used though they have a fault: no better one came."""
    refused: dict[StageName, int] = field(default_factory=dict)
    """Per map stage, how many items the run's cap left no room for."""

    @property
    def patterns(self) -> tuple[Pattern, ...]:
        return cast("tuple[Pattern, ...]", self._all(StageName.S1))

    @property
    def library(self) -> PatternLibrary:
        return cast("PatternLibrary", self._all(StageName.S2)[0])

    @property
    def scripts(self) -> tuple[CandidateScript, ...]:
        return cast("tuple[CandidateScript, ...]", self._all(StageName.S3))

    @property
    def cast(self) -> tuple[Ballot, ...]:
        """All ballots that came in time, those that only a careful run asks for included."""
        return cast("tuple[Ballot, ...]", self._all(StageName.S4))

    @property
    def ballots(self) -> tuple[Ballot, ...]:
        """Those that count."""
        return self._counted(self.cast)

    @property
    def late_ballots(self) -> tuple[Ballot, ...]:
        return self._counted(cast("tuple[Ballot, ...]", self.late.get(StageName.S4, ())))

    def _counted(self, ballots: tuple[Ballot, ...]) -> tuple[Ballot, ...]:
        if self.spec.rigor is Rigor.STANDARD:
            return ballots
        return counted(ballots, {persona.persona_id for persona in self.personas})

    @property
    def ranking(self) -> Ranking:
        return cast("Ranking", self._all(StageName.S5)[0])

    @property
    def top(self) -> tuple[RankedScript, ...]:
        """The rows that are personalized: the best N, or all when there are fewer."""
        return self.ranking.top(self.spec.top_n)

    @property
    def asked(self) -> tuple[ScriptId, ...]:
        """The scripts for which a refinement asks for edits."""
        return tuple(row.script_id for row in self.top[:REFINED])

    @property
    def edits(self) -> tuple[Edit, ...]:
        return cast("tuple[Edit, ...]", self._all(StageName.R1))

    @property
    def pairs(self) -> tuple[tuple[CandidateScript, CandidateScript], ...]:
        """Each script that has an edit, as it was and with the one that is tried."""
        was = {script.script_id: script for script in self.scripts}
        return tuple((was[edit.script_id], edit.script) for edit in tried(self.edits, self._preferences(StageName.R2)))

    @property
    def refinement(self) -> Refinement | None:
        """What came of asking for edits; None where nobody was asked, or the panel has not judged yet."""
        if not self.has(StageName.R3):
            return None
        choices, verdicts = self._preferences(StageName.R2), self._preferences(StageName.R3)
        return refinement(self.asked, self.edits, choices, verdicts, weights_of(self.personas))

    @property
    def edited(self) -> Mapping[ScriptId, CandidateScript]:
        """The scripts that are clearly better with an edit, with it."""
        found = self.refinement
        return found.edited if found else {}

    def _preferences(self, stage: StageName) -> tuple[Preference, ...]:
        return cast("tuple[Preference, ...]", self._all(stage))

    @property
    def finals(self) -> tuple[FinalScript, ...]:
        return cast("tuple[FinalScript, ...]", self._all(StageName.S6))

    @property
    def out_of_budget(self) -> bool:
        return any(self.refused.values())

    def has(self, stage: StageName) -> bool:
        return stage in self.outputs

    def _all(self, stage: StageName) -> tuple[object, ...]:
        return self.outputs[stage]
