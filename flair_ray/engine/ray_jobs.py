"""A cluster's job server: a command line that runs on the cluster, with files of ours, and is followed from here.

It is what ``ray job submit`` uses. A job has an id that no other job of the cluster has, and a name that shows in the
dashboard. Whoever follows it may go away at any time; the job does not notice.
"""

from __future__ import annotations

import asyncio
import logging
import shlex
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

from aiohttp import ClientError
from ray.job_submission import JobStatus, JobSubmissionClient

from flair_ray.errors import ClusterUnavailable, RunInterrupted

NOT_FOUND = 127
"""What a shell says of a command that it does not have."""
AGAIN_S, MOST_FAILURES = 1.0, 30
TALKATIVE = (
    "ray.dashboard.modules.job.sdk",
    "ray.dashboard.modules.dashboard_sdk",
    "ray._private.runtime_env.packaging",
)


class JobServer:
    """The one at ``address``, such as http://HOST:8265. Raises ClusterUnavailable where it does not answer."""

    def __init__(self, address: str) -> None:
        self._address = address
        for name in TALKATIVE:
            logging.getLogger(name).setLevel(logging.ERROR)  # what it does along the way is not for our users
        try:
            self._client = JobSubmissionClient(address)
        except (OSError, RuntimeError, ValueError) as err:
            raise self._away(err) from err

    def submit(self, name: str, words: Sequence[str], files: Path | None = None) -> str:
        """Start a job called ``name``, in a copy of the folder ``files``; returns its id: the name, or close to it."""
        env = {"working_dir": str(files)} if files else None
        line, metadata = shlex.join(words), {"job_name": name}
        try:
            while True:
                taken = self._ids()
                job_id = next(i for n in count(1) if (i := name if n == 1 else f"{name}-{n}") not in taken)
                try:
                    return str(
                        self._client.submit_job(
                            entrypoint=line, submission_id=job_id, runtime_env=env, metadata=metadata
                        )
                    )
                except RuntimeError:
                    if job_id not in self._ids():  # else somebody was quicker
                        raise
        except (OSError, RuntimeError, ValueError) as err:
            raise self._away(err) from err

    def _ids(self) -> set[str | None]:
        return {job.submission_id for job in self._client.list_jobs()}

    async def follow(self, job_id: str, tell: Callable[[str], None]) -> int:
        """Tell a job's output as it comes until it has ended; returns the exit code of its command.

        A connection that breaks is made again: only the job's end is its end.
        """
        told, failures = 0, 0
        while True:
            seen = 0
            try:
                async for text in self._client.tail_job_logs(job_id):  # from its beginning, each time
                    if seen + len(text) > told:
                        tell(text[max(0, told - seen) :])
                    seen += len(text)
                    told = max(told, seen)
                info = await asyncio.to_thread(self._client.get_job_info, job_id)
                failures = 0
                if info.status.is_terminal():
                    break
            except (OSError, RuntimeError, ClientError) as err:
                failures += 1
                if failures == MOST_FAILURES:
                    raise self._away(err) from err
            await asyncio.sleep(AGAIN_S)
        if info.status is JobStatus.STOPPED:
            return RunInterrupted.exit_code
        if info.driver_exit_code is None or info.driver_exit_code == NOT_FOUND:
            raise ClusterUnavailable(
                f"Job {job_id} could not do its work: {info.message} Is flair_ray installed on the cluster's nodes, in "
                "the environment that Ray was started from? docs/how-to/a-ray-cluster.md says how."
            )
        return info.driver_exit_code if info.driver_exit_code > 0 else int(info.status is not JobStatus.SUCCEEDED)

    def _away(self, err: Exception) -> ClusterUnavailable:
        why = str(err).strip().splitlines() or [type(err).__name__]
        return ClusterUnavailable(
            f"The job server at {self._address} cannot be used: {why[-1][:300]} Is it the dashboard's address, and "
            "does the cluster want a token (RAY_AUTH_MODE=token, RAY_AUTH_TOKEN)?"
        )
