"""Is an item asked for once however often the work on it is delivered? See README.md."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from experiments.harness import Case, Chart, Claim, Point, Series, of
from experiments.rig import Ground, as_they_are, fresh_videos, ground, order
from flair_ray.domain.ids import ItemId, StageName
from flair_ray.domain.runs import Limits
from flair_ray.engine.driver import Driver
from flair_ray.engine.shard import Tools
from flair_ray.flow.alone import Alone
from flair_ray.ports import Executor, StageJob
from flair_ray.testing.mock_llm import MockOptions, MockServer

ITEMS = 42
RUN = (30, 10, 12, 4)
FULL, SHORT = (1, 2, 5, 10), (3,)
SLOW = 5
"""So many deliveries start so many processes: three repetitions."""
LATENCY_S = 0.2
JOB, WHOLE = "one stage's work, delivered several times", "a whole run, driven several times"
CHART = Chart(JOB, x="deliveries", y=("calls per item",), by="how", log="x")


def without_claims(tools: Tools) -> Tools:
    """Everybody leads: what there would be without a claim per question."""
    return replace(tools, flights=Alone())


def measure(short: bool) -> list[Point]:
    return asyncio.run(_measure(SHORT if short else FULL, 1 if short else 5))


async def _measure(deliveries: Sequence[int], repetitions: int) -> list[Point]:
    series = Series()
    with MockServer(MockOptions(latency_s=LATENCY_S)) as mock:
        async with ground(quorum=1.0, hedged_share=0.0) as here:
            drivers = {"": here.driver("claims", as_they_are), ", no claims": here.driver("alone", without_claims)}
            for repetition in range(repetitions):
                for count in deliveries:
                    if count >= SLOW and repetition >= 3:
                        continue
                    for claims, driver in drivers.items():
                        for how in ("one after the other", "at the same time"):
                            calls = await _deliver(here, mock, driver._executor, count, how == "at the same time")
                            case: Case = {"how": how + claims, "deliveries": count}
                            series.add(JOB, case, items=ITEMS, calls=calls, **{"calls per item": calls / ITEMS})
                    for how in ("one after the other", "at the same time"):
                        calls = await _drive(here, mock, count, repetition, how == "at the same time")
                        case = {"how": how, "drivers": count}
                        series.add(WHOLE, case, items=sum(RUN), calls=calls, **{"calls per item": calls / sum(RUN)})
    return sorted(series.points(), key=lambda p: (p.part != JOB, "no" in str(p.case["how"]), str(p.case["how"])))


async def _deliver(here: Ground, mock: MockServer, executor: Executor, count: int, at_once: bool) -> int:
    """The same job of the first stage, to Ray: each delivery its own tasks. How often the model was asked."""
    wanted = replace(order(mock, (ITEMS, 2, 2, 1), 0, Limits()), cache=False)
    run_id = await here.submit(wanted)
    spec = await here.opened.store.spec(run_id)
    videos = fresh_videos("Take 0", ITEMS)
    job = StageJob(
        run_id, spec.session_id, spec.fingerprint, StageName.S1, None,
        tuple((ItemId(v.video_id), v) for v in videos), ITEMS, spec.model,
    )  # fmt: skip
    mock.reset()
    if at_once:
        await asyncio.gather(*(_carried_out(executor, job) for _ in range(count)))
    else:
        for _ in range(count):
            await _carried_out(executor, job)
    outcomes = await here.opened.store.outcomes(run_id, spec.fingerprint, StageName.S1)
    assert len(outcomes) == ITEMS
    return int(mock.stats()["calls"])


async def _carried_out(executor: Executor, job: StageJob) -> None:
    async for _ in executor.map(job):
        pass


async def _drive(here: Ground, mock: MockServer, count: int, number: int, at_once: bool) -> int:
    run_id = await here.submit(replace(order(mock, RUN, number, Limits()), cache=False))
    mock.reset()
    drivers: list[Driver] = [here.opened.driver for _ in range(count)]
    if at_once:
        await asyncio.gather(*(driver.drive(run_id) for driver in drivers))
    else:
        for driver in drivers:
            await driver.drive(run_id)
    return int(mock.stats()["calls"])


def claims(points: Sequence[Point]) -> list[Claim]:
    ours = [p for p in points if "no claims" not in str(p.case["how"])]
    calls = sum(sum(p.all("calls")) for p in ours)
    items = sum(sum(p.all("items")) for p in ours)
    every = all(c == i for p in ours for c, i in zip(p.all("calls"), p.all("items"), strict=True))
    bare = [p for p in of(points, JOB) if p not in ours and p.case["deliveries"] != 1]
    worst = max(p["calls per item"] for p in bare)
    return [
        Claim(f"Calls equal items in every case and repetition: {calls:,.0f} calls for {items:,.0f} items.", every),
        Claim(
            f"It is the claims that do it: without them each delivery is paid for, up to {worst:.3g} calls an item.",
            all(p["calls per item"] > 1 for p in bare),
        ),
    ]
