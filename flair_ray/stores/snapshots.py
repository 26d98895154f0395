"""A run's hashes in Redis as a snapshot of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace

from pydantic_core import from_json

from flair_ray.domain.calls import CALL_COUNTS, CallTally, Usage
from flair_ray.domain.ids import SIX, RunId, StageName, told_as
from flair_ray.domain.money import MICROS
from flair_ray.domain.runs import NO_REQUEST, RunOutline, RunSnapshot, RunSpec, RunStatus, StageCounts


def read_snapshot(
    run_id: RunId,
    run: Mapping[str, str],
    budget: Mapping[str, str],
    counted: Sequence[tuple[StageName, Mapping[str, str], int]],
    spec: RunSpec,
) -> RunSnapshot:
    """From the run's hash, its budget's, and of each stage the tally and how many items have their result."""
    stage = run.get("stage")
    begun, finished = run.get(f"begun:{StageName.S1.value}"), run.get("finished_ms")
    return RunSnapshot(
        run_id=run_id,
        status=RunStatus(run["status"]),
        session_id=run["session"],
        created_at_ms=int(run["created_ms"]),
        current_stage=told_as(StageName(stage)) if stage else None,
        stages={
            name: replace(_stage_counts(name, run, tally, done), unsure_usd=_unsure_usd(name, run, budget, spec))
            for name, tally, done in counted
        },
        begun_at_ms=int(begun) if begun else None,
        finished_at_ms=int(finished) if finished else None,
        error=run.get("error"),
        exit_code=int(run.get("exit_code", 0)),
        spec=spec,
        recovering="recover" in run,
        request_id=run.get("request", NO_REQUEST),
    )


def read_outline(run_id: RunId, run: Mapping[str, str]) -> RunOutline:
    """From the run's hash alone. Its spec was checked when it was written, and is so long that checking it again would
    be most of the work."""
    spec = from_json(run["spec"])
    stage, finished = run.get("stage"), run.get("finished_ms")
    return RunOutline(
        run_id=run_id,
        status=RunStatus(run["status"]),
        created_at_ms=int(run["created_ms"]),
        current_stage=told_as(StageName(stage)) if stage else None,
        stages={name: _stage_status(name, run) for name in SIX},
        finished_at_ms=int(finished) if finished else None,
        error=run.get("error"),
        provider=spec["model"]["provider"],
        model=spec["model"]["model"],
        title=spec["profile"]["niche"] or spec["profile"]["tone"],
    )


def _unsure_usd(stage: StageName, run: Mapping[str, str], budget: Mapping[str, str], spec: RunSpec) -> float | None:
    """What is still reserved when a stage is over was lost with its worker."""
    if spec.money.purse(stage) is None:
        return None
    kept = ("unsure", "reserved") if f"ended:{stage.value}" in run else ("unsure",)
    return sum(int(budget.get(f"{name}:{stage.value}", 0)) for name in kept) / MICROS


def _stage_counts(stage: StageName, run: Mapping[str, str], tally: Mapping[str, str], completed: int) -> StageCounts:
    begun, ended = run.get(f"begun:{stage.value}"), run.get(f"ended:{stage.value}")
    total = int(run.get(f"total:{stage.value}", 0))
    return StageCounts(
        status=_stage_status(stage, run),
        total=total,
        completed=total if ended and not completed else completed,
        skipped=int(tally.get("skipped", 0)),
        elapsed_s=(int(ended) - int(begun)) / 1000 if begun and ended else None,
        tally=_tally(tally),
    )


def _stage_status(stage: StageName, run: Mapping[str, str]) -> str:
    if f"ended:{stage.value}" in run:
        return "completed"
    return "running" if f"begun:{stage.value}" in run else "pending"


def _tally(stored: Mapping[str, str]) -> CallTally:
    def count(name: str) -> int:
        return int(stored.get(name, 0))

    return CallTally(
        **{name: count(name) for name in CALL_COUNTS}, usage=Usage(*(count(f.name) for f in fields(Usage)))
    )
