"""Somebody changed their mind. What was paid for is kept, and the run can still be taken up again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from flair_ray.domain.calls import ChatRequest, Completion
from flair_ray.domain.ids import RunId, StageName, new_run_id
from flair_ray.domain.runs import RunStatus
from flair_ray.engine.driver import Driver
from flair_ray.engine.order import Order
from flair_ray.engine.results import gather_result
from flair_ray.errors import RunConflict, RunNotFound
from flair_ray.providers.offline import OfflineProvider
from flair_ray.stores.redis_store import RedisRunStore

Submit = Callable[[Order], Awaitable[RunId]]
MakeDriver = Callable[..., Driver]


class HangsInS4(OfflineProvider):
    """The votes never come."""

    def __init__(self) -> None:
        super().__init__()
        self.hangs = asyncio.Event()
        self.dropped = 0

    async def complete(self, request: ChatRequest, timeout_s: float) -> Completion:
        if request.stage is StageName.S4:
            self.hangs.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.dropped += 1
        return await super().complete(request, timeout_s)


async def test_a_driver_hears_of_it_and_drops_what_is_in_flight(
    store: RedisRunStore, submit: Submit, local_driver: MakeDriver, small_order: Order
) -> None:
    run_id = await submit(small_order)
    provider = HangsInS4()
    driving = asyncio.create_task(local_driver(provider).drive(run_id))
    await provider.hangs.wait()
    await store.request_cancel(run_id)
    assert await driving is RunStatus.CANCELLED
    assert provider.dropped == 7
    last = (await store.events(run_id))[-1]
    assert (last.name, last.data["stage"]) == ("pipeline_cancelled", "S4_MAP")
    assert len((await gather_result(store, run_id)).scripts) == 6


async def test_a_run_that_nobody_drives_is_cancelled_on_the_spot(
    store: RedisRunStore, submit: Submit, small_order: Order
) -> None:
    run_id = await submit(small_order)
    await store.request_cancel(run_id)
    assert (await store.snapshot(run_id)).status is RunStatus.CANCELLED
    assert (await store.events(run_id))[-1].name == "pipeline_cancelled"


async def test_a_cancelled_run_can_be_resumed(
    store: RedisRunStore, submit: Submit, local_driver: MakeDriver, small_order: Order
) -> None:
    run_id = await submit(small_order)
    await store.request_cancel(run_id)
    assert await local_driver().drive(run_id) is RunStatus.COMPLETED
    names = [e.name for e in await store.events(run_id)]
    assert names[:3] == ["pipeline_started", "pipeline_cancelled", "pipeline_recovered"]


async def test_what_is_over_cannot_be_cancelled(
    store: RedisRunStore, submit: Submit, local_driver: MakeDriver, small_order: Order
) -> None:
    run_id = await submit(small_order)
    await local_driver().drive(run_id)
    with pytest.raises(RunConflict, match="completed already"):
        await store.request_cancel(run_id)


async def test_a_run_that_does_not_exist_cannot_be_cancelled(store: RedisRunStore) -> None:
    with pytest.raises(RunNotFound):
        await store.request_cancel(new_run_id())


async def test_a_wish_that_its_driver_did_not_live_to_hear_is_heard_by_the_next(
    store: RedisRunStore, submit: Submit, local_driver: MakeDriver, small_order: Order
) -> None:
    """Cancelled while a lease lives whose driver is dead: the run must not come back to life."""
    run_id = await submit(small_order)
    dead = await store.acquire(run_id, ttl_s=60)
    await store.begin_stage(dead, StageName.S1, 12)
    await store.request_cancel(run_id)
    await store.release(dead)
    provider = HangsInS4()
    assert await local_driver(provider).drive(run_id) is RunStatus.CANCELLED
