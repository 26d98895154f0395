"""What waits for workers is told once a minute, and not while it waits for permits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from redis.asyncio import Redis

from flair_ray.config import Settings
from flair_ray.domain.ids import RunId, StageName, new_run_id
from flair_ray.domain.runs import Limits, ModelChoice
from flair_ray.engine.driver import Driver
from flair_ray.engine.order import Order, first_event, prepare
from flair_ray.engine.telling import Teller
from flair_ray.errors import ArchiveUnavailable
from flair_ray.ports import Ask, StageJob
from flair_ray.stores import keys
from flair_ray.stores.backlog import SHORT_MS, RedisBacklog
from flair_ray.stores.cloudwatch import CloudWatch
from flair_ray.stores.permits import RedisPermits
from flair_ray.stores.redis_store import RedisRunStore, connect
from flair_ray.telemetry import record
from flair_ray.telemetry.metrics import BACKLOG, QUEUE_AGE_S, RUNS_QUEUED, WORKERS, Metric
from flair_ray.workbench import payer, worker_tools
from tests.conftest import serving_redis

WORKER_COUNT = 4
UnderWay = Callable[[int], Awaitable[RunId]]


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of our own: all hosted runs are counted."""
    with serving_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    opened = connect(redis_url)
    await opened.flushall()
    yield opened
    await opened.aclose()
    await opened.connection_pool.aclose()


@pytest.fixture
def backlog(redis: Redis) -> RedisBacklog:
    return RedisBacklog(redis, lambda model: "account")


@pytest.fixture
def hand_in(store: RedisRunStore, small_order: Order, settings: Settings) -> Callable[[], Awaitable[RunId]]:
    """Record a run for the hosts."""

    async def submit() -> RunId:
        run_id = new_run_id()
        spec, inputs = prepare(small_order, settings)
        await store.create(run_id, spec, inputs, first_event(run_id, spec), hosted=True)
        return run_id

    return submit


@pytest.fixture
def under_way(store: RedisRunStore, hand_in: Callable[[], Awaitable[RunId]]) -> UnderWay:
    """A hosted run whose first stage has so many items."""

    async def begin(items: int) -> RunId:
        run_id = await hand_in()
        await store.begin_stage(await store.acquire(run_id, 60), StageName.S1, items)
        return run_id

    return begin


def asks(count: int) -> list[Ask]:
    return [Ask(f"permit-{number}", 1) for number in range(count)]


async def test_what_is_neither_done_nor_in_flight_waits(
    backlog: RedisBacklog, under_way: UnderWay, redis: Redis
) -> None:
    assert await backlog.waiting() == 0
    await under_way(12)
    await under_way(30)
    permits = RedisPermits(redis, "account")
    await permits.declare(Limits(max_in_flight=100))
    await permits.exchange(asks(5))
    assert await backlog.waiting() == 12 + 30 - 5


async def test_what_is_done_waits_no_more(
    backlog: RedisBacklog, hand_in: Callable[[], Awaitable[RunId]], local_driver: Callable[[], Driver]
) -> None:
    seen: list[int | None] = []
    watching = asyncio.create_task(watch(backlog, seen))
    await local_driver().drive(await hand_in())
    watching.cancel()
    assert max(left or 0 for left in seen) > 0
    assert await backlog.waiting() == 0


async def watch(backlog: RedisBacklog, seen: list[int | None]) -> None:
    while True:
        seen.append(await backlog.waiting())


async def test_at_the_limit_nothing_waits_for_a_worker(
    backlog: RedisBacklog, under_way: UnderWay, redis: Redis
) -> None:
    await under_way(12)
    permits = RedisPermits(redis, "account")
    await permits.declare(Limits(max_in_flight=2))
    now_ms = round(time.time() * 1000)
    await permits.exchange(asks(3), now_ms=now_ms - SHORT_MS)
    assert await backlog.waiting() == 12 - 2, "that somebody had to wait is long ago"
    await permits.exchange(asks(3), now_ms=now_ms)
    assert await backlog.waiting() is None


