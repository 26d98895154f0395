"""The same with a bucket and a table, which are not there yet when the run ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import boto3
import httpx2
import pytest

from flair_ray.config import Settings
from flair_ray.domain.ids import RunId
from flair_ray.engine.keeping import Keeper
from flair_ray.stores.dynamodb import DynamoRecords
from flair_ray.stores.redis_store import RedisRunStore
from flair_ray.stores.unkept import RedisUnkept
from flair_ray.wiring import open_archive
from tests.conftest import serving_redis
from tests.serve_app.reading import watch
from tests.serve_app.test_videos import ended


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of our own: it is emptied."""
    with serving_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
def settings(aws: str, tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", s3_bucket="later", dynamodb_table="later")


async def test_a_run_completes_without_its_archive_and_is_kept_when_that_is_there(
    api: httpx2.AsyncClient, started: Callable[..., Awaitable[str]], store: RedisRunStore, settings: Settings
) -> None:
    run_id = await started(api, "ada")
    assert (await watch(api, run_id))[-1]["event"] == "pipeline_complete"
    places = [f"/api/pipeline/results/{run_id}", f"/api/runs/{run_id}/ranking", f"/api/runs/{run_id}/files/report.html"]
    before = [(await api.get(place)).content for place in places]
    summary = (await api.get(f"/api/runs/{run_id}")).json()

    archive = open_archive(settings)
    assert isinstance(archive.records, DynamoRecords)
    await archive.records.create()
    client = boto3.client("s3")
    client.create_bucket(Bucket="later", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    client.close()
    while not await archive.records.run(RunId(run_id)):  # whoever keeps it
        await store._redis.zadd("flair:unkept", {run_id: 0}, xx=True)
        await Keeper(store, RedisUnkept(store._redis), archive).keep_ended()
        await asyncio.sleep(0.01)

    winner = (await api.get(f"/api/pipeline/results/{run_id}")).json()["results"][0]["script_id"]
    job_id = (await api.post("/api/video/generate", json={"run_id": run_id, "script_id": winner})).json()["job_id"]
    job = await ended(api, run_id, job_id)

    await store._redis.flushall()
    moved = await api.get(job["video_url"])
    assert moved.status_code == 307
    async with httpx2.AsyncClient() as anyone:
        part = await anyone.get(moved.headers["location"], headers={"Range": "bytes=4-7"})
    assert (part.status_code, part.content, part.headers["content-type"]) == (206, b"ftyp", "video/mp4")
    assert [(await api.get(place)).content for place in places] == before
    assert (await api.get(f"/api/runs/{run_id}")).json() == summary
    listed = (await api.get("/api/runs?session_id=ada")).json()["runs"]
    assert [(row["run_id"], row["status"]) for row in listed] == [(run_id, "completed")]
    link = await archive.files.link(RunId(run_id), "report.html", 60)
    assert link
    async with httpx2.AsyncClient() as anyone:
        assert (await anyone.get(link)).content == before[-1]
    assert (await api.delete(f"/api/runs/{run_id}")).status_code == 204
    assert (await api.get(f"/api/runs/{run_id}")).status_code == 404
    assert await archive.files.get(RunId(run_id), "report.html") is None
    assert not settings.data_dir.joinpath("runs").exists()
    await archive.close()
