"""A shard: part of a map stage's items, multiplexed on one event loop in one worker process.

    its turn ──▶ Lead ──────▶ ask the model ──▶ record ──▶ Delivered
             ├─▶ Shared ────▶ the answer somebody else paid for ──▶ record
             └─▶ Settled ───▶ nothing left to do

Items wait far more than they compute, so all of them run as tasks at once and the limiter decides who may
call. Nobody asks what is being asked already, in this run or, where answers are shared, in any other. An item is
recorded the moment its answer is there, by this worker, before anyone else hears of it: what was paid for is safe
even if the shard, its node or its driver dies in the next instant. A shard that is cancelled drops its calls in
flight, and records first what has been answered.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any

from pydantic import BaseModel, ValidationError

from flair_ray.domain.calls import CallTally, ChatRequest
from flair_ray.domain.codec import encode
from flair_ray.domain.ids import ItemId, StageName, digest
from flair_ray.domain.personas import Seat, track_record
from flair_ray.domain.runs import ModelChoice
from flair_ray.domain.work import Done, Skipped, Voter
from flair_ray.engine.asking import Asker, Patience, Verdict
from flair_ray.engine.plan import MAP_STAGES
from flair_ray.errors import InvalidAnswer
from flair_ray.flow.hedging import Hedger
from flair_ray.flow.shielding import to_the_end
from flair_ray.ports import (
    Budget,
    Claim,
    Clock,
    Delivered,
    Flights,
    Limiter,
    MapStage,
    Panel,
    Provider,
    RunStore,
    Settled,
    Shared,
    StageJob,
)
from flair_ray.telemetry.logs import about
from flair_ray.telemetry.spans import span


@dataclass(frozen=True, slots=True)
class Tools:
    """What a worker process keeps between shards: one HTTP client, one Redis pool, one desk for permits."""

    provider_for: Callable[[ModelChoice], Provider]
    """The same provider for the same model, every time."""
    store: RunStore
    patience: Patience
    clock: Clock
    flights: Flights
    limiter_for: Callable[[StageJob], Limiter]
    budget_for: Callable[[StageJob], Budget | None]
    panel: Panel
    close: Callable[[], Awaitable[None]]
    """All of these but the providers."""
    stages: Mapping[StageName, MapStage[Any, Any, Any]] = field(default_factory=lambda: MAP_STAGES)


@dataclass(frozen=True, slots=True)
class OnDuty:
    """The process that works on this shard, should it die before it is done."""

    owner: str


async def run_shard(job: StageJob, tools: Tools) -> AsyncGenerator[Delivered | OnDuty, None]:
    """Who works, then one Delivered per item of ``job``, in completion order. Raises the first fatal FlairError.

    Closing the iterator cancels what is still running.
    """
    hedger = Hedger(job.hedges, tools.clock) if job.hedges else None
    asker = Asker(
        tools.provider_for(job.model),
        tools.limiter_for(job),
        tools.patience,
        tools.clock,
        tools.budget_for(job),
        hedger,
        partial(
            span,
            f"chat {job.model.model}",
            job.trace,
            of_a_client=True,
            flair__run_id=job.run_id,
            flair__stage=job.stage.value,
            gen_ai__operation__name="chat",
            gen_ai__provider__name=job.model.provider,
            gen_ai__request__model=job.model.model,
        ),
    )
    yield OnDuty(tools.flights.owner)
    items = await _with_voters(job, tools.panel)
    tasks = [asyncio.create_task(_Item(job, item_id, item, tools).done(asker)) for item_id, item in items]
    watching = [asyncio.create_task(hedger.watch())] if hedger else []
    try:
        for finished in asyncio.as_completed(tasks):
            yield await finished
    finally:
        for task in (*tasks, *watching):
            task.cancel()
        await asyncio.gather(*tasks, *watching, return_exceptions=True)


async def _with_voters(job: StageJob, panel: Panel) -> Sequence[tuple[ItemId, object]]:
    """The job's items, where seats have become voters: one question to the pool for all of them."""
    seats = [(item_id, item.key) for item_id, item in job.items if isinstance(item, Seat)]
    if not seats:
        return job.items
    states = await panel.states(job.run_id, [key for _, key in seats])
    voters = [(item_id, states[key]) for item_id, key in seats]
    return [(item_id, Voter(state.persona, state.block, track_record(state))) for item_id, state in voters]


