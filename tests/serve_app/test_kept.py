"""After Redis has forgotten a run, everything but its events still answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import httpx2
import pytest

from flair_ray.api import export_run
from flair_ray.config import Settings
from flair_ray.domain.ids import RunId
from flair_ray.engine import past
from flair_ray.engine.past import AllRuns
from flair_ray.errors import ArchiveUnavailable, RunNotFound
from flair_ray.outputs import render_outputs, unzipped
from flair_ray.result import RunResult
from flair_ray.stores.redis_store import RedisRunStore
from flair_ray.wiring import open_archive
from tests.conftest import serving_redis
from tests.serve_app.conftest import LocalHosts
from tests.serve_app.reading import watch
from tests.serve_app.test_videos import completed, ended

Started = Callable[..., Awaitable[str]]


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of our own: it is emptied."""
    with serving_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


async def kept(store: RedisRunStore, settings: Settings, run_id: str) -> None:
    """Wait until a run is in the archive, and Redis knows."""
    records = open_archive(settings).records
    while not await records.run(RunId(run_id)) or await store._redis.zcard("flair:unkept"):  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def test_what_redis_forgot_is_answered_as_before(
    api: httpx2.AsyncClient, started: Started, store: RedisRunStore, settings: Settings
) -> None:
    run_id = await started(api, "ada")
    await watch(api, run_id)
    await kept(store, settings, run_id)
    archive = unzipped((await api.get(f"/api/runs/{run_id}/files/run.zip")).content)
    places = [
        f"/api/pipeline/results/{run_id}",
        f"/api/runs/{run_id}",
        f"/api/runs/{run_id}/ranking",
        "/api/runs?session_id=ada",
        *(f"/api/runs/{run_id}/files/{name}" for name in archive),
    ]

    async def answers() -> list[tuple[int, bytes, str]]:
        found = [await api.get(place) for place in places]
        return [(answer.status_code, answer.content, answer.headers["content-type"]) for answer in found]

    before = await answers()
    assert {status for status, _, _ in before} == {200}
    await store._redis.flushall()
    assert await answers() == before
    assert (await api.get(f"/api/runs/{run_id}/files/nothing.html")).status_code == 404
    assert (await api.get(f"/api/runs/{run_id}/files/..%2f..%2frecords.sqlite3")).status_code == 404
    assert (await api.get(f"/api/pipeline/status/{run_id}")).status_code == 404
    assert (await api.get("/api/runs?session_id=bob")).json() == {"runs": []}

    runs = AllRuns(store, open_archive(settings))
    status, folder = await export_run(runs, RunId(run_id), settings, settings.data_dir / "exported")
    assert status == "completed"
    written = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert written == archive

    assert (await api.delete(f"/api/runs/{run_id}")).status_code == 204
    assert {(await api.get(place)).status_code for place in places if "session_id" not in place} == {404}
    assert (await api.get("/api/runs?session_id=ada")).json() == {"runs": []}
    assert (await api.delete(f"/api/runs/{run_id}")).status_code == 404
    assert not (settings.data_dir / "runs" / run_id).exists()


async def test_a_video_that_redis_forgot_is_complete(
    api: httpx2.AsyncClient, started: Started, store: RedisRunStore, settings: Settings
) -> None:
    run_id, [winner, *_] = await completed(api, started)
    await kept(store, settings, run_id)
    job_id = (await api.post("/api/video/generate", json={"run_id": run_id, "script_id": winner})).json()["job_id"]
    before = await ended(api, run_id, job_id)
    await store._redis.flushall()
    place = f"/api/video/status/{run_id}"
    assert (await api.get(f"{place}/{job_id}")).json() == before
    assert (await api.get(before["video_url"])).status_code == 200
    assert (await api.get(f"{place}/{'0' * 32}")).status_code == 404


