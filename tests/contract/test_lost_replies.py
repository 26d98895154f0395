"""A server that did what it was asked and died before it said so: redis-py asks again, and nothing happens twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError

from flair_ray.config import Settings
from flair_ray.domain.calls import CallTally, Usage
from flair_ray.domain.events import EventDraft, EventName
from flair_ray.domain.ids import ItemId, StageName, new_run_id
from flair_ray.domain.runs import RunStatus
from flair_ray.domain.work import Done, Skipped
from flair_ray.engine.order import Order, first_event, prepare
from flair_ray.ports import StageJob
from flair_ray.stores.redis_store import RedisRunStore, connect

CALL = CallTally(calls=1, usage=Usage(input_tokens=10, output_tokens=3))


class Deafness:
    """How many replies have come, every second of which is lost."""

    def __init__(self) -> None:
        self.heard = 0

    def of(self, kind: type[AbstractConnection]) -> type[AbstractConnection]:
        class Deaf(kind):  # type: ignore[valid-type, misc]  # of whichever kind this server is reached by
            async def read_response(connection, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
                reply = await super().read_response(*args, **kwargs)
                if isinstance(reply, dict) or reply in ("OK", "PONG", b"OK", b"PONG"):
                    return reply  # of a handshake
                self.heard += 1
                if self.heard % 2:
                    await connection.disconnect()
                    raise RedisConnectionError("the reply was lost")
                return reply

        return Deaf


@pytest.fixture
def deafness() -> Deafness:
    return Deafness()


@pytest.fixture
async def hard_of_hearing(redis_url: str, deafness: Deafness) -> AsyncIterator[RedisRunStore]:
    redis = connect(redis_url)
    pool = redis.connection_pool
    pool.connection_class = deafness.of(pool.connection_class)
    opened = RedisRunStore(redis, 900)
    yield opened
    await opened.close()


async def test_everything_that_a_driver_and_its_workers_write_happens_once(
    store: RedisRunStore, hard_of_hearing: RedisRunStore, deafness: Deafness, small_order: Order, settings: Settings
) -> None:
    spec, inputs = prepare(small_order, settings)
    run_id = new_run_id()
    await store.create(run_id, spec, inputs, first_event(run_id, spec))
    lease = await hard_of_hearing.acquire(run_id, 60)
    assert lease.token == 1
    await hard_of_hearing.begin_stage(lease, StageName.S1, 2)
    job = StageJob(run_id, "me", "f", StageName.S1, None, (), 2, None)  # type: ignore[arg-type]  # no model is asked
    for item, outcome in (("a", Done("{}")), ("b", Skipped("no answer")), ("b", Done("{}"))):
        draft = EventDraft(EventName.S1_PROGRESS, {"video_id": item})
        await hard_of_hearing.announce(job, ItemId(item), EventDraft(EventName.S1_TASK_STARTED, {"video_id": item}))
        await hard_of_hearing.record(job, ItemId(item), outcome, draft, CALL)
    await hard_of_hearing.complete_stage(lease, StageName.S1, [ItemId("a"), ItemId("b")], [])
    await hard_of_hearing.finish(
        lease, RunStatus.COMPLETED, EventDraft(EventName.PIPELINE_COMPLETE, {"run_id": run_id})
    )
    assert deafness.heard >= 18, "every reply was lost once"
    snapshot = await store.snapshot(run_id)
    counts = snapshot.stages[StageName.S1]
    assert (snapshot.status, counts.tally.calls, counts.skipped) == (RunStatus.COMPLETED, 3, 0)
    assert [event.name for event in await store.events(run_id)] == [
        EventName.PIPELINE_STARTED,
        EventName.STAGE_STARTED,
        EventName.S1_TASK_STARTED,
        EventName.S1_PROGRESS,
        EventName.S1_TASK_STARTED,
        EventName.S1_PROGRESS,
        EventName.S1_PROGRESS,
        EventName.PIPELINE_COMPLETE,
    ]
