"""What has ended is kept for good, whatever happens meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from flair_ray.domain.events import EventDraft, EventName
from flair_ray.domain.ids import RunId
from flair_ray.domain.runs import RunStatus
from flair_ray.engine.archive import Archive
from flair_ray.engine.driver import Driver
from flair_ray.engine.keeping import Keeper
from flair_ray.engine.order import Order
from flair_ray.engine.results import gather_result
from flair_ray.errors import ArchiveUnavailable, RunNotFound
from flair_ray.stores import unkept
from flair_ray.stores.local_files import LocalFiles
from flair_ray.stores.local_records import LocalRecords
from flair_ray.stores.redis_store import RedisRunStore
from flair_ray.stores.unkept import RedisUnkept

Submit = Callable[[Order], Awaitable[RunId]]
ENDED = EventDraft(EventName.PIPELINE_ERROR, {"stage": None, "error": "made up", "recoverable": True})
GONE_ON = EventDraft(EventName.PIPELINE_RECOVERED, {"run_id": "made up"})


class Shelf(LocalFiles):
    """Something may happen while a file is being put."""

    async def meanwhile(self) -> None:
        pass

    async def put(self, run_id: RunId, name: str, content: bytes | Path, media_type: str) -> None:
        await self.meanwhile()
        await super().put(run_id, name, content, media_type)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "runs")


@pytest.fixture
async def keeper(store: RedisRunStore, shelf: Shelf, tmp_path: Path) -> Keeper:
    await store._redis.delete("flair:unkept")  # other tests' runs
    return Keeper(store, RedisUnkept(store._redis), Archive(LocalRecords(tmp_path / "records.sqlite3"), shelf))


@pytest.fixture
async def failed(store: RedisRunStore, submit: Submit, small_order: Order) -> RunId:
    """A run that has failed at once."""
    run_id = await submit(small_order)
    await fail(store, run_id)
    return run_id


async def fail(store: RedisRunStore, run_id: RunId) -> None:
    lease = await store.acquire(run_id, 10)
    if (await store.snapshot(run_id)).status.terminal:
        await store.reopen(lease, GONE_ON)
    await store.finish(lease, RunStatus.FAILED, ENDED, "made up", 3)
    await store.release(lease)


async def marked(store: RedisRunStore) -> list[str]:
    found: list[str] = await store._redis.zrange("flair:unkept", 0, -1)
    return found


async def test_a_completed_run_leaves_everything_there_is(
    keeper: Keeper, store: RedisRunStore, submit: Submit, local_driver: Callable[..., Driver], small_order: Order
) -> None:
    run_id = await submit(small_order)
    assert await marked(store) == []
    await local_driver().drive(run_id)
    assert await marked(store) == [run_id]
    await keeper.keep_ended()
    record, snapshot = await keeper.archive.records.run(run_id), await store.snapshot(run_id)
    assert record is not None
    assert (record.status, record.finished_at_ms) == (RunStatus.COMPLETED, snapshot.finished_at_ms)
    assert record.summary["stages"] == dict.fromkeys(snapshot.stages, "completed")
    for name in ("result.json", "report.html", "run.zip", "ballots.jsonl"):
        assert await keeper.archive.files.get(run_id, name)
    assert await marked(store) == []


async def test_a_run_that_nobody_drove_is_kept_when_it_is_cancelled(
    keeper: Keeper, store: RedisRunStore, submit: Submit, small_order: Order
) -> None:
    run_id = await submit(small_order)
    await store.request_cancel(run_id)
    await keeper.keep_ended()
    record = await keeper.archive.records.run(run_id)
    assert record is not None
    assert record.status is RunStatus.CANCELLED


async def test_while_the_archive_is_away_nothing_is_lost(
    keeper: Keeper, store: RedisRunStore, shelf: Shelf, failed: RunId, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    async def away() -> None:
        raise ArchiveUnavailable("The bucket cannot be used.")

    monkeypatch.setattr(shelf, "meanwhile", away)
    await store._redis.expire(f"flair:run:{failed}", 5)
    with caplog.at_level(logging.WARNING):
        await keeper.keep_ended()
    assert "not kept for good yet: The bucket cannot be used." in caplog.text
    assert await keeper.archive.records.run(failed) is None
    assert await store._redis.ttl(f"flair:run:{failed}") > 500, "it does not expire while it waits"
    monkeypatch.undo()
    await keeper.keep_ended()
    assert await keeper.archive.records.run(failed) is None, "its minute is not over"
    await store._redis.zadd("flair:unkept", {failed: 0}, xx=True)
    await keeper.keep_ended()
    assert await keeper.archive.records.run(failed) is not None
    assert await marked(store) == []


async def test_one_that_cannot_be_kept_does_not_hold_up_the_others(
    keeper: Keeper, store: RedisRunStore, shelf: Shelf, submit: Submit, small_order: Order,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    runs = [await submit(small_order) for _ in range(3)]
    for run_id in runs:
        await store.request_cancel(run_id)
    poisoned = (await store._redis.zrange("flair:unkept", 0, 0))[0]
    put = shelf.put

    async def refuse(run_id: RunId, *args: object) -> None:
        if run_id == poisoned:
            raise ValueError("a bug")
        await put(run_id, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(shelf, "put", refuse)
    for _ in range(2):
        await keeper.keep_ended()
    assert {record.run_id for record in await keeper.archive.records.runs()} == set(runs) - {poisoned}
    assert await marked(store) == [poisoned]


async def test_whoever_takes_a_run_and_dies_has_a_minute(store: RedisRunStore, keeper: Keeper, failed: RunId) -> None:
    took = RedisUnkept(store._redis)
    assert await took.due(9) == [failed]
    assert await took.due(9) == []
    until_ms = await store._redis.zscore("flair:unkept", failed)
    seconds, _ = await store._redis.time()
    assert 0 < until_ms / 1000 - seconds <= unkept.AGAIN_S + 1


async def test_a_run_that_is_deleted_while_it_is_kept_stays_deleted(
    keeper: Keeper, store: RedisRunStore, shelf: Shelf, failed: RunId, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def deleted() -> None:
        monkeypatch.undo()
        await store.delete(failed)
        await keeper.archive.forget(failed)

    monkeypatch.setattr(shelf, "meanwhile", deleted)
    await keeper.keep_ended()
    assert await keeper.archive.records.run(failed) is None
    assert await shelf.get(failed, "result.json") is None
    with pytest.raises(RunNotFound):
        await store.snapshot(failed)


async def test_redis_may_forget_all_while_a_run_is_kept(
    keeper: Keeper, store: RedisRunStore, shelf: Shelf, failed: RunId, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def forgotten() -> None:
        monkeypatch.undo()
        await store._redis.delete(f"flair:run:{failed}", "flair:unkept")

    monkeypatch.setattr(shelf, "meanwhile", forgotten)
    await keeper.keep_ended()
    assert await keeper.archive.records.run(failed) is not None
    assert await shelf.get(failed, "result.json") is not None


async def test_a_run_that_ends_again_while_it_is_kept_is_kept_again(
    keeper: Keeper, store: RedisRunStore, shelf: Shelf, failed: RunId, local_driver: Callable[..., Driver],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    async def gone_on() -> None:
        monkeypatch.undo()
        await local_driver().drive(failed)
        (again,) = await keeper.unkept.due(1)
        other = Keeper(store, keeper.unkept, keeper.archive)
        await other.keep_ended(await gather_result(store, again))

    monkeypatch.setattr(shelf, "meanwhile", gone_on)
    await keeper.keep_ended()
    record, result = await keeper.archive.records.run(failed), await shelf.get(failed, "result.json")
    assert record is not None
    assert record.status is RunStatus.COMPLETED
    assert b'"status": "completed"' in (result or b""), "the older files came last, and then the newer ones again"
    assert await marked(store) == []


async def test_a_run_that_goes_on_is_not_kept_as_it_was(keeper: Keeper, store: RedisRunStore, failed: RunId) -> None:
    result = await gather_result(store, failed)
    lease = await store.acquire(failed, 10)
    await store.reopen(lease, GONE_ON)
    await keeper.keep_ended(result)
    assert await keeper.archive.records.run(failed) is None
    await store.finish(lease, RunStatus.FAILED, ENDED, "made up", 3)
    await store._redis.zadd("flair:unkept", {failed: 0}, xx=True)
    await keeper.keep_ended()
    assert await keeper.archive.records.run(failed) is not None


async def test_a_result_from_before_a_run_went_on_is_not_taken_for_its_end(
    keeper: Keeper, store: RedisRunStore, failed: RunId, local_driver: Callable[..., Driver]
) -> None:
    before = await gather_result(store, failed)
    await local_driver().drive(failed)
    await keeper.keep_ended(before)
    assert b'"status": "completed"' in (await keeper.archive.files.get(failed, "result.json") or b"")
