"""Drives one run to an end: reads what is recorded, does the rest, and can be called again at any time.

    acquire lease ─▶ load state ─▶ for each step of the plan: begin ─▶ map or reduce ─▶ freeze ─▶ finish
                        ▲                                                    │
                        └───────────── another driver, any time later ◀──────┘ dies

One driver at a time holds the run's lease and its fencing token; the store refuses transitions under an older token.
A stage that has its quorum does not wait for its stragglers for long; what they bring is recorded while later stages
run (``round.py``). Completing a stage freezes which items later stages use, so that a late result changes nothing
that was decided, and a reduce that is computed again gives the same answer.

A run always ends: completed; failed, when too many items of a stage failed, a provider refuses everything, or
workers or its drivers keep dying; cancelled. Only this process's own death, loss of the lease or of Redis leaves it
open, and then ``drive`` by anybody goes on with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

from flair_ray.domain.events import EventDraft, EventName, Json, ends
from flair_ray.domain.ids import SIX, ItemId, RunId
from flair_ray.domain.personas import Seat, persona_key
from flair_ray.domain.runs import NO_REQUEST, RunSnapshot, RunStatus
from flair_ray.domain.tenants import sharer
from flair_ray.domain.work import Done, Skipped, Voter, Work
from flair_ray.engine.loading import Outcomes, best_of, keep_outputs, load_state, outputs_of
from flair_ray.engine.metering import LOOK_S, Meter
from flair_ray.engine.plan import MapStep, Redraw, Step, plan_of
from flair_ray.engine.round import Round, needed
from flair_ray.engine.state import RunState
from flair_ray.errors import (
    BudgetSpent,
    FlairError,
    InfrastructureError,
    LeaseLost,
    RunConflict,
    RunOutdated,
    ShardLost,
    StageFailed,
    StoreUnavailable,
)
from flair_ray.ports import Clock, Executor, Lease, Lost, Panel, RunStore, StageJob
from flair_ray.telemetry import logs, metrics, record, spans

log = logging.getLogger(__name__)

POLL_S = 1.0
"""How often a driver renews its lease and hears of a cancel, and how often a waiting one asks for the lease."""
MAX_TAKEN = 5
"""Times in a row that a host may take a run up and die before anything is recorded; the next one fails the run."""
MAX_LOSSES = 10
"""Workers that may die within one stage before the run fails: a broken cluster must not be fed for ever."""


@dataclass(frozen=True, slots=True)
class DriverSettings:
    """What the driver needs to know of the settings."""

    fingerprint_of: str
    """Version of everything outside a run's spec that decides answers: prompts and schemas."""
    lease_ttl_s: float
    stage_failure_share: float
    quorum: float
    """Share of a stage's items whose results it may move on with."""
    hedged_share: float
    """Extra calls a stage may spend on stragglers, as a share of its items."""


