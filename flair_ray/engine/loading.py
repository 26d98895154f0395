"""A run's state from what is stored: map outputs as recorded, reduces computed again from what was frozen."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from flair_ray.domain.codec import decode
from flair_ray.domain.ids import ItemId, RunId
from flair_ray.domain.work import Done, Skipped, Work
from flair_ray.engine.plan import MapStep, plan_of
from flair_ray.engine.state import RunState
from flair_ray.errors import BudgetSpent, InfrastructureError, RunOutdated
from flair_ray.ports import RunStore

Outcomes = Mapping[ItemId, Done | Skipped]


async def load_state(
    store: RunStore, run_id: RunId, fingerprint_of: str | None = None, *, unfinished: bool = False
) -> RunState:
    """What a run has so far: map outputs from the store, reduces computed again from what was frozen.

    With ``unfinished`` the stage that was under way comes too, with the items that have results; for looking at
    a run, not for going on with it.

    Raises InfrastructureError when results that were frozen are gone.
    With ``fingerprint_of`` a run that began under other prompts or schemas is refused (RunOutdated): its
    recorded answers and new ones must not mix.
    """
    spec = await store.spec(run_id)
    if fingerprint_of is not None and not spec.fingerprint.startswith(fingerprint_of):
        raise RunOutdated(run_id)
    inputs = await store.inputs(spec.inputs_key)
    state = RunState(spec, inputs.videos, inputs.personas)
    frozen = await store.frozen(run_id)
    for step in plan_of(spec):
        if step.name not in frozen and not (unfinished and isinstance(step, MapStep)):
            break
        if isinstance(step, MapStep):
            outcomes = await store.outcomes(run_id, spec.fingerprint, step.name)
            _check_kept(run_id, step, outcomes, frozen.get(step.name, ()))
            used = frozen.get(step.name, tuple(outcomes))
            await asyncio.to_thread(keep_outputs, state, step, step.work(state), outcomes, used)
        else:
            state.outputs[step.name] = (await asyncio.to_thread(step.compute, state),)
        if step.name not in frozen:
            break
    return state


def _check_kept(run_id: RunId, step: MapStep, outcomes: Outcomes, used: Sequence[ItemId]) -> None:
    """What was frozen must be there: computing on with less would give another answer and not say so."""
    if lost := [item_id for item_id in used if item_id not in outcomes]:
        raise InfrastructureError(
            f"{len(lost)} results of {step.name.value} of run {run_id} are gone from Redis (FLAIR_RUN_TTL_S says how "
            "long they are kept). What was written to its folder is still there; to go on, start a new run."
        )


def keep_outputs(
    state: RunState, step: MapStep, work: Work[Any, Any], outcomes: Outcomes, used: Sequence[ItemId]
) -> None:
    """Put a map stage's outputs into the state, in item order; note what was skipped and why.

    Of a stage that was drawn again, outputs that had a fault and were replaced count as skipped.
    """
    chosen, asked = set(used), {i for i, _ in work.items}
    done = outputs_of(step, work, outcomes)
    skipped = {i: o.reason for i, o in outcomes.items() if isinstance(o, Skipped)}
    if step.unusable:
        skipped |= step.unusable(state, {i: output for i, output in done.items() if i in chosen})
        done = {i: output for i, output in done.items() if i not in skipped}
        chosen &= done.keys()
    grown = len(outcomes.keys() - asked)
    if step.redraw and grown:
        flawed = step.redraw.faults(state, done)
        skipped |= {i: reason for i, reason in flawed.items() if i not in chosen}
        state.flawed[step.name] = {i: reason for i, reason in flawed.items() if i in chosen}
    state.skipped[step.name] = skipped
    state.missing[step.name] = len(work.items) + grown - len(chosen) - len(skipped)
    state.refused[step.name] = sum(
        isinstance(o, Skipped) and o.exit_code == BudgetSpent.exit_code for i, o in outcomes.items() if i in asked
    )
    if step.stand_in:
        stands_in = partial(step.stand_in, work.shared)
        state.outputs[step.name] = tuple(
            done[i] if i in done and i in chosen else stands_in(item, skipped.get(i, "not done"))
            for i, item in work.items
        )
    else:
        state.outputs[step.name] = tuple(output for i, output in done.items() if i in chosen)
    state.late[step.name] = tuple(output for i, output in done.items() if i not in chosen and i not in skipped)


def outputs_of(step: MapStep, work: Work[Any, Any], outcomes: Outcomes) -> dict[ItemId, Any]:
    """What there is of a stage, in item order, further items that replace others last."""
    further = sorted(outcomes.keys() - dict(work.items).keys(), key=lambda i: (len(i), i))
    done = ((i, outcomes.get(i)) for i in (*dict(work.items), *further))
    return {i: decode(step.stage.output, o.value) for i, o in done if isinstance(o, Done)}


def best_of(outputs: Mapping[ItemId, Any], flawed: Mapping[ItemId, str], most: int) -> list[ItemId]:
    """The items to use, ``most`` of them where there are as many: those with a fault last, and in item order."""
    used = set(sorted(outputs, key=lambda i: i in flawed)[:most])
    return [i for i in outputs if i in used]
