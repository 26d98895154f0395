"""What the metrics say of a run is what the run says of itself, also when two drivers had a share in it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import fields, replace
from typing import Any

import pytest

from flair_ray.domain.calls import CallTally, Usage
from flair_ray.domain.ids import RunId, StageName
from flair_ray.domain.money import Money, Price
from flair_ray.domain.runs import RunSnapshot, RunStatus, StageCounts
from flair_ray.engine.driver import Driver
from flair_ray.engine.metering import COUNTERS, TOKENS, Meter
from flair_ray.engine.order import Order
from flair_ray.providers.offline import OfflineProvider
from flair_ray.stores.redis_store import RedisRunStore
from flair_ray.telemetry import metrics, record

Submit = Callable[[Order], Awaitable[RunId]]
OFFLINE = "offline"


def figures() -> dict[str, float]:
    """Everything that is said of the offline provider's calls in this process."""
    labels = [{"provider": OFFLINE, "stage": stage.value} for stage in StageName]
    said = {m.name: sum(record.said(m, **one) for one in labels) for m in (*COUNTERS, metrics.SPEND)}
    said |= {kind: sum(record.said(metrics.TOKENS, **one, kind=kind) for one in labels) for kind in TOKENS}
    said["stages"] = sum(record.said(metrics.STAGE_S, stage=stage.value) for stage in StageName)
    return said | {status.value: record.said(metrics.RUNS_ENDED, status=status.value) for status in RunStatus}


def growth(before: dict[str, float]) -> dict[str, float]:
    return {name: value - before[name] for name, value in figures().items() if value != before[name]}


def expected(tally: CallTally) -> dict[str, float]:
    calls = {metric.name: getattr(tally, name) for metric, name in COUNTERS.items()}
    tokens = {kind: getattr(tally.usage, f"{kind}_tokens") for kind in TOKENS}
    return {name: value for name, value in (calls | tokens).items() if value}


async def test_a_run_is_counted_as_it_counts_itself(
    submit: Submit, local_driver: Callable[[], Driver], store: RedisRunStore, small_order: Order
) -> None:
    before = figures()
    run_id = await submit(small_order)
    await local_driver().drive(run_id)
    told = expected((await store.snapshot(run_id)).tally)
    assert told["flair_calls"] == 28
    assert growth(before) == told | {"stages": 6, "completed": 1}
    assert record.said(metrics.RUNS_ACTIVE) == 0
    await local_driver().drive(run_id)
    assert growth(before) == told | {"stages": 6, "completed": 1}, "a run that has ended takes nothing"


async def test_a_run_that_is_taken_over_is_counted_from_there(
    submit: Submit, local_driver: Callable[..., Driver], store: RedisRunStore, small_order: Order
) -> None:
    class Stops(OfflineProvider):
        async def complete(self, request: Any, timeout_s: float) -> Any:
            if request.stage is StageName.S4:
                await asyncio.Event().wait()
            return await super().complete(request, timeout_s)

    run_id = await submit(small_order)
    first = asyncio.create_task(local_driver(Stops()).drive(run_id))
    while (await store.snapshot(run_id)).current_stage is not StageName.S4:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    before, done = figures(), (await store.snapshot(run_id)).tally
    await local_driver().drive(run_id)
    assert growth(before)["flair_calls"] == (await store.snapshot(run_id)).tally.calls - done.calls == 10


def snapshot(spec: Any, tally: CallTally, status: RunStatus = RunStatus.RUNNING) -> RunSnapshot:
    return RunSnapshot(RunId("r"), status, "me", 0, stages={StageName.S1: StageCounts(tally=tally)}, spec=spec)


async def test_each_figure_is_found_under_its_name(submit: Submit, store: RedisRunStore, small_order: Order) -> None:
    spec = replace(await store.spec(await submit(small_order)), money=Money(Price(1.0, 0.5, 2.0, "made up")))
    usage = Usage(3_000_000, 1_000_000, 2_000_000, 500_000)
    counts = {f.name: n for n, f in enumerate(fields(CallTally), 1) if f.name != "usage"}
    before, meter = figures(), Meter()
    meter.look(snapshot(spec, CallTally(100)))
    assert growth(before) == {}, "before it has begun"
    meter.begin(snapshot(spec, CallTally(calls=1)))
    meter.end(snapshot(spec, replace(CallTally(**counts, usage=usage), calls=2), RunStatus.FAILED))
    grown = growth(before)
    assert grown.pop("flair_spend_usd") == pytest.approx(2 * 1.0 + 1 * 0.5 + 2 * 2.0)
    assert grown == expected(CallTally(**counts | {"calls": 1}, usage=usage)) | {"failed": 1}
