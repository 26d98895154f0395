"""What both kinds of records promise: the local file and DynamoDB."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from flair_ray.domain.ids import RunId, ScriptId, new_run_id
from flair_ray.domain.posts import Post, RunRecord
from flair_ray.domain.runs import RunStatus
from flair_ray.errors import ArchiveUnavailable
from flair_ray.ports import Records
from flair_ray.stores.dynamodb import DAY_S, EXPIRY, DynamoRecords
from flair_ray.stores.local_records import LocalRecords

Open = Callable[[], Records]


@pytest.fixture(scope="session")
async def table(aws: str) -> AsyncIterator[DynamoRecords]:
    """One for all tests: they keep apart by their runs and sessions."""
    opened = DynamoRecords("studio")
    await opened.create()
    yield opened
    await opened.close()


@pytest.fixture(params=["local", "dynamodb"])
def open_records(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens the same records again, as another process would."""
    if request.param == "local":
        return lambda: LocalRecords(tmp_path / "data" / "records.sqlite3")
    shared: DynamoRecords = request.getfixturevalue("table")
    return lambda: shared


@pytest.fixture
def records(open_records: Open) -> Records:
    return open_records()


def record(session_id: str = "ada", created_at_ms: int = 1_000, **changes: object) -> RunRecord:
    numbers = {"cost": {"usd": 0.1, "unsure": None}, "shares": [1e-9, -2.5, 3, 12345678901234567890], "ok": True}
    made = RunRecord(
        run_id=new_run_id(),
        session_id=session_id,
        status=RunStatus.COMPLETED,
        created_at_ms=created_at_ms,
        finished_at_ms=created_at_ms + 500,
        summary={"hook": "Crème brûlée 🔥", "empty": "", "none": {}, **numbers},
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # a test's own


def post(run_id: RunId, at_ms: int = 5_000, **changes: object) -> Post:
    made = Post(
        run_id=run_id,
        script_id=ScriptId("S01"),
        session_id="ada",
        platform="tiktok",
        post_url="https://example.org/@ada/1?a=b#c",
        views=123_456_789_012,
        likes=7,
        comments=0,
        shares=1,
        posted_at_ms=at_ms,
        watch_time_avg=12.3456789,
        completion_rate=0.1,
        rank=3,
        pattern_used="question hook, escalating, curiosity gap",
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # a test's own


async def test_a_run_comes_back_as_it_was_kept(open_records: Open, records: Records) -> None:
    kept = record()
    await records.keep_run(kept)
    found = await open_records().run(kept.run_id)
    assert found == kept
    assert found is not None
    assert {type(share) for share in found.summary["shares"]} == {int, float}
    assert await records.run(new_run_id()) is None


async def test_runs_of_a_session_are_its_own_oldest_first(records: Records) -> None:
    mine = [record("bea", at) for at in (9_000, 10_000, 200)]
    longest = "session " * 1_000
    others = [record("be", 100), record("bea2", 300), record(longest, 400), record("bea#RUN", 500)]
    for kept in (*mine, *others):
        await records.keep_run(kept)
    assert await records.runs("bea") == [mine[2], mine[0], mine[1]]
    assert await records.runs("bea", {mine[0].run_id, others[0].run_id}) == [mine[2], mine[1]]
    assert await records.runs(longest) == [others[2]]
    assert await records.runs("nobody") == []
    everyone = await records.runs()
    assert [run.run_id for run in everyone if run in (*mine, *others)] == [
        run.run_id for run in (others[0], mine[2], *others[1:], mine[0], mine[1])
    ]


async def test_an_older_record_never_replaces_a_newer_one(records: Records) -> None:
    failed = record(status=RunStatus.FAILED)
    completed = replace(failed, status=RunStatus.COMPLETED, finished_at_ms=9_000, summary={"n": 2})
    for kept in (failed, completed, failed):
        await records.keep_run(kept)
    assert await records.run(failed.run_id) == completed
    await records.keep_run(replace(completed, summary={"n": 3}))
    found = await records.run(failed.run_id)
    assert found is not None
    assert found.summary == {"n": 3}


async def test_the_same_post_again_replaces_its_numbers_and_keeps_its_time(records: Records) -> None:
    run_id = new_run_id()
    await records.keep_post(post(run_id, 5_000))
    await records.keep_post(post(run_id, 9_000, views=2, watch_time_avg=None))
    found = await records.posts(run_id)
    assert found == [post(run_id, 5_000, views=2, watch_time_avg=None)]
    assert isinstance(found[0].views, int)
    assert [p for p in await records.posts_of("ada") if p.run_id == run_id] == found


async def test_posts_differ_by_script_platform_and_address(records: Records) -> None:
    run_id, other = new_run_id(), new_run_id()
    kept = [
        post(run_id, 6_000),
        post(run_id, 2_000, script_id=ScriptId("S02")),
        post(run_id, 3_000, platform="reels"),
        post(run_id, 4_000, post_url="https://example.org/" + "x" * 1_900),
        post(run_id, 5_000, platform="tik", post_url="tokhttps://example.org/@ada/1?a=b#c"),
    ]
    elsewhere = post(other, 4_500, session_id="carl")
    for each in (*kept, elsewhere):
        await records.keep_post(each)
    assert await records.posts(run_id) == sorted(kept, key=lambda p: p.posted_at_ms)
    assert await records.posts(other) == [elsewhere]
    assert [p for p in await records.posts_of("ada") if p.run_id == run_id] == await records.posts(run_id)
    assert await records.posts_of("carl") == [elsewhere]
    everybodys = await records.posts_of()
    assert [p for p in everybodys if p.run_id in (run_id, other)] == sorted(
        [*kept, elsewhere], key=lambda p: p.posted_at_ms
    )


async def test_a_forgotten_run_takes_its_posts_with_it(records: Records) -> None:
    gone, left = record("dan"), record("dan")
    for kept in (gone, left):
        await records.keep_run(kept)
        await records.keep_post(post(kept.run_id, session_id="dan"))
    await records.forget_run(gone.run_id)
    await records.forget_run(gone.run_id)
    assert await records.run(gone.run_id) is None
    assert await records.posts(gone.run_id) == []
    assert await records.runs("dan") == [left]
    assert await records.posts(left.run_id) == await records.posts_of("dan") == [post(left.run_id, session_id="dan")]


async def test_writers_at_once_lose_nothing_and_more_than_a_page_is_read(open_records: Open) -> None:
    """A page of DynamoDB has at most 1 MB."""
    many = [record("many", at, summary={"text": "x" * 11_000}) for at in range(101)]
    writers = [open_records() for _ in range(3)]
    await asyncio.gather(*(writers[n % 3].keep_run(kept) for n, kept in enumerate(many)))
    assert await writers[0].runs("many") == many
    assert [run for run in await writers[0].runs() if run.session_id == "many"] == many


async def test_a_time_to_live_is_on_every_item_and_holds_at_once(aws: str) -> None:
    table, now_ms = DynamoRecords("month", keep_days=30), int(time.time() * 1000)
    await table.create()
    await table.create()
    fresh, old = record(created_at_ms=now_ms), record(created_at_ms=now_ms - 31 * DAY_S * 1000)
    for kept in (fresh, old):
        await table.keep_run(kept)
        await table.keep_post(post(kept.run_id, kept.finished_at_ms))
    assert await table.runs("ada") == await table.runs() == [fresh]
    assert await table.run(old.run_id) is None
    assert await table.posts(old.run_id) == []
    items = (await table._aws(lambda client: client.scan(TableName="month")))["Items"]
    expected = [kept.finished_at_ms // 1000 + 30 * DAY_S for kept in (fresh, old)]
    assert sorted(int(item[EXPIRY]["N"]) for item in items) == sorted(2 * expected)
    ttl = await table._aws(lambda client: client.describe_time_to_live(TableName="month"))
    assert ttl["TimeToLiveDescription"] == {"TimeToLiveStatus": "ENABLED", "AttributeName": EXPIRY}
    await table.close()


async def test_numbers_that_no_decimal_holds_do_not_stop_a_run_from_being_kept(records: Records) -> None:
    kept = record(summary={"max_usd": 1e300, "least": 5e-324})
    await records.keep_run(kept)
    assert await records.run(kept.run_id) == kept


async def test_a_profile_for_which_an_item_has_no_room_is_left_out(table: DynamoRecords) -> None:
    profile = {"tone": "dry", "vocabulary": ["é" * 2_000] * 100}
    kept = record(summary={"configuration": {"seed": 7, "profile": profile}, "error": None})
    await table.keep_run(kept)
    found = await table.run(kept.run_id)
    assert found is not None
    assert found.summary == {"configuration": {"seed": 7, "profile": None}, "error": None}


async def test_a_table_that_is_not_there_is_named(aws: str) -> None:
    table = DynamoRecords("nowhere")
    for asked in (table.check(), table.runs("ada"), table.keep_run(record())):
        with pytest.raises(ArchiveUnavailable, match="table 'nowhere' cannot be used"):
            await asked
    await table.close()


async def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    file = tmp_path / "records.sqlite3"
    file.write_text("not a database, by any means")
    with pytest.raises(ArchiveUnavailable, match=r"records\.sqlite3 cannot be used"):
        await LocalRecords(file).runs()
    assert file.read_text().startswith("not a database"), "what is there is left alone"


async def test_who_reads_waits_for_who_writes_and_keeps_nobody_else_waiting(tmp_path: Path) -> None:
    records, kept = LocalRecords(tmp_path / "records.sqlite3"), record()
    await records.keep_run(kept)
    with closing(sqlite3.connect(tmp_path / "records.sqlite3", isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        reading = asyncio.create_task(records.runs("ada"))
        await asyncio.sleep(0.05)
        assert not reading.done(), "this loop went on meanwhile"
        writer.execute("COMMIT")
        assert await reading == [kept]
    await records.close()


async def test_a_file_that_is_gone_is_made_anew_and_nothing_is_taken_for_kept(tmp_path: Path) -> None:
    file = tmp_path / "data" / "records.sqlite3"
    records, kept = LocalRecords(file), record()
    await records.keep_run(record())
    shutil.rmtree(file.parent)
    with pytest.raises(ArchiveUnavailable):
        await records.keep_run(kept)
    await records.keep_run(kept)
    assert await LocalRecords(file).runs() == [kept]