async def test_one_account_at_its_limit_does_not_hide_another(redis: Redis, under_way: UnderWay) -> None:
    names = iter(["full", "free"])
    both = RedisBacklog(redis, lambda model: next(names))
    await under_way(12)
    await under_way(30)
    permits = RedisPermits(redis, "full")
    await permits.declare(Limits(max_in_flight=1))
    await permits.exchange(asks(2))
    assert await both.waiting() == 30


async def test_the_account_that_is_looked_at_is_the_one_that_workers_use(
    redis: Redis, redis_url: str, under_way: UnderWay, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "made-up")
    model = ModelChoice("openai", "any")
    run_id = await under_way(12)
    tools = await worker_tools(settings, redis_url, {})
    job = StageJob(run_id, "me", "print", StageName.S1, None, (), 12, model, Limits(max_in_flight=100))
    async with tools.limiter_for(job).permit(1):
        assert await RedisBacklog(redis, lambda _: payer(model)).waiting() == 12 - 1
    await tools.close()


def told(metric: Metric, namespace: str) -> list[float]:
    now = datetime.now(UTC)
    answer = boto3.client("cloudwatch").get_metric_statistics(
        Namespace=namespace,
        MetricName=metric.cloudwatch,
        StartTime=now - timedelta(minutes=5),
        EndTime=now + timedelta(minutes=5),
        Period=60,
        Statistics=["Sum"],
    )
    return [point["Sum"] for point in answer["Datapoints"]]


async def test_one_host_at_a_time_tells(
    aws: str, store: RedisRunStore, backlog: RedisBacklog, under_way: UnderWay
) -> None:
    await under_way(12)
    metrics = CloudWatch("one-host")
    for _ in range(3):
        await Teller(store, backlog, lambda: WORKER_COUNT, metrics).tell()
    await metrics.close()
    assert told(BACKLOG, "one-host") == [12 / WORKER_COUNT]
    assert told(WORKERS, "one-host") == [WORKER_COUNT]


async def test_at_the_limit_only_the_workers_are_told(
    aws: str, store: RedisRunStore, backlog: RedisBacklog, under_way: UnderWay, redis: Redis
) -> None:
    await under_way(12)
    permits = RedisPermits(redis, "account")
    await permits.declare(Limits(max_in_flight=1))
    await permits.exchange(asks(2))
    metrics = CloudWatch("at-the-limit")
    await Teller(store, backlog, lambda: WORKER_COUNT, metrics).tell()
    await metrics.close()
    assert told(BACKLOG, "at-the-limit") == []
    assert told(WORKERS, "at-the-limit") == [WORKER_COUNT]


async def test_a_host_outlives_a_metric_that_nobody_takes(
    store: RedisRunStore, backlog: RedisBacklog, caplog: pytest.LogCaptureFixture
) -> None:
    class Away(CloudWatch):
        async def put(self, figures: object) -> None:
            raise ArchiveUnavailable("CloudWatch is away.")

    await Teller(store, backlog, lambda: WORKER_COUNT, Away("away")).tell()
    assert "CloudWatch is away." in caplog.text


async def test_how_long_a_run_waits_is_told_by_every_host(
    store: RedisRunStore, backlog: RedisBacklog, redis: Redis, hand_in: Callable[[], Awaitable[RunId]]
) -> None:
    teller = Teller(store, backlog, lambda: WORKER_COUNT)
    await teller.tell()
    assert (record.said(RUNS_QUEUED), record.said(QUEUE_AGE_S)) == (0, 0)
    driven, waiting = await hand_in(), await hand_in()
    await store.acquire(driven, 60)
    await redis.zincrby(keys.hosted_runs(), -90_000, waiting)
    await teller.tell()
    assert record.said(RUNS_QUEUED) == 2
    assert 90 <= record.said(QUEUE_AGE_S) < 120
