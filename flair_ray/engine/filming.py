"""One video job from wherever it stands to its end, by whoever has taken it.

    ordered ──▶ asked ──▶ named ──▶ fetched, kept ──▶ complete
                  │          └─ died here: polled again under its name
                  └─ died here: failed, for it may have been billed

A provider is asked once. That it is about to be asked goes on record first, and the name it answers with right after,
so that nobody who takes the job up pays again. Ordering it anew after a failure is a person's decision.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from flair_ray.domain.ids import RunId, ScriptId
from flair_ray.domain.runs import RunStatus
from flair_ray.domain.scripts import FinalScript
from flair_ray.domain.video_jobs import JobStatus, VideoJob
from flair_ray.engine.loading import load_state
from flair_ray.errors import FlairError, InfrastructureError, InputError, ProviderError, RunConflict
from flair_ray.ports import Clock, Files, RunStore
from flair_ray.stores.video_jobs import RedisVideoJobs

POLL_S = 10.0
"""As Google's own examples wait; a video takes one to six minutes."""
PATIENCE_S = 1800.0
"""A provider that has nothing after this long will not have it."""
NAME_S = 130.0
"""A bit longer than the call that asks may take."""
MOST_TRIES = 3
"""A job whose process dies each time must not go round for ever."""


class VideoProvider(Protocol):
    """Makes one script's video. Raises ProviderErrors."""

    async def begin(self, script: FinalScript) -> str:
        """Asks for it, which may cost; returns the name by which anybody can ask what has become of it."""
        ...

    async def fetch(self, script: FinalScript, operation: str) -> bytes | None:
        """The MP4; None while it is not ready."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Studio:
    """What it takes to make a video."""

    jobs: RedisVideoJobs
    store: RunStore
    provider_for: Callable[[str], VideoProvider]
    files: Files
    clock: Clock


async def film(taken: VideoJob, studio: Studio) -> None:
    """Takes a job that is ours to its end. Raises InfrastructureError; then somebody takes it up again."""
    try:
        tries = await studio.jobs.tries(taken)
        job = await studio.jobs.job(taken.run_id, taken.job_id)  # it may have waited for a process for long
        if job is None or job.status is not JobStatus.PROCESSING:
            return
        if tries > MOST_TRIES:
            raise ProviderError(
                f"Making this video was given up after {MOST_TRIES} tries; the log says what ended them."
            )
        provider = studio.provider_for(job.provider)
        try:
            content = await _made(job, provider, studio)
        finally:
            await provider.close()
        if await studio.jobs.job(job.run_id, job.job_id) is None:
            return  # its run was deleted meanwhile
        await studio.files.put(job.run_id, job.file_name, content, "video/mp4")
    except InfrastructureError:
        raise
    except FlairError as err:
        await studio.jobs.fail(taken, str(err))
    else:
        await studio.jobs.complete(taken)


async def scripts_to_film(store: RunStore, run_id: RunId) -> dict[ScriptId, FinalScript]:
    """The run's results by id, best first. Raises RunNotFound, and RunConflict when it is not completed."""
    status = (await store.snapshot(run_id)).status
    if status is not RunStatus.COMPLETED:
        raise RunConflict(f"Run {run_id} is {status.value}: it has no scripts to film yet.")
    state = await load_state(store, run_id, unfinished=True)
    return {script.script_id: script for script in sorted(state.finals, key=lambda script: script.rank)}


async def _made(job: VideoJob, provider: VideoProvider, studio: Studio) -> bytes:
    scripts = await scripts_to_film(studio.store, job.run_id)
    if job.script_id not in scripts:
        raise InputError(f"Run {job.run_id} has no script {job.script_id!r} to film.")
    script = scripts[job.script_id]
    operation = job.operation or await _begun(job, script, provider, studio)
    until_s = studio.clock.now_s() + PATIENCE_S
    while studio.clock.now_s() < until_s:
        try:
            if (content := await provider.fetch(script, operation)) is not None:
                return content
        except ProviderError as err:
            if not err.retryable:
                raise
        await studio.clock.sleep(POLL_S)
    raise ProviderError(f"{job.provider} has no video after {PATIENCE_S / 60:.0f} minutes. It calls it {operation}.")


async def _begun(job: VideoJob, script: FinalScript, provider: VideoProvider, studio: Studio) -> str:
    """Asks, once. A name that never came to be on record stays unknown."""
    if not await studio.jobs.ask(job):
        return await _name_of_another(job, studio)
    try:
        operation = await provider.begin(script)
    except ProviderError as err:
        unsure = " It may have been billed. Order it again to have it made anew." if err.maybe_billed else ""
        raise ProviderError(f"{err}{unsure}") from err
    await studio.jobs.name(job, operation)
    return operation


async def _name_of_another(job: VideoJob, studio: Studio) -> str:
    """Whoever asked may only be slow: it has as long as a call may take."""
    until_s = studio.clock.now_s() + NAME_S
    while True:
        found = await studio.jobs.job(job.run_id, job.job_id)
        if found and found.operation:
            return found.operation
        if studio.clock.now_s() >= until_s:
            raise ProviderError(
                f"{job.provider} was asked for this video and its answer was lost, so it may have been billed. "
                "Order it again to have it made anew."
            )
        await studio.clock.sleep(POLL_S)
