"""The whole pipeline, as data: six steps, what each takes, what it leaves, what it tells.

    videos ─S1─▶ patterns ─S2─▶ library ─S3─▶ scripts ─S4─▶ ballots ─S5─▶ ranking ─S6─▶ final scripts
                                                                       └─R1─▶ edits ─R2─▶ one each ─R3─┘

R1 to R3, a refinement, are there where it was asked for. A map step is one model call per item and runs on workers; a
reduce step is a pure function and runs in the driver. The driver knows nothing of any stage but what stands here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flair_ray.domain import refining
from flair_ray.domain.events import EventDraft, EventName, Json
from flair_ray.domain.ids import ItemId, PersonaId, ScriptId, StageName
from flair_ray.domain.personas import PersonaKey, ballots_by_key
from flair_ray.domain.rigor import Rigor
from flair_ray.domain.runs import RunSpec
from flair_ray.domain.work import Work
from flair_ray.engine.state import RunState
from flair_ray.errors import InputError
from flair_ray.ports import MapStage, Provider
from flair_ray.stages import (
    refine_compare,
    refine_edit,
    s1_analyze,
    s2_aggregate,
    s3_generate,
    s4_vote,
    s5_rank,
    s6_personalize,
)

Tells = Callable[[RunState], EventDraft | None]
Outputs = Mapping[ItemId, Any]
Votes = Mapping[PersonaKey, tuple[ScriptId, ...]]


def _absent(run: RunState) -> set[PersonaId]:
    """Voters whose ballot has not come; not those that a careful run asks again."""
    asked = {persona.persona_id for persona in run.personas}
    return asked - {ballot.persona_id for ballot in run.ballots} - run.skipped[StageName.S4].keys()


def _nothing(_: RunState) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Redraw:
    """How a stage replaces what went wrong with some of its items: once, by further items."""

    faults: Callable[[RunState, Outputs], Mapping[ItemId, str]]
    """Outputs that had better not be used, each with the reason."""
    again: Callable[[Sequence[tuple[ItemId, Any]], Outputs, Sequence[ItemId]], tuple[tuple[ItemId, Any], ...]]
    """The further items, from all items, their outputs, and the ids of those that failed or have a fault."""


@dataclass(frozen=True, slots=True)
class MapStep:
    """One model call per item. ``stage`` and ``work`` agree on the types of shared and item."""

    stage: MapStage[Any, Any, Any]
    work: Callable[[RunState], Work[Any, Any]]
    tells: Tells = _nothing
    quorum: bool = True
    """Whether the stage may move on without its stragglers."""
    votes: Callable[[RunState], Votes] | None = None
    """Where its items are voters, whose states the persona pool holds: what it is to remember of them."""
    stand_in: Callable[[Any, Any, str], object] | None = None
    """What takes the place of an item's output when it is skipped, from what is shared, the item and the reason.
    Without one the item is left out, and too many left out fail the stage."""
    redraw: Redraw | None = None
    unusable: Callable[[RunState, Outputs], Mapping[ItemId, str]] | None = None
    """Outputs that count as skipped, each with the reason: where nothing can be put in their place."""
    extra: bool = False
    """Whether the run goes on however many of its items fail: what it brings is not needed."""

    @property
    def name(self) -> StageName:
        return self.stage.name


@dataclass(frozen=True, slots=True)
class ReduceStep:
    """One value from everything before it."""

    name: StageName
    compute: Callable[[RunState], object]
    tells: Tells = _nothing


Step = MapStep | ReduceStep


def _library_told(run: RunState) -> EventDraft:
    return EventDraft(
        EventName.S2_COMPLETE,
        {
            "pattern_count": len(run.library.entries),
            "patterns": [{"label": e.label, "support": e.support, "lift": e.lift} for e in run.library.entries],
            "quotes": run.library.quotes,
            "quotes_dropped": run.library.quotes_dropped,
        },
    )


def _scripts_told(run: RunState) -> EventDraft:
    ids = [s.script_id for s in run.scripts]
    left_out: dict[str, Json] = {str(i): reason for i, reason in run.skipped[StageName.S3].items()}
    return EventDraft(EventName.S3_COMPLETE, {"script_count": len(ids), "script_ids": list(ids), "left_out": left_out})


def _ranking_told(run: RunState) -> EventDraft:
    ids = [row.script_id for row in run.top]
    return EventDraft(EventName.S5_COMPLETE, {"top_ids": list(ids), "top_n": len(ids)})


def _refinement_told(run: RunState) -> EventDraft | None:
    found = run.refinement
    if found is None:
        return None
    told = ("script_id", "verdict", "share", "low", "high", "voters")
    trials: list[Json] = [{name: getattr(trial, name) for name in told} for trial in found.trials]
    return EventDraft(EventName.REFINE_RESULT, {"trials": trials, "untried": list(found.untried)})


PLAN: tuple[Step, ...] = (
    MapStep(
        s1_analyze.Analyze(),
        lambda run: s1_analyze.work(run.videos),
    ),
    ReduceStep(
        StageName.S2,
        lambda run: s2_aggregate.aggregate(run.patterns, run.videos),
        tells=_library_told,
    ),
    MapStep(
        s3_generate.Generate(),
        lambda run: s3_generate.work(
            run.library, run.spec.profile, run.spec.num_scripts, run.spec.seed, run.spec.feedback.s3
        ),
        tells=_scripts_told,
        redraw=Redraw(lambda run, scripts: s3_generate.faults(scripts, run.videos), s3_generate.again),
    ),
    MapStep(
        s4_vote.Vote(),
        lambda run: s4_vote.work(run.scripts, run.personas, run.spec.seed, run.spec.feedback.s4, run.spec.rigor),
        votes=lambda run: ballots_by_key(run.personas, run.ballots, run.spec.session_id),
    ),
    ReduceStep(
        StageName.S5,
        lambda run: s5_rank.rank(
            run.ballots,
            run.scripts,
            spoiled=len({p.persona_id for p in run.personas} & run.skipped[StageName.S4].keys()),
            late=len(_absent(run)),
            personas=run.personas,
            top_n=run.spec.top_n,
            seed=run.spec.seed,
            careful=run.cast if run.spec.rigor is Rigor.CAREFUL else (),
        ),
        tells=_ranking_told,
    ),
    MapStep(
        refine_edit.ProposeEdit(),
        lambda run: refine_edit.work(
            run.asked, run.scripts, run.ballots, run.personas, run.spec.profile, run.spec.seed
        ),
        unusable=lambda run, edits: refining.unusable(edits, run.videos),
        extra=True,
    ),
    MapStep(
        refine_compare.Choose(),
        lambda run: refine_compare.choosing(
            [[edit.script for edit in group] for group in refining.contested(run.edits)], run.personas, run.spec.seed
        ),
        extra=True,
    ),
    MapStep(
        refine_compare.Judge(),
        lambda run: refine_compare.judging(run.pairs, run.personas, run.spec.seed),
        tells=_refinement_told,
        extra=True,
    ),
    MapStep(
        s6_personalize.Personalize(),
        lambda run: s6_personalize.work(run.top, run.scripts, run.spec.profile, run.spec.seed, run.edited),
        quorum=False,  # the straggler may be the winner
        stand_in=s6_personalize.original,
    ),
)


def plan_of(spec: RunSpec) -> tuple[Step, ...]:
    """The steps of this run."""
    return tuple(step for step in PLAN if step.name in spec.stages)


MAP_STAGES: dict[StageName, MapStage[Any, Any, Any]] = {s.name: s.stage for s in PLAN if isinstance(s, MapStep)}
"""How a worker finds the stage that a job names."""


@dataclass(frozen=True, slots=True)
class Own:
    """What a caller has put in the place of the studio's own. It travels to the workers pickled."""

    provider: Provider | None = None
    stages: tuple[MapStage[Any, Any, Any], ...] = ()
    """Each takes the place of the one of its name, and leaves the same type."""

    @property
    def version(self) -> str:
        """In the place of that of the studio's prompts and answers, which nobody may mix with these; else empty."""
        return "own-stages" if self.stages else ""

    def all_stages(self) -> Mapping[StageName, MapStage[Any, Any, Any]]:
        """Raises InputError for one that takes the place of none."""
        if unknown := [stage.name for stage in self.stages if stage.name not in MAP_STAGES]:
            raise InputError(f"A stage of your own takes the place of {', '.join(MAP_STAGES)}, not of {unknown[0]}.")
        return {**MAP_STAGES, **{stage.name: stage for stage in self.stages}} if self.stages else MAP_STAGES


NOTHING_OWN = Own()
