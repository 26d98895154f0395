"""A video job comes to its end, whoever dies over it, and its provider is asked once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from flair_ray.actors.video_desk import AT_ONCE, VideoDesk, held
from flair_ray.domain.ids import RunId, ScriptId
from flair_ray.domain.scripts import FinalScript
from flair_ray.domain.video_jobs import VEO, JobStatus, VideoJob
from flair_ray.engine.driver import Driver
from flair_ray.engine.filming import MOST_TRIES, PATIENCE_S, Studio, film, scripts_to_film
from flair_ray.engine.order import Order
from flair_ray.errors import (
    ArchiveUnavailable,
    BadRequest,
    CallTimeout,
    ProviderError,
    RateLimited,
    RunConflict,
    ServerTrouble,
)
from flair_ray.stores import keys
from flair_ray.stores.local_files import LocalFiles
from flair_ray.stores.redis_store import RedisRunStore, connect
from flair_ray.stores.video_jobs import RedisVideoJobs

Submit = Callable[[Order], Awaitable[RunId]]


class Clock:
    """Every sleep is over at once, and counted."""

    now = 0.0

    def now_s(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


class Peer:
    """A provider, and what is left of it in its own house when whoever asked it dies."""

    def __init__(self) -> None:
        self.begun: list[ScriptId] = []
        self.polls: list[str] = []
        self.ready_after = 2
        self.at_begin: BaseException | None = None
        self.at_fetch: list[BaseException] = []
        self.fetching = asyncio.Event()
        self.hangs = False

    async def begin(self, script: FinalScript) -> str:
        self.begun.append(script.script_id)
        if self.at_begin:
            raise self.at_begin
        return f"operations/{len(self.begun)}"

    async def fetch(self, script: FinalScript, operation: str) -> bytes | None:
        self.polls.append(operation)
        self.fetching.set()
        if self.hangs:
            await asyncio.Event().wait()
        if self.at_fetch:
            raise self.at_fetch.pop(0)
        return b"film" if len(self.polls) > self.ready_after else None

    async def close(self) -> None:
        pass


@pytest.fixture
async def jobs(redis_url: str) -> AsyncIterator[RedisVideoJobs]:
    """A lease so short that nobody has to wait for its end; what other tests ordered is not for this one."""
    redis = connect(redis_url)
    await redis.delete(keys.videos_wanted())
    yield RedisVideoJobs(redis, run_ttl_s=600, lease_s=0.05)
    await redis.delete(keys.videos_wanted())
    await redis.aclose()
    await redis.connection_pool.aclose()


@pytest.fixture
def peer() -> Peer:
    return Peer()


@pytest.fixture
def files(tmp_path: Path) -> LocalFiles:
    return LocalFiles(tmp_path)


@pytest.fixture
def studio(jobs: RedisVideoJobs, store: RedisRunStore, peer: Peer, files: LocalFiles) -> Studio:
    return Studio(jobs, store, lambda name: peer, files, Clock())


_completed: list[RunId] = []


@pytest.fixture
async def run_id(
    submit: Submit, store: RedisRunStore, local_driver: Callable[..., Driver], small_order: Order
) -> RunId:
    """A completed run, one for all of these tests, without a video."""
    if not _completed:
        _completed.append(await submit(small_order))
        await local_driver().drive(_completed[0])
    await store._redis.delete(keys.videos(_completed[0]))
    return _completed[0]


@pytest.fixture
async def ordered(jobs: RedisVideoJobs, store: RedisRunStore, run_id: RunId) -> VideoJob:
    winner = next(iter(await scripts_to_film(store, run_id)))
    return await jobs.order(run_id, winner, VEO)


async def taken(jobs: RedisVideoJobs) -> VideoJob:
    """The one job that waits, as soon as its lease is over."""
    while not (found := await jobs.take(1)):  # noqa: ASYNC110  # a lease ends by itself
        await asyncio.sleep(0.01)
    return found[0]


async def now(jobs: RedisVideoJobs, job: VideoJob) -> VideoJob:
    found = await jobs.job(job.run_id, job.job_id)
    assert found is not None
    return found


async def test_from_an_order_to_a_file(
    studio: Studio, ordered: VideoJob, jobs: RedisVideoJobs, peer: Peer, files: LocalFiles
) -> None:
    assert (ordered.status, ordered.operation) == (JobStatus.PROCESSING, None)
    await film(await taken(jobs), studio)
    done = await now(jobs, ordered)
    assert (done.status, done.error) == (JobStatus.COMPLETE, None)
    assert await files.get(ordered.run_id, ordered.file_name) == b"film"
    assert peer.begun == [ordered.script_id]
    assert await jobs.take(9) == []


async def test_an_order_is_the_job_there_is_unless_it_failed(jobs: RedisVideoJobs, ordered: VideoJob) -> None:
    async def again(script: str = ordered.script_id, provider: str = VEO, *, anew: bool = False) -> str:
        return (await jobs.order(ordered.run_id, ScriptId(script), provider, anew=anew)).job_id

    assert set(await asyncio.gather(*(again() for _ in range(5)))) == {ordered.job_id}
    assert await again(anew=True) == ordered.job_id, "it is being made"
    assert len({ordered.job_id, await again("S99"), await again(provider="animatic")}) == 3
    await jobs.fail(ordered, "no")
    second = await again()
    assert second != ordered.job_id
    assert (await now(jobs, ordered)).error == "no", "what a client knows of stays"
    await jobs.complete(replace(ordered, job_id=second))
    assert await again() == second
    assert await again(anew=True) not in (second, ordered.job_id)


async def test_a_death_while_it_is_made_costs_nothing(
    studio: Studio, ordered: VideoJob, jobs: RedisVideoJobs, peer: Peer
) -> None:
    peer.hangs = True
    making = asyncio.create_task(film(await taken(jobs), studio))
    await peer.fetching.wait()
    assert (await now(jobs, ordered)).operation == "operations/1", "on record before anything else"
    making.cancel()
    await asyncio.wait({making})
    peer.hangs = False
    await film(await taken(jobs), studio)
    assert (await now(jobs, ordered)).status is JobStatus.COMPLETE
    assert len(peer.begun) == 1
    assert set(peer.polls) == {"operations/1"}


async def test_a_death_between_asking_and_its_answer_never_pays_again(
    studio: Studio, ordered: VideoJob, jobs: RedisVideoJobs, peer: Peer
) -> None:
    peer.at_begin = asyncio.CancelledError()  # the process died with the request under way
    with pytest.raises(asyncio.CancelledError):
        await film(await taken(jobs), studio)
    peer.at_begin = None
    await film(await taken(jobs), studio)
    done = await now(jobs, ordered)
    assert done.status is JobStatus.FAILED
    assert "may have been billed" in str(done.error)
    assert len(peer.begun) == 1
    anew = await jobs.order(ordered.run_id, ordered.script_id, VEO)  # a person has decided
    await film(await taken(jobs), studio)
    assert (await now(jobs, anew)).status is JobStatus.COMPLETE


async def test_two_who_have_the_same_job_ask_once(
    studio: Studio, ordered: VideoJob, jobs: RedisVideoJobs, peer: Peer
) -> None:
    first = await taken(jobs)  # and a second has it since the first was frozen for a while
    await asyncio.gather(film(first, studio), film(first, studio))
    assert len(peer.begun) == 1
    assert (await now(jobs, ordered)).status is JobStatus.COMPLETE


async def test_nobody_takes_what_somebody_is_at_work_on(ordered: VideoJob, jobs: RedisVideoJobs) -> None:
    async with held(jobs, await taken(jobs)):
        for _ in range(15):
            assert await jobs.take(1) == []
            assert await jobs.take(1, ordered) == []
            await asyncio.sleep(0.01)
    assert await taken(jobs) == ordered


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (BadRequest("The prompt is too long."), "The prompt is too long."),
        (RateLimited("Too many requests.", 9), "Too many requests."),
        (CallTimeout("No answer."), "may have been billed"),
    ],
)
async def test_a_provider_that_will_not_begin_fails_the_job(
    studio: Studio, ordered: VideoJob, jobs: RedisVideoJobs, peer: Peer, error: ProviderError, said: str
) -> None:
    peer.at_begin = error
    await film(await taken(jobs), studio)
    done = await now(jobs, ordered)
    assert done.status is JobStatus.FAILED
    assert said in str(done.error)
    assert len(peer.begun) == 1
    assert ("billed" in str(done.error)) == error.maybe_billed


async def test_a_server_in_trouble_is_asked_after_the_same_video_again(
    studio: Studio, ordered: VideoJob, jobs: RedisVideoJobs, peer: Peer
) -> None:
    peer.at_fetch = [ServerTrouble("503."), CallTimeout("No answer.")]
    await film(await taken(jobs), studio)
    assert (await now(jobs, ordered)).status is JobStatus.COMPLETE
    assert len(peer.begun) == 1


async def test_a_video_that_never_comes_is_given_up(
    studio: Studio, ordered: VideoJob, jobs: RedisVideoJobs, peer: Peer
) -> None:
    peer.ready_after = 10**9
    await film(await taken(jobs), studio)
    error = str((await now(jobs, ordered)).error)
    assert f"{PATIENCE_S / 60:.0f} minutes" in error
    assert "operations/1" in error


async def test_a_job_that_ends_its_process_each_time_is_failed(
    studio: Studio, ordered: VideoJob, jobs: RedisVideoJobs, peer: Peer
) -> None:
    peer.at_fetch = [MemoryError() for _ in range(9)]
    for _ in range(MOST_TRIES):
        with pytest.raises(MemoryError):
            await film(await taken(jobs), studio)
    await film(await taken(jobs), studio)
    done = await now(jobs, ordered)
    assert done.status is JobStatus.FAILED
    assert len(peer.begun) == 1


async def test_a_store_that_is_away_leaves_the_job_to_the_next(
    studio: Studio, ordered: VideoJob, jobs: RedisVideoJobs, tmp_path: Path
) -> None:
    (tmp_path / "full").write_text("no folder")
    with pytest.raises(ArchiveUnavailable):
        await film(await taken(jobs), replace(studio, files=LocalFiles(tmp_path / "full")))
    await film(await taken(jobs), studio)
    assert (await now(jobs, ordered)).status is JobStatus.COMPLETE


async def test_a_script_that_is_not_there_fails_the_job(studio: Studio, run_id: RunId, jobs: RedisVideoJobs) -> None:
    job = await jobs.order(run_id, ScriptId("S99"), VEO)
    await film(await taken(jobs), studio)
    assert "S99" in str((await now(jobs, job)).error)


async def test_only_a_completed_run_has_scripts_to_film(
    store: RedisRunStore, run_id: RunId, submit: Submit, small_order: Order
) -> None:
    assert [script.rank for script in (await scripts_to_film(store, run_id)).values()] == [1, 2, 3]
    with pytest.raises(RunConflict):
        await scripts_to_film(store, await submit(small_order))


async def test_a_deleted_run_takes_its_jobs_along(
    studio: Studio, ordered: VideoJob, jobs: RedisVideoJobs, store: RedisRunStore, peer: Peer
) -> None:
    mine = await taken(jobs)
    await store.delete(ordered.run_id)
    await jobs.complete(mine)
    _completed.clear()
    assert await jobs.job(ordered.run_id, ordered.job_id) is None
    assert await jobs.take(9) == []


async def test_the_desk_makes_what_waits_a_few_at_a_time(jobs: RedisVideoJobs, run_id: RunId) -> None:
    orders = [await jobs.order(run_id, ScriptId(f"S{n}"), VEO) for n in range(AT_ONCE + 1)]
    making: list[str] = []
    go = asyncio.Event()

    async def make(job: VideoJob) -> None:
        making.append(job.job_id)
        await go.wait()
        await jobs.complete(job)

    desk = VideoDesk(jobs, make)
    await desk.look()
    await desk.look()
    await asyncio.sleep(0)
    assert len(making) == AT_ONCE
    go.set()
    while len(making) < len(orders):
        await desk.look()
        await asyncio.sleep(0.005)
    await desk.close()
    assert sorted(set(making)) == sorted(job.job_id for job in orders)


async def test_a_desk_outlives_what_it_made(jobs: RedisVideoJobs, ordered: VideoJob) -> None:
    async def make(job: VideoJob) -> None:
        raise RuntimeError("the worker died")

    desk = VideoDesk(jobs, make)
    await desk.look()
    await asyncio.sleep(0.02)
    await desk.close()
    assert await taken(jobs) == ordered