class Driver:
    """Drives runs, one ``drive`` call each; holds no state of any between calls."""

    def __init__(
        self, store: RunStore, executor: Executor, settings: DriverSettings, clock: Clock, panel: Panel
    ) -> None:
        self._store = store
        self._executor = executor
        self._settings = settings
        self._clock = clock
        self._panel = panel
        self._driving = 0

    async def drive(self, run_id: RunId, *, patient: bool = True, fail_outdated: bool = False) -> RunStatus:
        """Take the run to its end and return how it ended; a run that has completed is left as it is.

        ``patient``: wait for the lease of a driver that may be dead, and go on with a run however many died of it.
        ``fail_outdated``: a run that cannot be gone on with under these prompts is failed instead of left alone.

        Raises RunNotFound, RunConflict (driven by another), RunOutdated, LeaseLost and
        StoreUnavailable. Cancelling this coroutine leaves the run open, to be resumed.
        """
        before = await self._store.snapshot(run_id)
        if before.status is RunStatus.COMPLETED:
            return RunStatus.COMPLETED
        with logs.about(run_id=run_id, request_id=before.request_id):
            return await self._drive(run_id, patient=patient, fail_outdated=fail_outdated)

    async def _drive(self, run_id: RunId, *, patient: bool, fail_outdated: bool) -> RunStatus:
        lease = await self._take(run_id, self._settings.lease_ttl_s + POLL_S if patient else 0.0)
        meter = Meter()
        self._driving += 1
        in_vain = False
        try:
            with spans.span("run", flair__run_id=run_id) as span:
                status = await self._to_its_end(lease, meter, patient=patient, fail_outdated=fail_outdated)
                span.note(flair__status=status.value)
            with contextlib.suppress(FlairError):  # a figure that is missing is no reason to fail
                meter.end(await self._store.snapshot(run_id))
            return status
        except StoreUnavailable:
            in_vain = True  # where Redis refuses this run alone, it must not be taken up for ever
            raise
        finally:
            self._driving -= 1
            record.set_to(metrics.RUNS_ACTIVE, self._driving)
            with contextlib.suppress(InfrastructureError):
                await self._store.release(lease, in_vain=in_vain)

    async def _to_its_end(self, lease: Lease, meter: Meter, *, patient: bool, fail_outdated: bool) -> RunStatus:
        work = asyncio.create_task(self._attempt(lease, meter, patient=patient, fail_outdated=fail_outdated))
        watch = asyncio.create_task(self._watch(lease, meter))
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            await _stop(work)
            watch.result()  # raises LeaseLost; returns when a cancel was requested
            return await self._cancelled(lease)
        finally:
            await _stop(work)
            await _stop(watch)

    async def _take(self, run_id: RunId, wait_s: float) -> Lease:
        """The run's lease. A driver that died left its own behind: one time to live is enough to wait for."""
        ttl_s = self._settings.lease_ttl_s
        deadline_s = self._clock.now_s() + wait_s
        while True:
            try:
                return await self._store.acquire(run_id, ttl_s)
            except RunConflict:
                if self._clock.now_s() >= deadline_s:
                    raise
            await self._clock.sleep(POLL_S)

    async def _watch(self, lease: Lease, meter: Meter) -> None:
        """Keeps the lease alive and the figures up to date; returns when somebody asked for a cancel."""
        ttl_s = self._settings.lease_ttl_s
        looked_s = self._clock.now_s()
        while not await self._store.renew(lease, ttl_s):
            record.set_to(metrics.RUNS_ACTIVE, self._driving)
            if self._clock.now_s() - looked_s >= LOOK_S:
                looked_s = self._clock.now_s()
                meter.look(await self._store.snapshot(lease.run_id))
            await self._clock.sleep(min(POLL_S, ttl_s / 3))

    async def _cancelled(self, lease: Lease) -> RunStatus:
        stage = (await self._store.snapshot(lease.run_id)).current_stage
        draft = EventDraft(EventName.PIPELINE_CANCELLED, {"run_id": lease.run_id, "stage": stage})
        await self._store.finish(lease, RunStatus.CANCELLED, draft, exit_code=130)
        return RunStatus.CANCELLED

    async def _attempt(self, lease: Lease, meter: Meter, *, patient: bool, fail_outdated: bool) -> RunStatus:
        try:
            before = await self._store.snapshot(lease.run_id)
            if before.status is RunStatus.COMPLETED:
                return before.status  # by the driver whose lease we waited out
            meter.begin(before)
            if lease.taken > MAX_TAKEN and not patient:
                raise InfrastructureError(
                    f"This run was taken up {MAX_TAKEN} times in a row, and each time its driver died before anything "
                    f"was recorded: something in it may end processes. `flair resume {lease.run_id}` tries once more."
                )
            state = await load_state(self._store, lease.run_id, self._settings.fingerprint_of)
            if before.status is not RunStatus.PENDING:
                log.info("run goes on")
                await self._store.reopen(lease, _recovered(before))
            async with AsyncExitStack() as late:
                for step in plan_of(state.spec):
                    if not state.has(step.name):
                        await self._do(step, state, lease, late, retry_skipped=before.status is RunStatus.FAILED)
                    if isinstance(step, MapStep) and step.votes and (votes := step.votes(state)):
                        await self._panel.remember(lease.run_id, votes)
            draft = EventDraft(EventName.PIPELINE_COMPLETE, {"run_id": lease.run_id, "result_count": len(state.finals)})
            code = BudgetSpent.exit_code if state.out_of_budget else 0
            await self._store.finish(lease, RunStatus.COMPLETED, draft, exit_code=code)
        except RunOutdated as err:
            if not fail_outdated:
                raise
            return await self._failed(lease, err)
        except (LeaseLost, StoreUnavailable, RunConflict):
            raise  # nothing can, or may, be written about the run: it stays open
        except FlairError as err:
            return await self._failed(lease, err)
        except Exception as err:  # a bug of ours must not leave a run that never ends
            await self._failed(lease, InfrastructureError(f"An unexpected {type(err).__name__}; see the log."))
            raise
        return RunStatus.COMPLETED

    async def _failed(self, lease: Lease, err: FlairError) -> RunStatus:
        known = await self._store.snapshot(lease.run_id)
        stage = known.current_stage
        log.warning("run failed", extra={"run_id": lease.run_id, "stage": stage, "error": type(err).__name__})
        said: dict[str, Json] = {"stage": stage, "error": str(err), "recoverable": True}
        draft = EventDraft(EventName.PIPELINE_ERROR, said | _requested(known))
        await self._store.finish(lease, RunStatus.FAILED, draft, error=str(err), exit_code=err.exit_code)
        return RunStatus.FAILED

    async def _do(
        self, step: Step, state: RunState, lease: Lease, late: AsyncExitStack, *, retry_skipped: bool
    ) -> None:
        """One step. What a map leaves running for its stragglers goes to ``late``, and ends with the run."""
        with (
            logs.about(stage=step.name.value),
            spans.span(step.name.value, flair__run_id=lease.run_id, flair__stage=step.name.value),
        ):
            if isinstance(step, MapStep):
                await self._map(step, state, lease, late, retry_skipped=retry_skipped)
                return
            await self._store.begin_stage(lease, step.name, 1)
            state.outputs[step.name] = (await asyncio.to_thread(step.compute, state),)
            await self._complete(step, state, lease, [])

    async def _map(
        self, step: MapStep, state: RunState, lease: Lease, late: AsyncExitStack, *, retry_skipped: bool
    ) -> None:
        work = step.work(state)
        await self._store.begin_stage(lease, step.name, len(work.items))
        spec = state.spec
        job = StageJob(
            run_id=lease.run_id,
            session_id=spec.session_id,
            fingerprint=spec.fingerprint,
            stage=step.name,
            shared=work.shared,
            items=await self._seated(lease.run_id, work, sharer(spec.session_id)) if step.votes else work.items,
            total=len(work.items),
            model=spec.model_of(step.name),
            limits=spec.limits_of(step.name),
            share=spec.cache,
            purse=spec.money.purse(step.name),
            hedges=int(self._settings.hedged_share * len(work.items)),
            request_id=logs.known("request_id"),
            trace=spans.here(),
        )
        need = needed(len(work.items), self._settings.quorum if step.quorum else 1.0)
        outcomes = await self._fill(job, need, late, retry_skipped=retry_skipped)
        if step.redraw:
            outcomes, used = await self._redrawn(
                step, step.redraw, state, work, job, lease, late, outcomes, retry_skipped=retry_skipped
            )
        else:
            used = [item_id for item_id, _ in work.items if isinstance(outcomes.get(item_id), Done)]
        self._check_failures(step, outcomes, len(work.items))
        await asyncio.to_thread(keep_outputs, state, step, work, outcomes, used)
        frozen = await self._complete(step, state, lease, used)
        if list(frozen) != used:  # an earlier driver froze this stage: what it decided stands
            await asyncio.to_thread(keep_outputs, state, step, work, outcomes, frozen)

    async def _redrawn(
        self,
        step: MapStep,
        redraw: Redraw,
        state: RunState,
        work: Work[Any, Any],
        job: StageJob,
        lease: Lease,
        late: AsyncExitStack,
        outcomes: Outcomes,
        *,
        retry_skipped: bool,
    ) -> tuple[Outcomes, list[ItemId]]:
        """The outcomes, with those of further items in place of what failed or has a fault; and the items to use."""
        outputs = outputs_of(step, work, outcomes)
        flawed = await asyncio.to_thread(redraw.faults, state, outputs)
        bad = [i for i, _ in work.items if i in flawed or _failed(outcomes.get(i))]
        more = redraw.again(work.items, outputs, bad)
        if more:
            total = len(work.items) + len(more)
            await self._store.grow_stage(lease, step.name, total)
            need = len(outputs.keys() | dict(more).keys())
            job = replace(job, items=more, total=total, hedges=0)
            outcomes = await self._fill(job, need, late, retry_skipped=retry_skipped)
            outputs = outputs_of(step, work, outcomes)
            flawed = await asyncio.to_thread(redraw.faults, state, outputs)
        return outcomes, best_of(outputs, flawed, len(work.items))

    async def _seated(self, run_id: RunId, work: Work[Any, Voter], owner: str) -> tuple[tuple[ItemId, Seat], ...]:
        """The voters take their seats in the persona pool; only their names travel to the workers."""
        if work.items:
            await self._panel.seat(run_id, [replace(voter, owner=owner) for _, voter in work.items])
        return tuple((item_id, Seat(persona_key(voter.persona, owner))) for item_id, voter in work.items)

    async def _hedges_left(self, job: StageJob) -> int:
        """Of the stage's budget, after a lost worker or a resume too. Small stages have none, and no read for it."""
        if not job.hedges:
            return 0
        spent = (await self._store.snapshot(job.run_id)).stages[job.stage].tally.hedges
        return max(0, job.hedges - spent)

    async def _fill(self, job: StageJob, need: int, late: AsyncExitStack, *, retry_skipped: bool) -> Outcomes:
        """Outcomes of every item, or of as many as ``need`` after a grace, running those that have none."""
        losses, reason = 0, "unknown"
        while True:
            outcomes = await self._store.outcomes(job.run_id, job.fingerprint, job.stage)
            missing = [pair for pair in job.items if _is_open(outcomes.get(pair[0]), retry_skipped=retry_skipped)]
            if not missing:
                return outcomes
            if losses > MAX_LOSSES:
                raise ShardLost(
                    f"{job.stage.value} lost {losses} workers ({reason}); the cluster is not healthy. "
                    f"`flair resume {job.run_id}` goes on once it is."
                )
            retry_skipped = False
            done = sum(isinstance(outcome, Done) for outcome in outcomes.values())
            job_left = replace(job, items=tuple(missing), hedges=await self._hedges_left(job))
            underway = await late.enter_async_context(Round(self._executor, job_left, need - done, self._clock))
            if not await underway.over():
                return await self._store.outcomes(job.run_id, job.fingerprint, job.stage)
            for lost in underway.lost:
                reason = lost.reason
                await self._disown(lost)
            losses += max(1, len(underway.lost))  # a failover of Redis loses records and tells nobody

    async def _disown(self, lost: Lost) -> None:
        """What a dead worker had begun may be begun by another at once."""
        if lost.owner:
            await self._store.revoke(lost.owner)

    def _check_failures(self, step: MapStep, outcomes: Outcomes, asked: int) -> None:
        """Raises StageFailed where too many items failed; what was replaced is no failure."""
        skipped = [o for o in outcomes.values() if isinstance(o, Skipped) and _failed(o)]
        lacking = min(len(skipped), asked - sum(isinstance(o, Done) for o in outcomes.values()))
        if step.stand_in or step.extra or lacking <= 0:
            return
        if len(skipped) == len(outcomes) or lacking > self._settings.stage_failure_share * len(outcomes):
            reason, _ = Counter(o.reason for o in skipped).most_common(1)[0]
            code, _ = Counter(o.exit_code for o in skipped).most_common(1)[0]
            raise StageFailed(
                f"{step.name.value}: {len(skipped)} of {len(outcomes)} items failed, most often: {reason}",
                step.name.value,
                code,
            )

    async def _complete(self, step: Step, state: RunState, lease: Lease, used: Sequence[ItemId]) -> tuple[ItemId, ...]:
        told = step.tells(state)
        skipped = state.skipped.get(step.name, {})
        name, key = ends(step.name)
        done = EventDraft(
            name,
            {
                key: step.name.value,
                "used": sum(item_id not in skipped for item_id in used),
                "skipped": len(skipped),
                "late": state.missing.get(step.name, 0),
            },
        )
        return await self._store.complete_stage(lease, step.name, used, [told, done] if told else [done])


def _recovered(before: RunSnapshot) -> EventDraft:
    known = {s: c for s, c in before.stages.items() if c.total and s in SIX}
    kept: dict[str, Json] = {s.value: c.completed for s, c in known.items()}
    left: dict[str, Json] = {s.value: c.total - c.completed for s, c in known.items()}
    said: dict[str, Json] = {"run_id": before.run_id, "kept": kept, "left": left}
    return EventDraft(EventName.PIPELINE_RECOVERED, said | _requested(before))


def _requested(run: RunSnapshot) -> dict[str, Json]:
    return {} if run.request_id == NO_REQUEST else {"request_id": run.request_id}


def _failed(outcome: Done | Skipped | None) -> bool:
    return isinstance(outcome, Skipped) and outcome.exit_code != BudgetSpent.exit_code


def _is_open(outcome: Done | Skipped | None, *, retry_skipped: bool) -> bool:
    return outcome is None or (retry_skipped and isinstance(outcome, Skipped))


async def _stop(task: asyncio.Task[None] | asyncio.Task[RunStatus]) -> None:
    """End a task without hearing what it has to say."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()  # heard elsewhere, or of no interest any more
