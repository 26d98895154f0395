"""A run may lose its driver at any moment. Whoever comes next reads what is recorded and does the rest."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from flair_ray.config import Settings
from flair_ray.domain.calls import ChatRequest, Completion
from flair_ray.domain.ids import RunId, StageName
from flair_ray.domain.runs import RunStatus
from flair_ray.engine.driver import Driver
from flair_ray.engine.local_executor import LocalExecutor
from flair_ray.engine.order import Order
from flair_ray.engine.results import gather_result
from flair_ray.engine.shard import Tools
from flair_ray.errors import RunConflict, ServerTrouble
from flair_ray.flow.clock import SystemClock
from flair_ray.providers.offline import OfflineProvider
from flair_ray.stores.redis_store import RedisRunStore
from flair_ray.wiring import driver_settings

Submit = Callable[[Order], Awaitable[RunId]]
MakeDriver = Callable[..., Driver]


class StallsAfter(OfflineProvider):
    """Answers some calls and then none: the moment to take its driver away."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self._left = calls
        self.stalled = asyncio.Event()

    async def complete(self, request: ChatRequest, timeout_s: float) -> Completion:
        self._left -= 1
        if self._left < 0:
            self.stalled.set()
            await asyncio.Event().wait()
        return await super().complete(request, timeout_s)


class Counting(OfflineProvider):
    """Counts what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: Counter[StageName] = Counter()

    async def complete(self, request: ChatRequest, timeout_s: float) -> Completion:
        self.asked[request.stage] += 1
        return await super().complete(request, timeout_s)


async def interrupted(drive: Callable[[StallsAfter], Awaitable[object]], calls: int) -> None:
    stalls = StallsAfter(calls)
    driving = asyncio.create_task(drive(stalls))
    await stalls.stalled.wait()
    driving.cancel()
    await asyncio.wait({driving})


async def test_only_what_is_missing_is_asked_again(
    submit: Submit, local_driver: MakeDriver, small_order: Order
) -> None:
    """12 videos; the driver is gone after 5 answers."""
    run_id = await submit(small_order)
    await interrupted(lambda stalls: local_driver(stalls).drive(run_id), calls=5)
    counting = Counting()
    assert await local_driver(counting).drive(run_id) is RunStatus.COMPLETED
    assert counting.asked == {StageName.S1: 7, StageName.S3: 6, StageName.S4: 7, StageName.S6: 3}


async def test_what_was_decided_stays_decided(
    store: RedisRunStore, submit: Submit, local_driver: MakeDriver, small_order: Order
) -> None:
    """Interrupted in S4, the run goes on with the very scripts it had, and ends as if nothing had happened."""
    whole, broken = await submit(small_order), await submit(small_order)
    await local_driver().drive(whole)
    await interrupted(lambda stalls: local_driver(stalls).drive(broken), calls=12 + 6 + 4)
    await local_driver().drive(broken)
    expected, got = await gather_result(store, whole), await gather_result(store, broken)
    assert (got.scripts, got.ranking, got.results) == (expected.scripts, expected.ranking, expected.results)


async def test_whoever_watches_is_told_what_was_kept(
    store: RedisRunStore, submit: Submit, local_driver: MakeDriver, small_order: Order
) -> None:
    run_id = await submit(small_order)
    await interrupted(lambda stalls: local_driver(stalls).drive(run_id), calls=5)
    await local_driver().drive(run_id)
    events = await store.events(run_id)
    recovered = next(e for e in events if e.name == "pipeline_recovered")
    assert (recovered.data["kept"], recovered.data["left"]) == ({"S1_MAP": 5}, {"S1_MAP": 7})
    assert Counter(e.name for e in events)["s1_progress"] == 12


async def test_a_completed_run_is_left_as_it_is(
    store: RedisRunStore, submit: Submit, local_driver: MakeDriver, small_order: Order
) -> None:
    run_id = await submit(small_order)
    await local_driver().drive(run_id)
    before, counting = await store.events(run_id), Counting()
    assert await local_driver(counting).drive(run_id) is RunStatus.COMPLETED
    assert not counting.asked
    assert await store.events(run_id) == before


async def test_a_failed_run_tries_what_failed_once_more(
    store: RedisRunStore, submit: Submit, local_driver: MakeDriver, small_order: Order
) -> None:
    class Down(OfflineProvider):
        async def complete(self, request: ChatRequest, timeout_s: float) -> Completion:
            raise ServerTrouble("The provider answered 503.", retry_after_s=1e-3)

    run_id = await submit(small_order)
    assert await local_driver(Down()).drive(run_id) is RunStatus.FAILED
    assert await local_driver().drive(run_id) is RunStatus.COMPLETED
    snapshot = await store.snapshot(run_id)
    assert (snapshot.error, snapshot.exit_code) == (None, 0)
    assert snapshot.stages[StageName.S1].skipped == 0
    assert (await store.events(run_id))[-1].name == "pipeline_complete"


async def test_two_drivers_never_drive_one_run(
    store: RedisRunStore, submit: Submit, local_driver: MakeDriver, small_order: Order
) -> None:
    run_id = await submit(small_order)
    stalls = StallsAfter(5)
    driving = asyncio.create_task(local_driver(stalls).drive(run_id))
    await stalls.stalled.wait()
    try:
        with pytest.raises(RunConflict, match="driven by another process"):
            await store.acquire(run_id, ttl_s=5)
    finally:
        driving.cancel()
        await asyncio.wait({driving})


async def test_answers_of_other_prompts_are_not_mixed_in(
    store: RedisRunStore, settings: Settings, submit: Submit, local_tools: Callable[..., Tools], small_order: Order
) -> None:
    run_id = await submit(small_order)
    rules = replace(driver_settings(settings), fingerprint_of="of-another-version")
    tools = local_tools()
    with pytest.raises(RunConflict, match="begun with other prompts"):
        await Driver(store, LocalExecutor(tools), rules, SystemClock(), tools.panel).drive(run_id)


async def test_a_run_of_other_prompts_that_is_to_go_on_ends_again_and_once(
    store: RedisRunStore, settings: Settings, submit: Submit, local_tools: Callable[..., Tools], small_order: Order
) -> None:
    run_id = await submit(small_order)
    await store.request_cancel(run_id)
    await store.host(run_id)
    assert run_id in await store.adoptable(1_000)
    rules = replace(driver_settings(settings), fingerprint_of="of-another-version")
    tools = local_tools()
    driver = Driver(store, LocalExecutor(tools), rules, SystemClock(), tools.panel)
    assert await driver.drive(run_id, fail_outdated=True) is RunStatus.FAILED
    assert run_id not in await store.adoptable(1_000)
    assert not (await store.snapshot(run_id)).recovering
    assert [event.name for event in await store.events(run_id)].count("pipeline_error") == 1


DRIVE_AND_STALL = """
import asyncio, sys
from flair_ray.actors.persona_pool import PersonaPool
from flair_ray.config import Settings
from flair_ray.engine.asking import Patience
from flair_ray.engine.driver import Driver
from flair_ray.engine.local_executor import LocalExecutor
from flair_ray.engine.shard import Tools
from flair_ray.flow.alone import Alone
from flair_ray.flow.in_flight import InFlightLimiter
from flair_ray.flow.clock import SystemClock
from flair_ray.providers.offline import OfflineProvider
from flair_ray.stores.personas import RedisPersonas
from flair_ray.stores.redis_store import RedisRunStore, connect
from flair_ray.wiring import choose_model, driver_settings

