"""What an executor promises, held against the one in this process and the one on Ray.

Calls are counted where they arrive: by a real HTTP server that stands in for a model.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from flair_ray.config import Settings
from flair_ray.domain.calls import ChatRequest, Completion
from flair_ray.domain.ids import ItemId, RunId, StageName
from flair_ray.domain.runs import Limits, ModelChoice, RunStatus
from flair_ray.domain.work import Done
from flair_ray.engine.driver import Driver
from flair_ray.engine.local_executor import LocalExecutor
from flair_ray.engine.order import Order
from flair_ray.engine.ray_executor import SMALL_JOB, RayExecutor, resident, resident_name
from flair_ray.engine.ray_worker import ToolKit
from flair_ray.engine.shard import Tools, split
from flair_ray.errors import ModelNotFound
from flair_ray.ports import Delivered, Executor, Lost, Provider, StageJob
from flair_ray.providers.offline import OfflineProvider
from flair_ray.stages import s1_analyze
from flair_ray.stores.redis_store import RedisRunStore
from flair_ray.testing.mock_options import MockOptions
from flair_ray.testing.mock_server import MockServer
from flair_ray.workbench import worker_tools

SMALL, LARGE = SMALL_JOB - 2, 24
VERSION = f"test-{uuid4().hex[:8]}"
"""Of the resident actors: those of this test session and no others."""

Submit = Callable[[Order], Awaitable[RunId]]
MakeExecutor = Callable[..., Awaitable[Executor]]


@pytest.fixture(params=["local", "ray"])
def kind(request: pytest.FixtureRequest) -> str:
    if request.param == "ray":
        request.getfixturevalue("ray_cluster")
    return str(request.param)


@pytest.fixture
async def make_executor(kind: str, settings: Settings, redis_url: str) -> AsyncIterator[MakeExecutor]:
    """An executor with tools as a worker builds them, or with ``build``'s."""
    to_close: list[Tools | Provider] = []

    async def make(build: Callable[[], Awaitable[Tools]] | None = None) -> Executor:
        recipe = build or partial(worker_tools, settings, redis_url, {})
        if kind == "ray":
            return RayExecutor(ToolKit(uuid4().hex, recipe), VERSION)
        tools = await recipe()
        to_close.append(tools)

        def provider_for(model: ModelChoice) -> Provider:
            to_close.append(provider := tools.provider_for(model))
            return provider

        return LocalExecutor(replace(tools, provider_for=provider_for))

    yield make
    for used in to_close:
        await used.close()


@pytest.fixture(scope="module")
def server() -> Iterator[MockServer]:
    with MockServer(MockOptions(latency_s=0.1)) as running:
        yield running


@pytest.fixture
def mock(server: MockServer) -> MockServer:
    server.configure(latency_s=0.1, jitter=0.0, max_in_flight=None)
    server.reset()
    return server


@pytest.fixture
def make_job(store: RedisRunStore, submit: Submit, small_order: Order) -> Callable[..., Awaitable[StageJob]]:
    """The S1 job of a new run."""

    async def make(items: int, model: ModelChoice | None = None) -> StageJob:
        order = replace(small_order, num_videos=items, model=model or small_order.model)
        run_id = await submit(order)
        spec = await store.spec(run_id)
        work = s1_analyze.work((await store.inputs(spec.inputs_key)).videos)
        return StageJob(run_id, "me", spec.fingerprint, StageName.S1, work.shared, work.items, items, spec.model)

    return make


def at(server: MockServer) -> ModelChoice:
    return ModelChoice("openai", "mock", server.base_url)


async def deliveries(executor: Executor, job: StageJob) -> list[Delivered | Lost]:
    return [delivery async for delivery in executor.map(job)]


async def recorded(store: RedisRunStore, job: StageJob) -> dict[ItemId, Any]:
    return await store.outcomes(job.run_id, job.fingerprint, job.stage)


