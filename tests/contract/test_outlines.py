"""A list of runs without their counts says of each what a list with them does."""

from __future__ import annotations

from dataclasses import replace

from flair_ray.config import Settings
from flair_ray.domain.ids import StageName, new_run_id
from flair_ray.engine.order import Order, first_event, prepare
from flair_ray.engine.results import outline_of, row_of
from flair_ray.stores.redis_store import RedisRunStore


async def test_rows_are_the_same(store: RedisRunStore, small_order: Order, settings: Settings) -> None:
    spec, inputs = prepare(small_order, settings)
    made, session = [new_run_id() for _ in range(2)], new_run_id()
    for run_id in made:
        await store.create(run_id, replace(spec, session_id=session), inputs, first_event(run_id, spec))
    lease = await store.acquire(made[0], 5)
    await store.begin_stage(lease, StageName.S1, 3)
    await store.complete_stage(lease, StageName.S1, [], [])
    await store.begin_stage(lease, StageName.S3, 2)
    outlines = [row_of(outline) for outline in await store.outlines(session)]
    assert [row_of(outline_of(run)) for run in await store.runs(session)] == outlines
    began = next(row["stages"] for row in outlines if row["run_id"] == made[0])
    assert (began["S1_MAP"], began["S3_SEQUENTIAL"]) == ("completed", "running")