class Stalls(OfflineProvider):
    left = 9
    async def complete(self, request, timeout_s):
        Stalls.left -= 1
        if Stalls.left < 0:
            await asyncio.Event().wait()
        return await super().complete(request, timeout_s)

async def main(url, run_id):
    store, provider = RedisRunStore(connect(url), 600), Stalls()
    rules = driver_settings(Settings(lease_ttl_s=0.5))
    panel = PersonaPool(RedisPersonas(connect(url), 600))
    tools = Tools(
        lambda _: provider, store, Patience(20, 60, 3), SystemClock(), Alone(),
        lambda _: InFlightLimiter(29), lambda _: None, panel, store.close,
    )
    await Driver(store, LocalExecutor(tools), rules, SystemClock(), panel).drive(run_id)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_driver_that_is_killed_outright_is_replaced(
    store: RedisRunStore, redis_url: str, submit: Submit, local_driver: MakeDriver, small_order: Order
) -> None:
    """kill -9 after nine answers: nobody says goodbye, and the lease stays behind until it expires."""
    run_id = await submit(small_order)
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", DRIVE_AND_STALL, redis_url, run_id)
    after, answers = "0", 0
    while answers < 9:
        for event in await store.events(run_id, after, block_ms=1000):
            after, answers = event.event_id, answers + (event.name == "s1_progress")
    killed.kill()
    await killed.wait()
    assert (await store.snapshot(run_id)).status is RunStatus.RUNNING
    counting = Counting()
    assert await local_driver(counting).drive(run_id) is RunStatus.COMPLETED
    assert counting.asked[StageName.S1] == 3