async def until(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    """Wait for something outside this process; the test's own timeout ends it."""
    while True:
        holds = condition()
        if (await holds) if isinstance(holds, Awaitable) else holds:
            return
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("items", [1, SMALL, LARGE])
async def test_every_item_is_delivered_once(
    make_executor: MakeExecutor, make_job: Callable[..., Awaitable[StageJob]], store: RedisRunStore, items: int
) -> None:
    job = await make_job(items)
    executor = await make_executor()
    delivered = await deliveries(executor, job)
    assert Counter(d.item_id for d in delivered) == Counter(item_id for item_id, _ in job.items)
    assert all(isinstance(d, Delivered) and d.ok for d in delivered)
    assert set(await recorded(store, job)) == {item_id for item_id, _ in job.items}


@pytest.mark.parametrize("items", [SMALL, LARGE])
async def test_results_are_those_of_the_local_peer(
    make_executor: MakeExecutor,
    make_job: Callable[..., Awaitable[StageJob]],
    local_tools: Callable[..., Tools],
    store: RedisRunStore,
    items: int,
) -> None:
    here, there = await make_job(items), await make_job(items)
    await deliveries(LocalExecutor(local_tools()), here)
    await deliveries(await make_executor(), there)
    assert await recorded(store, there) == await recorded(store, here)


async def test_each_item_is_one_call_and_the_accounts_limit_holds(
    make_executor: MakeExecutor,
    make_job: Callable[..., Awaitable[StageJob]],
    store: RedisRunStore,
    mock: MockServer,
) -> None:
    """Nine at once for both shards together, however they share them."""
    mock.configure(max_in_flight=9)
    job = replace(await make_job(LARGE, at(mock)), limits=Limits(max_in_flight=9))
    await deliveries(await make_executor(), job)
    stats = mock.stats()
    assert (stats["calls"], stats["ok"], stats["repeated_prompts"]) == (LARGE, LARGE, 0)
    assert stats["peak_in_flight"] == 9
    assert (await store.snapshot(job.run_id)).tally.calls == LARGE


@pytest.mark.parametrize("items", [SMALL, LARGE])
async def test_closing_early_drops_what_is_in_flight(
    make_executor: MakeExecutor,
    make_job: Callable[..., Awaitable[StageJob]],
    store: RedisRunStore,
    mock: MockServer,
    items: int,
) -> None:
    """And what was dropped stays dropped: it does not wake up beside the next job of its process."""
    mock.configure(latency_s=2.0, jitter=0.9)
    job, executor = await make_job(items, at(mock)), await make_executor()
    async with aclosing(executor.map(job)) as stream:
        async for _ in stream:
            break
    await until(lambda: mock.stats()["in_flight"] == 0)
    done = await recorded(store, job)
    assert 1 <= len(done) < items
    assert mock.stats()["abandoned"] >= 1
    mock.configure(latency_s=0.05, jitter=0.0)
    mock.reset()
    left = replace(job, items=tuple(pair for pair in job.items if pair[0] not in done))
    await deliveries(executor, left)
    assert len(await recorded(store, job)) == items
    assert mock.stats()["calls"] == len(left.items)
    assert mock.stats()["peak_in_flight"] <= len(left.items)
    assert (await store.snapshot(job.run_id)).tally.calls == items


@pytest.mark.parametrize("items", [SMALL, LARGE])
async def test_a_fatal_error_comes_up_as_itself(
    make_executor: MakeExecutor, make_job: Callable[..., Awaitable[StageJob]], mock: MockServer, items: int
) -> None:
    job = await make_job(items, ModelChoice("openai", "mock", mock.base_url + "/nowhere"))
    with pytest.raises(ModelNotFound, match="--model"):
        await deliveries(await make_executor(), job)


@pytest.mark.parametrize("items", [SMALL, LARGE])
async def test_a_bug_comes_up_and_does_not_hang(
    make_executor: MakeExecutor,
    make_job: Callable[..., Awaitable[StageJob]],
    settings: Settings,
    redis_url: str,
    items: int,
) -> None:
    async def build() -> Tools:
        class Broken(OfflineProvider):
            async def complete(self, request: ChatRequest, timeout_s: float) -> Completion:
                raise ZeroDivisionError("a bug")

        provider = Broken()
        return replace(await worker_tools(settings, redis_url, {}), provider_for=lambda _: provider)

    with pytest.raises(ZeroDivisionError):
        await deliveries(await make_executor(build), await make_job(items))


async def test_a_job_without_items_is_done(
    make_executor: MakeExecutor, make_job: Callable[..., Awaitable[StageJob]]
) -> None:
    assert await deliveries(await make_executor(), replace(await make_job(1), items=())) == []


@pytest.mark.parametrize(("items", "shards", "hedges"), [(24, 2, 9), (3, 8, 1), (10, 4, 2), (1, 1, 1), (7, 3, 0)])
async def test_shards_share_the_items_and_the_hedges_exactly(
    make_job: Callable[..., Awaitable[StageJob]], items: int, shards: int, hedges: int
) -> None:
    job = replace(await make_job(items), hedges=hedges)
    parts = split(job, shards)
    assert sorted(i for part in parts for i, _ in part.items) == sorted(i for i, _ in job.items)
    assert sum(part.hedges for part in parts) == hedges
    assert all(part.items for part in parts)


# Ray alone


def tasks_since(begun_s: float) -> list[Any]:
    """The shards since then: a task's name tells the stage and not the run, see ``RayExecutor.map``."""
    import ray
    from ray.util.state import list_tasks

    address = ray.get_runtime_context().gcs_address
    tasks = list_tasks(address=address, detail=True, limit=10_000)
    return [t for t in tasks if t.creation_time_ms >= begun_s * 1000 and t.name.split()[0] in set(StageName)]


async def test_a_default_run_maps_by_named_remote_tasks(
    ray_cluster: None,
    make_driver: Callable[[Executor], Driver],
    settings: Settings,
    redis_url: str,
    submit: Submit,
    small_order: Order,
) -> None:
    """S1, S3, S4 and S6 of 100, 20, 42 and 10: seen in the task list, a few tasks each."""
    order = replace(small_order, num_videos=100, num_scripts=20, num_personas=42, top_n=10)
    run_id, begun_s = await submit(order), time.time()
    executor = RayExecutor(ToolKit(uuid4().hex, partial(worker_tools, settings, redis_url, {})), VERSION)
    assert await make_driver(executor).drive(run_id) is RunStatus.COMPLETED
    stages = {StageName.S1, StageName.S3, StageName.S4, StageName.S6}

    def shown() -> bool:
        return {t.name.split()[0] for t in tasks_since(begun_s) if t.state == "FINISHED"} == stages

    await until(lambda: asyncio.to_thread(shown))
    tasks = tasks_since(begun_s)
    assert {t.type for t in tasks} == {"NORMAL_TASK"}
    assert max(Counter(t.name.split()[0] for t in tasks).values()) <= 4
    assert {t.attempt_number for t in tasks} == {0}
    assert not [t.name for t in tasks if run_id[:8] in t.name], "a name is a tag of Ray's metrics, kept for ever"


async def test_a_small_job_rides_a_resident_actor(
    ray_cluster: None, make_job: Callable[..., Awaitable[StageJob]], settings: Settings, redis_url: str
) -> None:
    job, begun_s = await make_job(SMALL), time.time()
    kit = ToolKit(uuid4().hex, partial(worker_tools, settings, redis_url, {}))
    assert len(await deliveries(RayExecutor(kit, VERSION), job)) == SMALL
    await until(lambda: asyncio.to_thread(lambda: bool(tasks_since(begun_s))))
    assert {t.type for t in tasks_since(begun_s)} == {"ACTOR_TASK"}


def holding(settings: Settings, redis_url: str, folder: Path, answers: int) -> Callable[[], Awaitable[Tools]]:
    """Tools whose provider stops after some answers unless ``go`` is in ``folder``, and leaves its process id there."""

    async def build() -> Tools:
        class Holds(OfflineProvider):
            asked = 0

            async def complete(self, request: ChatRequest, timeout_s: float) -> Completion:
                Holds.asked += 1
                if Holds.asked > answers and not (folder / "go").exists():
                    (folder / f"{os.getpid()}.pid").touch()
                    await asyncio.Event().wait()
                return await super().complete(request, timeout_s)

        provider = Holds()
        return replace(await worker_tools(settings, redis_url, {}), provider_for=lambda _: provider)

    return build


def pids(folder: Path) -> list[int]:
    return [int(path.stem) for path in folder.glob("*.pid")]


@pytest.mark.parametrize("items", [SMALL, LARGE])
async def test_a_killed_worker_is_a_lost_shard(
    ray_cluster: None,
    make_job: Callable[..., Awaitable[StageJob]],
    store: RedisRunStore,
    settings: Settings,
    redis_url: str,
    tmp_path: Path,
    items: int,
) -> None:
    """What it had delivered stays delivered; the rest is named, and no item is both."""
    job = await make_job(items)
    executor = RayExecutor(ToolKit(uuid4().hex, holding(settings, redis_url, tmp_path, answers=2)), VERSION)
    shards = 1 if items == SMALL else 2
    delivered: list[Delivered] = []
    lost: list[Lost] = []

    async def kill_once_all_hold() -> None:
        await until(lambda: len(pids(tmp_path)) == shards)
        await until(lambda: _has(store, job, 2 * shards))
        for pid in pids(tmp_path):
            os.kill(pid, signal.SIGKILL)

    killing = asyncio.create_task(kill_once_all_hold())
    async for delivery in executor.map(job):
        delivered.append(delivery) if isinstance(delivery, Delivered) else lost.append(delivery)
    await killing
    named = [i for loss in lost for i in loss.item_ids]
    assert len(lost) == shards
    assert Counter(named + [d.item_id for d in delivered]) == Counter(i for i, _ in job.items)
    assert {d.item_id for d in delivered} <= set(await recorded(store, job))


async def _has(store: RedisRunStore, job: StageJob, count: int) -> bool:
    return len(await recorded(store, job)) >= count


@pytest.mark.parametrize("items", [SMALL, LARGE])
async def test_the_driver_resubmits_only_what_is_missing(
    ray_cluster: None,
    make_driver: Callable[[Executor], Driver],
    submit: Submit,
    small_order: Order,
    store: RedisRunStore,
    settings: Settings,
    redis_url: str,
    tmp_path: Path,
    items: int,
) -> None:
    run_id = await submit(replace(small_order, num_videos=items))
    executor = RayExecutor(ToolKit(uuid4().hex, holding(settings, redis_url, tmp_path, answers=2)), VERSION)
    driving = asyncio.create_task(make_driver(executor).drive(run_id))
    await until(lambda: len(pids(tmp_path)) == (1 if items == SMALL else 2))
    fingerprint = (await store.spec(run_id)).fingerprint

    async def recorded_of_each() -> bool:
        return len(await store.outcomes(run_id, fingerprint, StageName.S1)) >= 2 * len(pids(tmp_path))

    await until(recorded_of_each)
    (tmp_path / "go").touch()  # for the workers that come next: those that hold have looked already
    for pid in pids(tmp_path):
        os.kill(pid, signal.SIGKILL)
    assert await driving is RunStatus.COMPLETED
    s1 = (await store.snapshot(run_id)).stages[StageName.S1]
    assert (s1.completed, s1.tally.calls, s1.skipped) == (items, items, 0)
    told = [e.data["completed"] for e in await store.events(run_id) if e.name == "s1_progress"]
    assert told == list(range(1, items + 1))
    outcomes = await store.outcomes(run_id, fingerprint, StageName.S1)
    assert all(isinstance(outcome, Done) for outcome in outcomes.values())


def test_residents_of_another_version_are_others(ray_cluster: None) -> None:
    """An actor runs the code it was started with."""
    assert resident_name(0, "1") != resident_name(0, "2")
    assert resident(0, VERSION)._actor_id == resident(0, VERSION)._actor_id
    assert resident(0, VERSION)._actor_id != resident(0, VERSION + "-next")._actor_id
