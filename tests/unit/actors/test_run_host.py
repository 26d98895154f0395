"""Runs that nobody drives find a host, whoever died before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from flair_ray.actors.run_host import OUTDATED_S, RunHost
from flair_ray.domain.ids import RunId, new_run_id
from flair_ray.domain.runs import RunStatus
from flair_ray.engine.driver import MAX_TAKEN, Driver
from flair_ray.engine.order import Order, first_event, prepare
from flair_ray.errors import InfrastructureError, RunConflict, RunOutdated, StoreUnavailable
from flair_ray.ports import Delivered, Executor, Lost, RunStore, StageJob
from flair_ray.stores.redis_store import RedisRunStore

Submit = Callable[[Order], Awaitable[RunId]]


class Clock:
    now = 0.0

    def now_s(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


class Puppet:
    """A driver whose runs end when a test says so."""

    def __init__(self, store: RunStore) -> None:
        self._store = store
        self.driven: list[tuple[RunId, bool]] = []
        self.end = asyncio.Event()
        self.error: Exception | None = None

    async def drive(self, run_id: RunId, *, patient: bool = True, fail_outdated: bool = False) -> RunStatus:
        assert not patient
        lease = await self._store.acquire(run_id, 60)
        self.driven.append((run_id, fail_outdated))
        try:
            if self.error and not fail_outdated:
                raise self.error
            await self.end.wait()
        finally:
            await self._store.release(lease)
        return RunStatus.COMPLETED


@pytest.fixture
def hand_in(store: RedisRunStore, small_order: Order, settings: object) -> Submit:
    """Submit a run for the hosts."""

    async def submit(order: Order) -> RunId:
        run_id = new_run_id()
        spec, inputs = prepare(order, settings)  # type: ignore[arg-type]
        await store.create(run_id, spec, inputs, first_event(run_id, spec), hosted=True)
        return run_id

    return submit


@asynccontextmanager
async def alive(host: RunHost) -> AsyncIterator[RunHost]:
    life = asyncio.create_task(host.run())
    try:
        yield host
    finally:
        life.cancel()
        await asyncio.wait({life})


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  # what is waited for is far away
        await asyncio.sleep(0.005)


@pytest.fixture(autouse=True)
async def nothing_waits(store: RedisRunStore) -> None:
    """Runs that other tests handed in are not for these hosts."""
    await store._redis.delete("flair:hosted")


async def test_a_run_that_was_handed_in_is_driven_to_its_end(
    store: RedisRunStore, hand_in: Submit, local_driver: Callable[..., Driver], small_order: Order
) -> None:
    async with alive(RunHost(store, local_driver(), Clock())) as host:
        run_id = await hand_in(small_order)
        host.nudge()
        while not (await store.snapshot(run_id)).status.terminal:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert (await store.snapshot(run_id)).status is RunStatus.COMPLETED
    assert await store.adoptable(9) == []


async def test_a_run_of_a_command_line_is_left_to_it(store: RedisRunStore, submit: Submit, small_order: Order) -> None:
    run_id = await submit(small_order)
    assert run_id not in await store.adoptable(99)
    await store.host(run_id)
    assert await store.adoptable(99) == [run_id]


async def test_two_hosts_never_drive_one_run(store: RedisRunStore, hand_in: Submit, small_order: Order) -> None:
    runs = [await hand_in(small_order) for _ in range(6)]
    drivers = [Puppet(store), Puppet(store)]
    async with alive(RunHost(store, drivers[0], Clock())), alive(RunHost(store, drivers[1], Clock())):
        await until(lambda: sum(len(d.driven) for d in drivers) >= 6)
        await asyncio.sleep(0.02)
    assert sorted(run_id for d in drivers for run_id, _ in d.driven) == sorted(runs)


async def test_what_a_dead_host_drove_is_adopted_when_its_lease_is_gone(
    store: RedisRunStore, hand_in: Submit, small_order: Order
) -> None:
    run_id = await hand_in(small_order)
    await store.acquire(run_id, 0.05)  # and then it died
    driver = Puppet(store)
    async with alive(RunHost(store, driver, Clock())):
        await until(lambda: bool(driver.driven))
    assert driver.driven == [(run_id, False)]


async def dies_of(store: RedisRunStore, run_id: RunId) -> None:
    """A host takes this run up, and its process ends: nobody gives the lease back."""
    assert run_id in await store.adoptable(9)
    await store.acquire(run_id, 60)
    await store._redis.delete(f"flair:run:{run_id}:lease")  # its time is over


async def test_a_run_that_ends_every_host_fails_and_says_how_to_go_on(
    store: RedisRunStore, hand_in: Submit, local_driver: Callable[..., Driver], small_order: Order
) -> None:
    run_id = await hand_in(small_order)
    for _ in range(MAX_TAKEN):
        await dies_of(store, run_id)
    async with alive(RunHost(store, local_driver(), Clock())) as host:
        await ended(store, run_id)
        snapshot, log = await store.snapshot(run_id), await store.events(run_id)
        assert (snapshot.status, snapshot.exit_code) == (RunStatus.FAILED, 4)
        assert f"flair resume {run_id}" in str(snapshot.error)
        assert (log[-1].name, log[-1].data["recoverable"]) == ("pipeline_error", True)
        await store.host(run_id)  # somebody has mended what it was
        host.nudge()
        await ended(store, run_id)
    assert (await store.snapshot(run_id)).status is RunStatus.COMPLETED


async def ended(store: RedisRunStore, run_id: RunId) -> None:
    while not (await store.snapshot(run_id)).over:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def test_a_run_that_redis_alone_refuses_ends_too(
    store: RedisRunStore,
    hand_in: Submit,
    local_driver: Callable[..., Driver],
    small_order: Order,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refused(key: str) -> None:
        raise StoreUnavailable("Redis refused a command: it is too large")

    monkeypatch.setattr(store, "inputs", refused)
    run_id = await hand_in(small_order)
    for _ in range(MAX_TAKEN):
        with pytest.raises(StoreUnavailable):
            await local_driver().drive(run_id, patient=False)
    assert await local_driver().drive(run_id, patient=False) is RunStatus.FAILED


async def test_whoever_resumes_a_run_by_hand_is_not_refused(
    store: RedisRunStore, hand_in: Submit, local_driver: Callable[..., Driver], small_order: Order
) -> None:
    run_id = await hand_in(small_order)
    for _ in range(MAX_TAKEN):
        await dies_of(store, run_id)
    assert await local_driver().drive(run_id) is RunStatus.COMPLETED


async def test_a_host_takes_no_more_than_it_can_carry(
    store: RedisRunStore, hand_in: Submit, small_order: Order
) -> None:
    for _ in range(5):
        await hand_in(small_order)
    driver = Puppet(store)
    async with alive(RunHost(store, driver, Clock(), capacity=2)) as host:
        await until(lambda: len(driver.driven) == 2)
        host.nudge()
        await asyncio.sleep(0.02)
        assert (host.driving, len(driver.driven)) == (2, 2)


async def test_a_run_of_another_version_waits_for_its_own_host_and_then_ends(
    store: RedisRunStore, hand_in: Submit, small_order: Order
) -> None:
    run_id = await hand_in(small_order)
    driver, clock = Puppet(store), Clock()
    driver.error = RunOutdated(run_id)
    async with alive(RunHost(store, driver, clock)) as host:
        await until(lambda: len(driver.driven) == 1)
        for _ in range(3):
            host.nudge()
            await asyncio.sleep(0.01)
        assert len(driver.driven) == 1
        clock.now += OUTDATED_S + 1
        host.nudge()
        await until(lambda: len(driver.driven) == 2)
    assert driver.driven == [(run_id, False), (run_id, True)]


async def test_a_failed_run_is_gone_on_with_and_a_completed_one_is_not(
    store: RedisRunStore, hand_in: Submit, local_driver: Callable[..., Driver], small_order: Order
) -> None:
    run_id = await hand_in(small_order)
    await store.request_cancel(run_id)
    assert await store.adoptable(9) == []
    await store.host(run_id)
    assert await store.adoptable(9) == [run_id]
    assert await local_driver().drive(run_id) is RunStatus.COMPLETED
    with pytest.raises(RunConflict, match="completed already"):
        await store.host(run_id)


async def test_a_run_says_on_whose_request_it_goes_on(
    store: RedisRunStore, hand_in: Submit, make_driver: Callable[[Executor], Driver], small_order: Order
) -> None:
    class Down:
        asked: StageJob

        def map(self, job: StageJob) -> AsyncGenerator[Delivered | Lost, None]:
            self.asked = job
            raise InfrastructureError("There is no cluster.")

    run_id, down = await hand_in(small_order), Down()
    await make_driver(down).drive(run_id)
    await store.host(run_id, "again-1")
    await make_driver(down).drive(run_id)
    told = [(e.name, e.data.get("request_id")) for e in await store.events(run_id) if e.name.startswith("pipeline_")]
    assert told == [
        ("pipeline_started", None),
        ("pipeline_error", None),
        ("pipeline_recovered", "again-1"),
        ("pipeline_error", "again-1"),
    ]
    assert down.asked.request_id == "again-1"


async def test_a_host_tells_what_waits_beside_its_driving(store: RedisRunStore) -> None:
    told = asyncio.Event()

    async def tell() -> None:
        told.set()

    async with alive(RunHost(store, Puppet(store), Clock(), tell=tell)):
        await asyncio.wait_for(told.wait(), 5)
