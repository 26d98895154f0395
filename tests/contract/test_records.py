"""What both kinds of records promise: the local file and DynamoDB."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from flair_ray.domain.ids import RunId, ScriptId, new_run_id
from flair_ray.domain.posts import Post, RunRecord
from flair_ray.domain.runs import RunStatus
from flair_ray.errors import ArchiveUnavailable
from flair_ray.ports import Records
from flair_ray.stores.local_records import LocalRecords

Open = Callable[[], Records]


@pytest.fixture(params=["local"])
def open_records(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens the same records again, as another process would."""
    return lambda: LocalRecords(tmp_path / "data" / "records.sqlite3")


@pytest.fixture
async def records(open_records: Open) -> AsyncIterator[Records]:
    opened = open_records()
    yield opened
    await opened.close()


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
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # a test's own


async def test_a_run_comes_back_as_it_was_kept(open_records: Open, records: Records) -> None:
    kept = record()
    await records.keep_run(kept)
    again = open_records()
    found = await again.run(kept.run_id)
    await again.close()
    assert found == kept
    assert found is not None
    assert {type(share) for share in found.summary["shares"]} == {int, float}
    assert await records.run(new_run_id()) is None


async def test_runs_of_a_session_are_its_own_oldest_first(records: Records) -> None:
    mine = [record("ada", at) for at in (9_000, 10_000, 200)]
    longest = "session " * 1_000
    others = [record("ad", 100), record("ada2", 300), record(longest, 400), record("ada#RUN", 500)]
    for kept in (*mine, *others):
        await records.keep_run(kept)
    assert await records.runs("ada") == [mine[2], mine[0], mine[1]]
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
    assert await records.posts(run_id) == [post(run_id, 5_000, views=2, watch_time_avg=None)]
    assert (await records.posts_of("ada"))[0].posted_at_ms == 5_000


async def test_posts_differ_by_script_platform_and_address(records: Records) -> None:
    run_id, other = new_run_id(), new_run_id()
    kept = [
        post(run_id, 6_000),
        post(run_id, 2_000, script_id=ScriptId("S02")),
        post(run_id, 3_000, platform="reels"),
        post(run_id, 4_000, post_url="https://example.org/" + "x" * 1_900),
        post(run_id, 5_000, platform="tik", post_url="tokhttps://example.org/@ada/1?a=b#c"),
    ]
    elsewhere = post(other, 4_500, session_id="bob")
    for each in (*kept, elsewhere):
        await records.keep_post(each)
    assert await records.posts(run_id) == sorted(kept, key=lambda p: p.posted_at_ms)
    assert await records.posts(other) == [elsewhere]
    assert [p for p in await records.posts_of("ada") if p.run_id == run_id] == await records.posts(run_id)
    assert await records.posts_of("bob") == [elsewhere]


async def test_a_forgotten_run_takes_its_posts_with_it(records: Records) -> None:
    gone, left = record(), record()
    for kept in (gone, left):
        await records.keep_run(kept)
        await records.keep_post(post(kept.run_id))
    await records.forget_run(gone.run_id)
    await records.forget_run(gone.run_id)
    assert await records.run(gone.run_id) is None
    assert await records.posts(gone.run_id) == []
    assert await records.runs("ada") == [left]
    assert await records.posts(left.run_id) == await records.posts_of("ada") == [post(left.run_id)]


async def test_writers_at_once_lose_nothing(open_records: Open, records: Records) -> None:
    many = [record("crowd", at) for at in range(30)]
    writers = [open_records() for _ in range(3)]
    await asyncio.gather(*(writers[n % 3].keep_run(kept) for n, kept in enumerate(many)))
    assert await records.runs("crowd") == many
    await asyncio.gather(*(writer.close() for writer in writers))


async def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    file = tmp_path / "records.sqlite3"
    file.write_text("not a database, by any means")
    with pytest.raises(ArchiveUnavailable, match=r"records\.sqlite3 cannot be used"):
        await LocalRecords(file).runs()
    assert file.read_text().startswith("not a database"), "what is there is left alone"
