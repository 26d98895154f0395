"""A job that is followed over a connection that breaks, and ids that are taken. Real ones are in tests/system."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from ray.job_submission import JobStatus

from flair_ray.engine import ray_jobs
from flair_ray.engine.ray_jobs import MOST_FAILURES, JobServer
from flair_ray.errors import ClusterUnavailable

LOG = "one\ntwo\nthree\n"


class Client:
    """A job server's client: ``cuts`` says how much of the log each connection gives before it breaks."""

    def __init__(self, cuts: Sequence[int], status: JobStatus = JobStatus.SUCCEEDED, code: int | None = 0) -> None:
        self.cuts, self.status, self.code = list(cuts), status, code
        self.ids: list[str] = ["batch"]
        self.quicker = ["batch-2"]

    def list_jobs(self) -> list[Any]:
        return [SimpleNamespace(submission_id=one) for one in self.ids]

    def submit_job(self, *, submission_id: str, **_: object) -> str:
        if submission_id in self.quicker:
            self.ids.append(submission_id)
            raise RuntimeError("it exists")
        self.ids.append(submission_id)
        return submission_id

    async def tail_job_logs(self, _: str) -> AsyncIterator[str]:
        cut = self.cuts.pop(0) if self.cuts else len(LOG)
        for place in range(0, cut, 3):
            yield LOG[place : min(place + 3, cut)]
        if cut < len(LOG):
            raise RuntimeError("the connection broke")

    def get_job_info(self, _: str) -> Any:
        return SimpleNamespace(status=self.status, driver_exit_code=self.code, message="It ended.")


def served(monkeypatch: pytest.MonkeyPatch, client: Client) -> JobServer:
    monkeypatch.setattr(ray_jobs, "AGAIN_S", 0.0)
    monkeypatch.setattr(ray_jobs, "JobSubmissionClient", lambda _: client)
    return JobServer("http://127.0.0.1:8265")


async def test_a_log_is_told_once_however_often_the_connection_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    server = served(monkeypatch, Client([5, 4, 0, 9]))
    assert await server.follow("batch", told.append) == 0
    assert "".join(told) == LOG


@pytest.mark.parametrize(
    ("status", "code", "ends"),
    [
        (JobStatus.SUCCEEDED, 0, 0),
        (JobStatus.FAILED, 5, 5),
        (JobStatus.FAILED, -9, 1),
        (JobStatus.STOPPED, None, 130),
        (JobStatus.STOPPED, 130, 130),
    ],
)
async def test_a_job_ends_as_its_command_ended(
    monkeypatch: pytest.MonkeyPatch, status: JobStatus, code: int | None, ends: int
) -> None:
    assert await served(monkeypatch, Client([], status, code)).follow("batch", lambda _: None) == ends


@pytest.mark.parametrize("code", [None, 127])
async def test_a_command_that_never_began_is_the_clusters_fault(
    monkeypatch: pytest.MonkeyPatch, code: int | None
) -> None:
    with pytest.raises(ClusterUnavailable, match="Is flair_ray installed"):
        await served(monkeypatch, Client([], JobStatus.FAILED, code)).follow("batch", lambda _: None)


async def test_a_server_that_stays_away_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ClusterUnavailable, match="the connection broke"):
        await served(monkeypatch, Client([3] * MOST_FAILURES)).follow("batch", lambda _: None)


async def test_an_id_is_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    server = served(monkeypatch, Client([]))
    assert await asyncio.to_thread(server.submit, "batch", ["true"]) == "batch-3"
    assert await asyncio.to_thread(server.submit, "other", ["true"]) == "other"
