"""What came of a run, gathered from the store: complete or partial, while it runs or long after."""

from __future__ import annotations

from datetime import UTC, datetime

from flair_ray.domain.ids import RunId, StageName
from flair_ray.domain.runs import RunSnapshot
from flair_ray.engine.loading import load_state
from flair_ray.ports import RunStore
from flair_ray.result import Cost, RunResult, Timing

FREE = {"offline": "no language model was used"}


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
        skipped=state.skipped,
        late_ballots=state.late_ballots,
        stages=snapshot.stages,
        timing=_timing(snapshot, begun_s),
        cost=cost_of(snapshot),
        completed_at=datetime.fromtimestamp(finished / 1000, UTC) if finished else None,
        out_dir=None,
        error=snapshot.error,
        exit_code=snapshot.exit_code,
    )


def _timing(snapshot: RunSnapshot, begun_s: float | None) -> Timing:
    per_stage = {name.value: c.elapsed_s for name, c in snapshot.stages.items() if c.elapsed_s is not None}
    begun, finished = snapshot.begun_at_ms, snapshot.finished_at_ms
    pipeline_s = (finished - begun) / 1000 if begun and finished else sum(per_stage.values())
    waited = begun / 1000 - begun_s if begun and begun_s else -1.0
    startup_s = round(waited, 3) if waited >= 0 else None  # a resumed run began before anyone waited this time
    return Timing(startup_s, round(pipeline_s, 3), per_stage)


def cost_of(snapshot: RunSnapshot) -> Cost:
    """What the calls so far have cost, where that is known."""
    provider = snapshot.spec.model.provider if snapshot.spec else ""
    if provider in FREE:
        return Cost(0.0, FREE[provider])
    return Cost(None, "the price of this model is not known")
