"""What both kinds of files promise: the data directory and a bucket."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import boto3
import httpx2
import pytest

from flair_ray.domain.ids import RunId, new_run_id
from flair_ray.errors import ArchiveUnavailable, InputError
from flair_ray.ports import Files
from flair_ray.stores.local_files import LocalFiles
from flair_ray.stores.s3 import PART_BYTES, S3Files

BUCKET = "studio-files"
HTML = "text/html"
WRONG_NAMES = (
    "../result.json", "/etc/passwd", "a/../../b", "a//b", ".hidden", "a/.b", "", "a\\b", "a\x00b", "a\nb", "ä.html",
    "~/a", "a/" * 9 + "b", "x" * 200,
)  # fmt: skip


@pytest.fixture(scope="session")
def bucket(aws: str) -> str:
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    client.close()
    return BUCKET


@pytest.fixture(scope="session")
async def s3(bucket: str) -> AsyncIterator[S3Files]:
    opened = S3Files(bucket, "our/runs")
    yield opened
    await opened.close()


@pytest.fixture(params=["local", "s3"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    s3: S3Files = request.getfixturevalue("s3") if request.param == "s3" else None
    return s3 or LocalFiles(tmp_path / "runs")


async def test_a_file_comes_back_as_it_was_put(files: Files, tmp_path: Path) -> None:
    run_id = new_run_id()
    source = tmp_path / "film.mp4"
    source.write_bytes(b"\x00film")
    await files.put(run_id, "report.html", b"one", HTML)
    await files.put(run_id, "report.html", b"two", HTML)
    await files.put(run_id, "scripts/01-a_b.srt", b"", "text/plain")
    await files.put(run_id, "videos/S01.mp4", source, "video/mp4")
    assert await files.get(run_id, "report.html") == b"two"
    assert await files.get(run_id, "scripts/01-a_b.srt") == b""
    assert await files.get(run_id, "videos/S01.mp4") == source.read_bytes() == b"\x00film"
    assert await files.get(run_id, "scripts") is None
    assert await files.get(run_id, "nothing.html") is None
    assert await files.get(new_run_id(), "report.html") is None


async def test_a_forgotten_run_takes_its_files_and_no_others(files: Files) -> None:
    gone, left = RunId("run-1"), RunId("run-10")
    for run_id in (gone, left):
        for name in ("a.txt", "deep/er/b.txt"):
            await files.put(run_id, name, b"x", "text/plain")
    await files.forget(gone)
    await files.forget(gone)
    assert [await files.get(gone, name) for name in ("a.txt", "deep/er/b.txt")] == [None, None]
    assert [await files.get(left, name) for name in ("a.txt", "deep/er/b.txt")] == [b"x", b"x"]


@pytest.mark.parametrize("name", WRONG_NAMES)
async def test_a_name_leads_nowhere_else(files: Files, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot be called"):
        await files.put(new_run_id(), name, b"x", "text/plain")
    assert await files.get(new_run_id(), name) is None
    assert await files.link(new_run_id(), name, 60) is None
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("run_id", ["..", "", "a/b", "."])
async def test_a_run_id_leads_nowhere_else(files: Files, tmp_path: Path, run_id: str) -> None:
    outside = tmp_path / "result.json"
    outside.write_text("{}")
    (tmp_path / "runs").mkdir()
    assert await files.get(RunId(run_id), "result.json") is None
    await files.forget(RunId(run_id))
    assert outside.exists()
    with pytest.raises(InputError):
        await files.put(RunId(run_id), "result.json", b"x", "text/plain")


async def test_a_link_needs_no_key_and_says_what_the_file_is(s3: S3Files) -> None:
    run_id = new_run_id()
    await s3.put(run_id, "report.html", "héllo".encode(), HTML)
    url = await s3.link(run_id, "report.html", 60)
    assert url is not None
    async with httpx2.AsyncClient() as client:
        answer = await client.get(url)
    assert (answer.status_code, answer.content) == (200, "héllo".encode())
    assert answer.headers["content-type"] == HTML
    assert "made-up" not in url.replace("Credential=made-up", ""), "the key's name is in it, never the key"
    assert await s3.link(run_id, "nothing.html", 60) is None


async def test_a_large_file_goes_in_parts(s3: S3Files, tmp_path: Path) -> None:
    run_id, source = new_run_id(), tmp_path / "film.mp4"
    source.write_bytes(os.urandom(PART_BYTES + 1_000_000))
    await s3.put(run_id, "videos/S01.mp4", source, "video/mp4")
    assert await s3.get(run_id, "videos/S01.mp4") == source.read_bytes()
    head = await s3._aws(lambda client: client.head_object(Bucket=BUCKET, Key=f"our/runs/{run_id}/videos/S01.mp4"))
    assert head["ETag"].endswith('-2"'), "two parts"
    assert head["ContentType"] == "video/mp4"


async def test_a_prefix_keeps_apart(bucket: str, s3: S3Files) -> None:
    run_id, mine = new_run_id(), S3Files(bucket, "/mine/")
    await mine.put(run_id, "a.txt", b"x", "text/plain")
    assert await s3.get(run_id, "a.txt") is None
    keys = await s3._aws(lambda client: client.list_objects_v2(Bucket=BUCKET, Prefix="mine/"))
    assert [entry["Key"] for entry in keys["Contents"]] == [f"mine/{run_id}/a.txt"]
    await mine.close()


async def test_a_bucket_that_is_not_there_is_named(aws: str) -> None:
    files = S3Files("nowhere")
    with pytest.raises(ArchiveUnavailable, match="bucket 'nowhere' cannot be used"):
        await files.put(new_run_id(), "a.txt", b"x", "text/plain")
    with pytest.raises(ArchiveUnavailable, match="bucket 'nowhere' cannot be used"):
        await files.check()
    await files.close()


async def test_where_nobody_answers(monkeypatch: pytest.MonkeyPatch, aws: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("flair_ray.stores.aws.ATTEMPTS", 1)
    files = S3Files(BUCKET)
    with pytest.raises(ArchiveUnavailable, match="Could not connect"):
        await files.get(new_run_id(), "a.txt")
    await files.close()


async def test_a_disk_that_refuses_is_named(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("not a folder")
    with pytest.raises(ArchiveUnavailable, match="runs cannot be used"):
        await LocalFiles(tmp_path / "runs").put(new_run_id(), "a.txt", b"x", "text/plain")


async def test_whoever_writes_just_then_stops_no_forgetting(tmp_path: Path) -> None:
    files, run_id = LocalFiles(tmp_path / "runs"), new_run_id()

    enough = asyncio.Event()

    async def write() -> None:
        while not enough.is_set():
            for number in range(20):
                with suppress(ArchiveUnavailable):  # his folder has gone: he comes back
                    await files.put(run_id, f"{number}.txt", b"text", "text/plain")

    writing = [asyncio.create_task(write()) for _ in range(2)]
    for _ in range(100):
        await asyncio.sleep(0)
        await files.forget(run_id)
    enough.set()  # and not cancelled: the thread of a write goes on
    await asyncio.gather(*writing)
    await files.forget(run_id)
    assert list((tmp_path / "runs").iterdir()) == []
