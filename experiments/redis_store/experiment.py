"""How long do the store's operations take, alone and all at once, and what does a run weigh? See README.md."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from uuid import uuid4

import numpy as np
from redis.asyncio import Redis

from experiments.harness import Case, Chart, Claim, Point, Series, of, the
from experiments.redis_store.servers import Server, available, version
from experiments.rig import DEFAULT, SMALL, Sizes, ground, order
from flair_ray.config import Settings
from flair_ray.domain.answers import VideoAnalysis
from flair_ray.domain.calls import CallTally, ChatRequest, Usage
from flair_ray.domain.events import EventDraft, EventName
from flair_ray.domain.ids import ItemId, RunId, StageName, new_run_id
from flair_ray.domain.money import Price, Purse
from flair_ray.domain.runs import Limits, ModelChoice
from flair_ray.domain.work import Done
from flair_ray.engine.order import first_event, prepare
from flair_ray.ports import Ask, Lead, Settlement, StageJob
from flair_ray.ports import Claim as Question
from flair_ray.stores.budget import RedisBudget
from flair_ray.stores.ears import Ears
from flair_ray.stores.flights import RedisFlights
from flair_ray.stores.permits import RedisPermits
from flair_ray.stores.redis_store import RedisRunStore, connect, listener
from flair_ray.testing.mock_llm import MockOptions, MockServer

OPERATIONS, CLAIMS, MEMORY = "one operation after the other", "claims at the same time", "memory of real runs"
CHART = Chart(CLAIMS, x="claims", y=("all granted, ms",), by="server", unit="ms until all are granted", log="xy")
FULL: Sequence[tuple[int, Sizes]] = ((10, DEFAULT), (10, SMALL), (100, SMALL), (1_000, SMALL))
"""Runs whose memory is measured; the last only on the embedded server, for they take two minutes each time."""
NEW = 40
SHORT: Sequence[tuple[int, Sizes]] = ((30, SMALL), (100, SMALL))
Operation = Callable[[], Awaitable[object]]


def measure(short: bool) -> list[Point]:
    series = Series()
    for name, server in available().items():
        asyncio.run(_server(series, name, server, short))
    return sorted(series.points(), key=lambda p: (OPERATIONS, CLAIMS, MEMORY).index(p.part))


async def _server(series: Series, name: str, server: Server, short: bool) -> None:
    with server() as url:
        label = f"{name}, {version(url)}"
        for _ in range(1 if short else 5):
            await _operations(series, label, url, 50 if short else 500)
            for claims in (10, 1000) if short else (10, 100, 1_000, 10_000):
                await _claims(series, label, url, claims)
        if name == "embedded" or not short:
            loads = SHORT if short else FULL if name == "embedded" else FULL[:-1]
            await _memory(series, label, url, loads, 1 if short else 3)


async def _operations(series: Series, label: str, url: str, times: int) -> None:
    redis, settings = connect(url), Settings()
    store = RedisRunStore(redis, 600)
    flights = RedisFlights(redis, Ears(listener(url)))
    permits = RedisPermits(redis, uuid4().hex)
    with MockServer() as mock:
        spec, inputs = prepare(order(mock, DEFAULT, 0, Limits()), settings)
    run_id, handed_in = new_run_id(), list[RunId]()
    await store.create(run_id, spec, inputs, first_event(run_id, spec))
    lease = await store.acquire(run_id, 600)
    await store.begin_stage(lease, StageName.S1, 10_000)
    await permits.declare(Limits(100, 10_000_000))
    job = StageJob(run_id, "me", spec.fingerprint, StageName.S1, None, (), 10_000, spec.model)
    purse = Purse(10**9, Price(1.0, 0.1, 4.0, "made up"), 0)
    budget = RedisBudget(redis, run_id, StageName.S1, purse, 600)
    request = ChatRequest(StageName.S1, "system", "shared " * 500, "item " * 200, VideoAnalysis, None)
    draft = EventDraft(EventName.S1_PROGRESS, {"video_id": "v", "hook_type": "question"})
    numbers = count()

    async def record() -> None:
        await store.record(job, ItemId(str(next(numbers))), Done('{"x": 1}' * 50), draft, CallTally(calls=1))

    async def create() -> None:
        handed_in.append(new_run_id())
        await store.create(handed_in[-1], spec, inputs, first_event(handed_in[-1], spec), hosted=True)

    async def adopt() -> None:
        taken = await store.acquire(handed_in.pop(), 600)
        await store.begin_stage(taken, StageName.S1, 100)
        await store.release(taken)

    async def permit() -> None:
        ask = f"p{next(numbers)}"
        await permits.exchange([Ask(ask, 10)])
        await permits.exchange([], [Settlement(ask, "ok", 10)])

    async def spend() -> None:
        call = f"c{next(numbers)}:0"
        await budget.reserve(call, request)
        await budget.settle(call, Usage(10, 0, 10))

    async def news() -> None:
        assert len(await store.events(run_id, seen)) == NEW

    seen = (await store.events(run_id))[-1].event_id
    for _ in range(NEW):
        await record()
    operations: dict[str, Operation] = {
        "create a run of 100 videos": create,
        "look for runs to adopt": lambda: store.adoptable(10),
        "adopt: acquire, begin a stage, release": adopt,
        "claim a question": lambda: flights.turn(_question(job, f"q{next(numbers)}", uuid4().hex)),
        "permit: ask and settle": permit,
        "budget: reserve and settle": spend,
        f"read {NEW} new events": news,
        "record an item": record,
        "renew a lease": lambda: store.renew(lease, 600),
        "snapshot of a run": lambda: store.snapshot(run_id),
        "ping": redis.ping,
    }
    for operation, call in operations.items():
        took = [await _timed(call) for _ in range(times)]
        middle, high = np.percentile(took, [50, 95])
        series.add(OPERATIONS, {"operation": operation, "server": label}, **{"median, ms": middle, "95 %, ms": high})
    await flights.close()
    await store.delete(run_id)
    await store.close()


async def _timed(call: Operation) -> float:
    began = time.perf_counter()
    await call()
    return 1000 * (time.perf_counter() - began)


def _question(job: StageJob, item: str, key: str) -> Question:
    return Question(key, job.run_id, job.fingerprint, job.stage, ItemId(item), shared=False)


async def _claims(series: Series, label: str, url: str, claims: int) -> None:
    """Two workers want the same questions, all at the same moment: each question is granted to one of them."""
    job = StageJob(new_run_id(), "me", "fp", StageName.S1, None, (), claims, ModelChoice("openai", "mock"))
    questions = [_question(job, str(i), uuid4().hex) for i in range(claims // 2)]
    workers = [RedisFlights(connect(url), Ears(listener(url))) for _ in range(2)]
    for worker in workers:  # connected
        await worker.turn(_question(job, "first", uuid4().hex))
    granted, all_granted = count(1), asyncio.Event()

    def one_more(_: object) -> None:
        if next(granted) == len(questions):
            all_granted.set()

    wanted = [(worker, question) for question in questions for worker in workers]
    began = time.perf_counter()
    turns = [asyncio.create_task(worker.turn(question)) for worker, question in wanted]
    for turn in turns:
        turn.add_done_callback(one_more)
    await all_granted.wait()
    took = 1000 * (time.perf_counter() - began)
    await asyncio.sleep(0)  # whoever else has been granted one is done by now, too
    led = [turn.done() for turn in turns]
    for leading in (True, False):  # the first ones give up, and the others are woken
        ours = [n for n, leader in enumerate(led) if leader is leading]
        assert {await turns[n] for n in ours} == {Lead()}
        await asyncio.gather(*(wanted[n][0].leave(wanted[n][1], landed=False) for n in ours))
    figures = {
        "all granted, ms": took, "a claim, µs": 1000 * took / claims, "leaders a question": sum(led) / len(questions),
    }  # fmt: skip
    series.add(CLAIMS, {"claims": claims, "server": label}, **figures)
    for worker in workers:
        await worker.close()
        await worker._redis.aclose()


async def _memory(series: Series, label: str, url: str, loads: Sequence[tuple[int, Sizes]], repetitions: int) -> None:
    """Real runs, one crowd after the other; what is there before counts as nothing."""
    number = count()
    with MockServer(MockOptions(latency_s=0.05)) as mock:
        async with ground(redis_url=url, hedged_share=0.0) as here, Redis.from_url(url) as redis:
            await here.many(mock, SMALL, 30, Limits(), next(number) + 100_000)
            for _ in range(repetitions):
                for runs, sizes in loads:
                    before = await _used(redis)
                    for some in range(0, runs, 100):
                        first = 10_000 * next(number)
                        await here.many(mock, sizes, min(100, runs - some), Limits(500), first)
                    grown = await _used(redis) - before
                    case: Case = {"runs": runs, "of": "/".join(map(str, sizes)), "server": label}
                    series.add(
                        MEMORY,
                        case,
                        **{"a run, kB": grown / runs / 1024, "a call, kB": grown / runs / 1024 / sum(sizes)},
                    )


async def _used(redis: Redis) -> int:
    """Bytes, without what is there for connections: workers come and go."""
    info = await redis.info("memory")
    return int(info["used_memory"] - info["mem_clients_normal"] - info["mem_aof_buffer"])


def claims(points: Sequence[Point]) -> list[Claim]:
    granted = of(points, CLAIMS)
    few, most = min(p.case["claims"] for p in granted), max(p.case["claims"] for p in granted)
    server = next(str(p.case["server"]) for p in granted if str(p.case["server"]).startswith("embedded"))
    one, many = (the(points, CLAIMS, claims=n, server=server)["a claim, µs"] for n in (few, most))
    small = [p for p in of(points, MEMORY) if p.case["of"] == "/".join(map(str, SMALL)) and p.case["server"] == server]
    weights = [p["a run, kB"] for p in small]
    return [
        Claim(
            f"However many ask at once, up to {most:,}, a question is granted once.",
            all(n == 1 for p in granted for n in p.all("leaders a question")),
        ),
        Claim(
            f"Many claims at once are cheaper each: {one:.3g} µs of {few}, {many:.3g} µs of {most:,}.",
            many < one,
            timed=True,
        ),
        Claim(
            f"A run weighs the same however many there are: {min(weights):.3g} to {max(weights):.3g} kB of 7 calls.",
            max(weights) < 1.5 * min(weights),
        ),
    ]
