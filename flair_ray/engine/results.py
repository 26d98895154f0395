"""What came of a run, gathered from the store: complete or partial, while it runs or long after."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flair_ray.domain.codec import plain
from flair_ray.domain.ids import SIX, RunId, StageName
from flair_ray.domain.money import dollars
from flair_ray.domain.runs import RunOutline, RunSnapshot, RunSpec, RunStatus
from flair_ray.engine.loading import load_state
from flair_ray.engine.state import RunState
from flair_ray.errors import BudgetSpent
from flair_ray.ports import RunStore
from flair_ray.result import Cost, RunResult, Timing


async def gather_result(
    store: RunStore,
    run_id: RunId,
    *,
    begun_s: float | None = None,
) -> RunResult:
    """Everything the run has. Raises RunNotFound.

    ``begun_s``, seconds since the epoch, is when somebody began to wait for this run.
    """
    snapshot = await store.snapshot(run_id)
    state = await load_state(store, run_id, unfinished=True)
    finished = snapshot.finished_at_ms
    stopped = snapshot.status is RunStatus.COMPLETED and state.out_of_budget
    return RunResult(
        run_id=run_id,
        status=snapshot.status,
        spec=state.spec,
        videos=state.videos,
        personas=state.personas,
        patterns=state.patterns if state.has(StageName.S1) else (),
        library=state.library if state.has(StageName.S2) else None,
        scripts=state.scripts if state.has(StageName.S3) else (),
        ballots=state.ballots if state.has(StageName.S4) else (),
        ranking=state.ranking if state.has(StageName.S5) else None,
        results=state.finals if state.has(StageName.S6) else (),
        refinement=state.refinement,
        skipped=state.skipped,
        late_ballots=state.late_ballots,
        stages=snapshot.stages,
        timing=_timing(snapshot, begun_s),
        cost=cost_of(snapshot),
        completed_at=datetime.fromtimestamp(finished / 1000, UTC) if finished else None,
        out_dir=None,
        error=snapshot.error,
        exit_code=BudgetSpent.exit_code if stopped and not snapshot.exit_code else snapshot.exit_code,
        stopped_by="budget" if stopped else None,
        notices=_notices(state, cost_of(snapshot)),
    )


def _timing(snapshot: RunSnapshot, begun_s: float | None) -> Timing:
    per_stage = {name.value: c.elapsed_s for name, c in snapshot.stages.items() if c.elapsed_s is not None}
    begun, finished = snapshot.begun_at_ms, snapshot.finished_at_ms
    pipeline_s = (finished - begun) / 1000 if begun and finished else sum(per_stage.values())
    waited = begun / 1000 - begun_s if begun and begun_s else -1.0
    startup_s = round(waited, 3) if waited >= 0 else None  # a resumed run began before anyone waited this time
    return Timing(startup_s, round(pipeline_s, 3), per_stage)


def _notices(state: RunState, cost: Cost) -> tuple[str, ...]:
    notices = []
    if state.out_of_budget:
        left = ", ".join(f"{count} of {stage.value}" for stage, count in state.refused.items() if count)
        notices.append(f"The cap of {dollars(state.spec.money.max_usd)} was reached; not done: {left}.")
    for flawed in state.flawed.values():
        notices += [f"Script {item_id} stays, as no better one came: {reason}" for item_id, reason in flawed.items()]
    if cost.unsure_usd:
        notices.append(f"Up to {dollars(cost.unsure_usd)} more may be billed, for calls that brought no answer.")
    return tuple(notices)


def outline_of(snapshot: RunSnapshot) -> RunOutline:
    """What a list says of it."""
    spec = _spec(snapshot)
    return RunOutline(
        run_id=snapshot.run_id,
        status=snapshot.status,
        created_at_ms=snapshot.created_at_ms,
        current_stage=snapshot.current_stage,
        stages={name: counts.status for name, counts in snapshot.stages.items() if name in SIX},
        finished_at_ms=snapshot.finished_at_ms,
        error=snapshot.error,
        provider=spec.model.provider,
        model=spec.model.model,
        title=spec.profile.niche or spec.profile.tone,
    )


def row_of(outline: RunOutline) -> dict[str, Any]:
    """A run in a list, as plain JSON: quick to make, for lists are long."""
    return {
        "run_id": outline.run_id,
        "status": outline.status.value,
        "current_stage": outline.current_stage.value if outline.current_stage else None,
        "stages": {name.value: status for name, status in outline.stages.items()},
        "created_at_ms": outline.created_at_ms,
        "finished_at_ms": outline.finished_at_ms,
        "provider": outline.provider,
        "model": outline.model,
        "title": outline.title,
        "error": outline.error,
    }


def summary_of(snapshot: RunSnapshot) -> dict[str, Any]:
    """All of where a run stands, as plain JSON: what the API answers and what is kept of it for good."""
    spec = _spec(snapshot)
    names = (
        "num_videos",
        "num_scripts",
        "num_personas",
        "top_n",
        "seed",
        "cache",
        "profile",
        "limits",
        "feedback",
        "rigor",
        "refine",
    )
    return row_of(outline_of(snapshot)) | {
        "calls": snapshot.tally.calls,
        "session_id": snapshot.session_id,
        "begun_at_ms": snapshot.begun_at_ms,
        "recovering": snapshot.recovering,
        "stage_counts": {name.value: plain(counts) for name, counts in snapshot.stages.items()},
        "configuration": {name: plain(getattr(spec, name)) for name in names}
        | {"provider": spec.model.provider, "model": spec.model.model, "video_model": spec.video_model}
        | {"max_usd": spec.money.max_usd, "voter_model": spec.model_of(StageName.S4).model},
        "spend": {"calls": plain(snapshot.tally), "cost": plain(cost_of(snapshot))},
        "warnings": list(spec.warnings),
    }


def _spec(snapshot: RunSnapshot) -> RunSpec:
    assert snapshot.spec is not None  # noqa: S101  # the store's snapshots have it
    return snapshot.spec


def cost_of(snapshot: RunSnapshot) -> Cost:
    """What the calls so far have cost, where that is known."""
    if snapshot.spec is None or not snapshot.spec.money.known:
        return Cost(None, "the price of this model is not known")
    money, usd = snapshot.spec.money, 0.0
    for name, counts in snapshot.stages.items():
        if price := money.price_of(name):
            usd += price.usd(counts.tally.usage)
    basis = "; ".join(dict.fromkeys(map(str, (money.price, *money.stage_prices.values()))))
    unsure = [c.unsure_usd for c in snapshot.stages.values() if c.unsure_usd is not None]
    return Cost(usd, basis, sum(unsure) if unsure else None)