async def test_the_files_of_a_run_are_rendered_once_until_it_changes(
    api: httpx2.AsyncClient, started: Started, store: RedisRunStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered: list[str] = []

    def render(result: RunResult) -> dict[str, bytes]:
        rendered.append(result.run_id)
        return render_outputs(result)

    runs_of_all = [await started(api) for _ in range(past.RENDERED + 1)]
    for run_id in runs_of_all:
        await watch(api, run_id)
        await kept(store, settings, run_id)
    monkeypatch.setattr(past, "render_outputs", render)
    runs, names = AllRuns(store, open_archive(settings)), ["report.html", "run.zip", "result.json", "nothing.html"]
    first, *others = map(RunId, runs_of_all)
    files = await asyncio.gather(*(runs.file(first, name) for name in names * 3))
    assert (rendered, files[3]) == ([first], None)
    assert all(files[:3])
    assert files[:4] == files[4:8]

    await store._redis.hset(f"flair:run:{first}", "error", "told later")
    assert b"told later" in (await runs.file(first, "result.json") or b"")
    assert rendered == [first] * 2

    for run_id in (*others, first):
        await runs.outputs(run_id)
    assert rendered == [first, first, *others, first]
    await runs.delete(first)
    with pytest.raises(RunNotFound):
        await runs.file(first, "report.html")


async def test_delete_forgets_a_run_that_redis_has_in_the_archive_too(
    api: httpx2.AsyncClient, started: Started, store: RedisRunStore, settings: Settings
) -> None:
    run_id = await started(api)
    await watch(api, run_id)
    await kept(store, settings, run_id)
    assert (await api.delete(f"/api/runs/{run_id}")).status_code == 204
    assert (await api.get(f"/api/runs/{run_id}")).status_code == 404
    assert await open_archive(settings).records.runs() == []


async def test_a_run_that_was_cancelled_before_anyone_drove_it_is_kept(
    quiet_api: httpx2.AsyncClient, hosts: LocalHosts, started: Started, store: RedisRunStore, settings: Settings
) -> None:
    run_id = await started(quiet_api)
    assert (await quiet_api.post(f"/api/pipeline/{run_id}/cancel")).status_code == 202
    hosts.wake()
    await kept(store, settings, run_id)
    await store._redis.flushall()
    assert (await quiet_api.get(f"/api/runs/{run_id}")).json()["status"] == "cancelled"
    refused = await quiet_api.get(f"/api/pipeline/results/{run_id}")
    assert (refused.status_code, "cancelled" in refused.json()["detail"]) == (409, True)


async def test_new_and_old_runs_are_listed_together_oldest_first_and_each_once(
    api: httpx2.AsyncClient, started: Started, store: RedisRunStore, settings: Settings
) -> None:
    old = await started(api, "fay")
    await watch(api, old)
    await kept(store, settings, old)
    await store._redis.flushall()
    new = [await started(api, "fay") for _ in range(2)]
    for run_id in new:
        await watch(api, run_id)
        await kept(store, settings, run_id)
    assert [row["run_id"] for row in (await api.get("/api/runs?session_id=fay")).json()["runs"]] == [old, *new]


async def test_without_the_archive_a_list_has_what_redis_has_and_an_old_run_is_a_503(
    api: httpx2.AsyncClient, started: Started, store: RedisRunStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise ArchiveUnavailable("The table cannot be used.")

    old, new = await started(api, "eve"), await started(api, "eve")
    for run_id in (old, new):
        await watch(api, run_id)
    await kept(store, settings, new)
    await store.delete(RunId(old))
    for name in ("run", "runs"):
        monkeypatch.setattr(f"flair_ray.stores.local_records.LocalRecords.{name}", away)
    assert [row["run_id"] for row in (await api.get("/api/runs?session_id=eve")).json()["runs"]] == [new]
    assert (await api.get(f"/api/pipeline/results/{new}")).status_code == 200
    refused = await api.get(f"/api/pipeline/results/{old}")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