class _Item:
    """One item on its way to a recorded outcome."""

    def __init__(self, job: StageJob, item_id: ItemId, item: object, tools: Tools) -> None:
        self._job, self._item_id, self._item = job, item_id, item
        self._stage = tools.stages[job.stage]
        self._store, self._flights, self._clock = tools.store, tools.flights, tools.clock
        self._request = self._stage.request(job.shared, item)
        self._claim = claim_of(job, item_id, self._request, self._stage)
        self._announced: list[asyncio.Task[None]] = []

    async def done(self, asker: Asker) -> Delivered:
        job = self._job
        with about(request_id=job.request_id, run_id=job.run_id, stage=job.stage.value):
            return await self._done(asker)

    async def _done(self, asker: Asker) -> Delivered:
        turn = await self._flights.turn(self._claim)
        if isinstance(turn, Settled):
            return Delivered(self._item_id, ok=True)
        shared = self._from(turn.answer) if isinstance(turn, Shared) else None
        if shared:
            await to_the_end(self._settle(shared))
            return Delivered(self._item_id, ok=True)
        return await self._asked(asker)

    async def _asked(self, asker: Asker) -> Delivered:
        begun_s, ok = self._clock.now_s(), False
        try:
            verdict = await asker.ask(
                self._stage, self._job.shared, self._item, self._on_start, self._item_id, self._request
            )
            await to_the_end(self._settle(verdict))
            ok = isinstance(verdict.outcome, Done)
        finally:
            await asyncio.gather(*self._announced)
            await to_the_end(self._flights.leave(self._claim, landed=ok))
        return Delivered(self._item_id, ok, self._clock.now_s() - begun_s)

    def _on_start(self) -> None:
        # Beside the call, not before it: a permit is for calling, and the event only has to precede the result.
        if not self._announced and (draft := self._stage.started(self._item)):
            told = self._store.announce(self._job, self._item_id, draft)
            self._announced.append(asyncio.create_task(told))

    async def _settle(self, verdict: Verdict) -> None:
        await asyncio.gather(*self._announced)
        if isinstance(verdict.outcome, Skipped):
            draft = self._stage.skipped(self._item, verdict.outcome.reason)
        else:
            draft = self._stage.progress(self._item, verdict.output)
        await self._store.record(
            self._job, self._item_id, verdict.outcome, draft, verdict.tally, self._claim, verdict.answer
        )

    def _from(self, answer: str) -> Verdict | None:
        """What an answer that another run paid for comes to here; None where it is of no use."""
        try:
            read = self._request.answer.model_validate_json(answer)
            output = self._stage.parse(self._job.shared, self._item, read)
        except (ValidationError, InvalidAnswer):
            return None
        return Verdict(Done(encode(output, self._stage.output)), output, CallTally(cache_hits=1))


def claim_of(job: StageJob, item_id: ItemId, request: ChatRequest, stage: MapStage[Any, Any, Any]) -> Claim:
    """What an item wants to be alone with: its answer in this run or, where answers are shared, in every run.

    Shared is what does not depend on the run: the same words put to the same model under the same schema.
    """
    make = partial(Claim, run_id=job.run_id, fingerprint=job.fingerprint, stage=job.stage, item_id=item_id)
    if not (job.share and stage.shareable):
        return make(f"{job.run_id}:{job.fingerprint}:{job.stage.value}:{item_id}", shared=False)
    model = job.model
    words = (request.system, request.shared, request.varying)
    key = digest(model.provider, model.model, model.base_url or "", _schema(request.answer), *words, length=32)
    return make(f"{job.stage.value}:{key}", shared=True)


@lru_cache(maxsize=16)  # it takes longer than all the rest of a claim
def _schema(answer: type[BaseModel]) -> str:
    return json.dumps(answer.model_json_schema(), sort_keys=True)


def split(job: StageJob, shards: int) -> list[StageJob]:
    """At most ``shards`` jobs over the same items, dealt round, with the hedges shared exactly.

    Dealt and not cut: neighbours in a list are often alike, and one shard must not get all the long ones.
    """
    count = max(1, min(shards, len(job.items)))
    base, extra = divmod(job.hedges, count)
    return [replace(job, items=job.items[i::count], hedges=base + (i < extra)) for i in range(count)]
