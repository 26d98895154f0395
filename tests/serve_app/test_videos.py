"""A script's video over HTTP: ordered, watched, played; and everything that is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest

from flair_ray.wiring import usable_videos
from tests.serve_app.conftest import LocalHosts
from tests.serve_app.reading import watch

Started = Callable[..., Awaitable[str]]
NO_RUN = "00000000-0000-4000-8000-000000000000"
NO_JOB = "0" * 32


async def completed(api: httpx2.AsyncClient, started: Started, **changes: Any) -> tuple[str, list[str]]:
    """A run and its results' ids, the winner's first."""
    run_id = await started(api, **changes)
    assert (await watch(api, run_id))[-1]["event"] == "pipeline_complete"
    results = (await api.get(f"/api/pipeline/results/{run_id}")).json()["results"]
    return run_id, [row["script_id"] for row in results]


async def ended(api: httpx2.AsyncClient, run_id: str, job_id: str) -> dict[str, Any]:
    while True:
        answer = await api.get(f"/api/video/status/{run_id}/{job_id}")
        assert answer.status_code == 200, answer.text
        job: dict[str, Any] = answer.json()
        assert job.keys() == {"job_id", "status", "video_url", "error"}
        if job["status"] != "processing":
            return job
        assert (job["video_url"], job["error"]) == (None, None)
        await asyncio.sleep(0.02)


async def test_from_a_script_to_a_video_that_a_browser_can_seek_in(api: httpx2.AsyncClient, started: Started) -> None:
    run_id, [winner, second, _] = await completed(api, started)
    order = {"run_id": run_id, "script_id": winner}
    answers = await asyncio.gather(*(api.post("/api/video/generate", json=order) for _ in range(3)))
    assert {answer.status_code for answer in answers} == {200}
    [job_id] = {answer.json()["job_id"] for answer in answers}
    job = await ended(api, run_id, job_id)
    assert (job["status"], job["error"]) == ("complete", None)

    whole = await api.get(job["video_url"])
    assert (whole.status_code, whole.headers["content-type"]) == (200, "video/mp4")
    assert whole.headers["accept-ranges"] == "bytes"
    assert whole.content[4:8] == b"ftyp"
    part = await api.get(job["video_url"], headers={"Range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, b"ftyp")
    assert part.headers["content-range"] == f"bytes 4-7/{len(whole.content)}"
    assert (await api.get(job["video_url"], headers={"Range": "bytes=999999999-"})).status_code == 416
    assert "media-src" in whole.headers["content-security-policy"]

    again = await api.post("/api/video/generate", json=order)
    assert again.json() == {"job_id": job_id}
    other = await api.post("/api/video/generate", json=order | {"script_id": second})
    assert other.json()["job_id"] != job_id


async def test_an_order_that_cannot_be_met_says_why(
    api: httpx2.AsyncClient, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id, [winner, *_] = await completed(api, started)
    for body, status, said in (
        ({"run_id": NO_RUN, "script_id": winner}, 404, "no run"),
        ({"run_id": "x:events", "script_id": winner}, 404, "no run"),
        ({"run_id": run_id, "script_id": "S99"}, 404, "S99"),
        ({"run_id": run_id}, 422, "script_id"),
        ({"run_id": run_id, "script_id": ["S01"]}, 422, "script_id"),
        ({"run_id": run_id, "script_id": winner, "video_model": "kubrick"}, 422, "kubrick"),
        ({"run_id": run_id, "script_id": winner, "video_model": "veo"}, 422, "FLAIR_VEO"),
        ([], 422, ""),
    ):
        answer = await api.post("/api/video/generate", json=body)
        assert answer.status_code == status, answer.text
        assert said in answer.json()["detail"]
    for path in (
        f"/api/video/status/{NO_RUN}/{NO_JOB}",
        f"/api/video/status/{run_id}/{NO_JOB}",
        f"/api/video/status/{run_id}/latest:animatic:{winner}",
        f"/api/runs/{run_id}/videos/{NO_JOB}.mp4",
        f"/api/runs/{run_id}/videos/..%2F..%2Fresult.json",
        f"/api/runs/{NO_RUN}/videos/{NO_JOB}.mp4",
    ):
        answer = await api.get(path)
        assert answer.status_code == 404, path
        assert answer.json()["detail"]


async def test_a_run_that_is_not_completed_has_no_video(
    quiet_api: httpx2.AsyncClient, started: Started, hosts: LocalHosts
) -> None:
    run_id = await started(quiet_api)
    answer = await quiet_api.post("/api/video/generate", json={"run_id": run_id, "script_id": "S01"})
    assert answer.status_code == 409
    hosts.wake()


async def test_an_order_waits_for_a_host_and_its_file_is_not_there_yet(
    api: httpx2.AsyncClient, started: Started, hosts: LocalHosts
) -> None:
    run_id, [winner, *_] = await completed(api, started)
    await hosts.end()
    job_id = (await api.post("/api/video/generate", json={"run_id": run_id, "script_id": winner})).json()["job_id"]
    assert (await api.get(f"/api/video/status/{run_id}/{job_id}")).json()["status"] == "processing"
    assert (await api.get(f"/api/runs/{run_id}/videos/{job_id}.mp4")).status_code == 404
    hosts.wake()
    assert (await ended(api, run_id, job_id))["status"] == "complete"


async def test_what_can_be_used_is_listed(quiet_api: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await quiet_api.get("/api/providers")).json()["video"] == usable_videos() == ["animatic"]
    monkeypatch.setenv("FLAIR_VEO_PROJECT", "mine")
    assert usable_videos() == ["animatic", "veo"]
    monkeypatch.setattr("flair_ray.wiring.find_spec", lambda name: None)
    assert usable_videos() == ["veo"]


@pytest.mark.parametrize(("wanted", "stored"), [("animatic", "animatic"), ("veo", "veo"), ("kubrick", None)])
async def test_a_run_remembers_who_is_to_make_its_videos(
    quiet_api: httpx2.AsyncClient, started: Started, wanted: str, stored: str | None
) -> None:
    one = (await quiet_api.get(f"/api/runs/{await started(quiet_api, video_model=wanted)}")).json()
    assert one["configuration"]["video_model"] == stored
    assert (wanted == "animatic") == (not any("video_model" in warning for warning in one["warnings"]))


async def test_the_runs_own_choice_is_the_default(api: httpx2.AsyncClient, started: Started) -> None:
    run_id, [winner, *_] = await completed(api, started, video_model="veo")
    order = {"run_id": run_id, "script_id": winner}
    refused = await api.post("/api/video/generate", json=order)
    assert (refused.status_code, "FLAIR_VEO" in refused.json()["detail"]) == (422, True)
    assert (await api.post("/api/video/generate", json=order | {"video_model": "animatic"})).status_code == 200
