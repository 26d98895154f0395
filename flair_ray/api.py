"""The studio as a library: one call from videos and a profile to ranked scripts.

    result = flair_ray.run(videos="my_videos/", profile="me.json")
    result.to_pandas()

The command line goes through the same functions: read and check everything, record the run, drive it, write.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from flair_ray import data
from flair_ray.actors.video_desk import held
from flair_ray.config import Settings, load_settings, ray_address
from flair_ray.domain.events import Event
from flair_ray.domain.ids import RunId, ScriptId, given_run_id, new_run_id
from flair_ray.domain.insights import Insights
from flair_ray.domain.people import VOICE_CHARS, VOICES, CreatorProfile, Persona
from flair_ray.domain.posts import Post
from flair_ray.domain.rigor import Rigor
from flair_ray.domain.runs import Limits, RunSpec, RunStatus
from flair_ray.domain.video_jobs import ANIMATIC, JobStatus, VideoJob
from flair_ray.domain.videos import Video
from flair_ray.engine.estimate import Estimate, estimate
from flair_ray.engine.filming import film, scripts_to_film
from flair_ray.engine.learning import learned, with_lessons
from flair_ray.engine.order import Order, check, differences, first_event, prepare
from flair_ray.engine.past import AllRuns
from flair_ray.engine.plan import NOTHING_OWN, Own
from flair_ray.engine.posting import report_post
from flair_ray.engine.results import gather_result
from flair_ray.errors import InputError, LeaseLost, ProviderError, RunConflict, RunNotFound, RunOutdated
from flair_ray.inputs import read_personas, read_profile, read_videos
from flair_ray.inputs.posts import PostBody
from flair_ray.options import RunOptions
from flair_ray.outputs import write_files, write_outputs
from flair_ray.ports import MapStage, Provider, Records, RunStore
from flair_ray.providers.prices import parse_price
from flair_ray.result import RunResult
from flair_ray.stores.local_files import LocalFiles
from flair_ray.wiring import (
    RUNS,
    Choice,
    Studio,
    check_video,
    choose_model,
    choose_voters,
    declared_limits,
    open_archive,
    open_store,
    open_studio,
    video_studio,
    with_own,
)

T = TypeVar("T")
Listener = Callable[[Event], None]
POLL_MS = 250
"""How long a listener waits for news before it looks whether the run has ended."""
JOIN_S = 1.0
"""How often one who waits for another's run looks whether it is still driven."""


def run(
    videos: str | Path | Sequence[Video] | None = None,
    *,
    provider: str | Provider | None = None,
    stages: Sequence[MapStage[Any, Any, Any]] = (),
    progress: Listener | None = None,
    **options: object,
) -> RunResult:
    """One run, from start to end; see RunOptions for the options. Works in a notebook, too.

    ``provider`` may be an object of your own with the methods of ``ports.Provider``, and ``stages`` are used instead of
    the plan's map stages of the same names (``ports.MapStage``). Both travel to the workers pickled, so let them open
    what they need in there. Such a run cannot be resumed by a command.

    Raises InputError, ProviderError or InfrastructureError when the run could not be made; a run that failed
    or was cancelled comes back as a result whose ``status`` says so.
    """
    return _blocking(arun(videos, provider=provider, stages=stages, progress=progress, **options))


async def arun(
    videos: str | Path | Sequence[Video] | None = None,
    *,
    provider: str | Provider | None = None,
    stages: Sequence[MapStage[Any, Any, Any]] = (),
    progress: Listener | None = None,
    **options: object,
) -> RunResult:
    """The same for code that runs an event loop of its own."""
    named = provider if isinstance(provider, str) else None
    own = Own(None if isinstance(provider, str) else provider, tuple(stages))
    chosen = RunOptions(videos=videos, provider=named, **options)  # type: ignore[arg-type]  # unknown: TypeError
    settings = load_settings()
    choice, order = make_order(chosen, settings, own=own)
    begun_s = time.time()
    if made := await made_before(chosen, order, settings):
        return made
    async with open_studio(settings, choice, chosen.address or ray_address(), order.voter_model) as studio:
        run_id = await submit(studio.store, order, settings, chosen.run_id)
        join = chosen.run_id is not None
        return await carry_out(studio, run_id, settings, chosen.out_dir, progress, begun_s, join=join)


def make_order(
    options: RunOptions, settings: Settings, *, keyless: bool = False, own: Own = NOTHING_OWN
) -> tuple[Choice, Order]:
    """Everything that was asked for, read and checked; nothing is started and nothing written.

    Raises InputError naming the file and the record, and MissingKey.
    """
    named = partial(choose_model, options.provider, options.model, options.base_url, keyless=keyless)
    choice = with_own(own, named, options.model)
    voters = choose_voters(options.voter_model, choice, keyless=keyless) if options.voter_model else None
    videos, remarks = _videos(options.videos, settings)
    if options.videos is not None and options.profile is None:
        remarks.append(f"No profile was given: writing for the sample {data.sample_profiles()[0].id!r}.")
    order = Order(
        profile=_profile(options, settings),
        videos=videos,
        remarks=tuple(remarks),
        personas=_personas(options.personas),
        model=choice.model,
        rigor=_rigor(options.rigor),
        refine=options.refine,
        voter_model=voters.model if voters else None,
        voter_limits=declared_limits(voters, settings) if voters else Limits(),
        num_videos=options.num_videos,
        num_scripts=options.num_scripts,
        num_personas=options.num_personas,
        top_n=options.top_n,
        seed=options.seed,
        version=own.version,
        cache=options.cache,
        limits=declared_limits(choice, settings, Limits(options.max_in_flight, options.rpm, options.tpm)),
        max_usd=options.max_usd,
        price=parse_price(options.price) if isinstance(options.price, str) else options.price,
    )
    check(order, settings)
    if options.out_dir is not None:
        _check_writable(Path(options.out_dir))
    return choice, order


def _rigor(asked: str) -> Rigor:
    try:
        return Rigor(asked)
    except ValueError:
        raise InputError(f"--rigor is {' or '.join(Rigor)}, not {asked!r}.") from None


def foresee(options: RunOptions, settings: Settings) -> tuple[RunSpec, Estimate]:
    """What a run would take; nothing is started. Raises as ``make_order`` does, but for a key that is not there."""
    spec, inputs = prepare(make_order(options, settings, keyless=True)[1], settings)
    return spec, estimate(spec, inputs)


def _check_writable(folder: Path) -> None:
    """Before anything is paid for: a result that cannot be written is a sad one."""
    place = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    try:
        with tempfile.TemporaryDirectory(dir=place):
            pass
    except OSError as err:
        raise InputError(f"Nothing can be written to {folder}: {err.strerror}. Choose another folder.") from err


async def submit(
    store: RunStore, order: Order, settings: Settings, run_id: str | None = None, *, hosted: bool = False
) -> RunId:
    """Record a run, told what earlier ones taught. It is not driven yet; ``hosted``: the run hosts are to do it.

    Under a ``run_id`` of one's own the same order is recorded once. Raises RunConflict where that run is of another.
    """
    given = run_id and given_run_id(run_id)
    async with _records(settings) as records:
        order = await with_lessons(order, records)
        kept = await records.run(given) if given else None
    spec, inputs = prepare(order, settings)
    if given and await _known(store, given, spec):
        if hosted and (await store.snapshot(given)).status is not RunStatus.COMPLETED:
            await store.host(given)
        return given
    if kept:
        raise RunConflict(
            f"Run {run_id} has ended, and Redis has forgotten it since. `flair export {run_id}` writes what came of "
            "it; to run again, choose another --run-id."
        )
    new = given or new_run_id()
    try:
        await store.create(new, spec, inputs, first_event(new, spec), hosted=hosted)
    except RunConflict:  # by somebody else, just now; or it was deleted lately
        if not (given and await _known(store, given, spec)):
            raise
    return new


async def made_before(options: RunOptions, order: Order, settings: Settings) -> RunResult | None:
    """The result of the run that has the id asked for, where it is complete; nothing but Redis is needed for it.

    Raises RunConflict where that run is of another order.
    """
    if options.run_id is None:
        return None
    run_id = given_run_id(options.run_id)
    async with open_store(settings, visiting=True) as opened:
        if not await _known(opened.store, run_id, prepare(order, settings)[0]):
            return None
        if (await opened.store.snapshot(run_id)).status is not RunStatus.COMPLETED:
            return None
        return keep(await gather_result(opened.store, run_id), settings, options.out_dir)


async def _known(store: RunStore, run_id: RunId, asked: RunSpec) -> bool:
    """Whether there is a run of this id; one of another order is a RunConflict."""
    try:
        found = differences(await store.spec(run_id), asked)
    except RunNotFound:
        return False
    if found:
        raise RunConflict(
            f"Run {run_id} was made from another order, by its {', '.join(found)}. Choose another --run-id, or go on "
            f"with it as it is: `flair resume {run_id}`."
        )
    return True


async def report(body: PostBody, settings: Settings) -> Post:
    """Keep how a posted script has done. Raises RunNotFound, ScriptNotFound and RunConflict."""
    async with open_store(settings, visiting=True) as opened:
        return await report_post(body, opened.runs, opened.panel, int(time.time() * 1000))


async def recall(settings: Settings, session_id: str | None = None) -> Insights:
    """What was learned from the posts of one session, or of all."""
    async with _records(settings) as records:
        return await learned(records, session_id)


@asynccontextmanager
async def _records(settings: Settings) -> AsyncIterator[Records]:
    archive = open_archive(settings)
    try:
        yield archive.records
    finally:
        await archive.close()


async def carry_out(
    studio: Studio,
    run_id: RunId,
    settings: Settings,
    out_dir: str | Path | None = None,
    progress: Listener | None = None,
    begun_s: float | None = None,
    *,
    join: bool = False,
) -> RunResult:
    """Drive a recorded run to its end, telling ``progress`` every event, and write its outputs.

    ``begun_s`` is when the wait began, seconds since the epoch, for the startup time. ``join``: while another process
    drives it, wait with it instead of raising RunConflict.
    """
    driving = asyncio.create_task(_joined(studio, run_id) if join else studio.driver.drive(run_id))
    try:
        if progress:
            await follow(studio.store, run_id, progress, driving)
        await driving
    finally:
        driving.cancel()
        await asyncio.gather(driving, return_exceptions=True)
    result = keep(await gather_result(studio.store, run_id, begun_s=begun_s), settings, out_dir)
    await studio.keeper.keep_ended(result)
    return result


async def _joined(studio: Studio, run_id: RunId) -> RunStatus:
    """How it ended, under whoever had its lease; one that is left open by a driver that died is gone on with."""
    while True:
        try:
            return await studio.driver.drive(run_id, patient=False)
        except RunOutdated:
            raise
        except (RunConflict, LeaseLost):
            await asyncio.sleep(JOIN_S)
        while await studio.store.is_driven(run_id):  # noqa: ASYNC110  # by another process, perhaps elsewhere
            await asyncio.sleep(JOIN_S)
        snapshot = await studio.store.snapshot(run_id)
        if snapshot.over:
            return snapshot.status


async def follow(store: RunStore, run_id: RunId, tell: Listener, driving: asyncio.Task[object] | None = None) -> None:
    """Tell every event of a run's log, from the first on, until nothing more can come.

    That is when ``driving`` has ended; without it, when the run is in a terminal state.
    """
    after = "0"
    while True:
        ended = driving.done() if driving else (await store.snapshot(run_id)).status.terminal
        news = await store.events(run_id, after, block_ms=None if ended else POLL_MS)
        for event in news:
            tell(event)
            after = event.event_id
        if ended and not news:
            return


def keep(result: RunResult, settings: Settings, out_dir: str | Path | None = None) -> RunResult:
    """Write a run's outputs, by default to its folder under the data directory."""
    folder = _folder(result.run_id, settings, out_dir)
    placed = replace(result, out_dir=folder)
    write_outputs(placed, folder)
    return placed


async def make_video(
    settings: Settings,
    run_id: RunId,
    script_id: str | None = None,
    provider: str | None = None,
    progress: Callable[[float], None] | None = None,
) -> tuple[VideoJob, Path]:
    """The video of one of a run's results, the winner's by default: made here, unless it is being made elsewhere.

    Raises RunNotFound, RunConflict, InputError, MissingKey, and ProviderError when it could not be made.
    """
    async with open_store(settings, visiting=True) as opened, video_studio(settings, opened.url, progress) as studio:
        scripts = await scripts_to_film(studio.store, run_id)
        chosen = ScriptId(script_id) if script_id else next(iter(scripts), ScriptId(""))
        if chosen not in scripts:
            raise InputError(f"Run {run_id} has no script {chosen!r}. Its results are: {', '.join(scripts)}.")
        named = provider or (await studio.store.spec(run_id)).video_model or ANIMATIC
        check_video(named)
        job = await studio.jobs.order(run_id, chosen, named)
        if job.status is JobStatus.COMPLETE and await studio.files.get(run_id, job.file_name) is None:
            job = await studio.jobs.order(run_id, chosen, named, anew=True)
        while job.status is JobStatus.PROCESSING:
            taken = await studio.jobs.take(1, job)
            for ours in taken:
                async with held(studio.jobs, ours):
                    await film(ours, studio)
            if not taken:
                await asyncio.sleep(POLL_MS / 1000)
            found = await studio.jobs.job(run_id, job.job_id)
            job = found or replace(job, status=JobStatus.FAILED, error="its run was deleted.")
        if job.status is JobStatus.FAILED:
            raise ProviderError(f"There is no video: {job.error}")
        path = _folder(run_id, settings, None) / job.file_name
        if not path.exists() and (content := await studio.files.get(run_id, job.file_name)):  # it was kept elsewhere
            await LocalFiles(settings.data_dir / RUNS).put(run_id, job.file_name, content, "video/mp4")
    return job, path


async def export_run(
    runs: AllRuns, run_id: RunId, settings: Settings, out_dir: str | Path | None = None
) -> tuple[str, Path]:
    """Write a run's outputs again; also of a run that only the archive has. Returns its status, and where they are."""
    summary, contents = await runs.summary(run_id), await runs.outputs(run_id)
    folder = _folder(run_id, settings, out_dir)
    write_files(run_id, contents, folder)
    return summary["status"], folder


def _folder(run_id: RunId, settings: Settings, out_dir: str | Path | None) -> Path:
    return Path(out_dir) if out_dir else settings.data_dir / RUNS / run_id


def _videos(given: str | Path | Sequence[Video] | None, settings: Settings) -> tuple[tuple[Video, ...], list[str]]:
    """The videos, and what to say about those that were left out."""
    if given is None:
        return data.sample_videos(), []
    if not isinstance(given, str | Path):
        return tuple(given), []
    found = read_videos(Path(given), max_transcript_bytes=settings.max_transcript_bytes)
    return found.videos, found.remarks()


def _profile(options: RunOptions, settings: Settings) -> CreatorProfile:
    given = data.sample_profiles()[0].profile if options.profile is None else options.profile
    profile = given if isinstance(given, CreatorProfile) else read_profile(Path(given))
    if options.own_videos is None:
        return profile
    own, _ = _videos(options.own_videos, settings)
    said = (video.transcript[:VOICE_CHARS] for video in own[:VOICES])
    return replace(profile, own_transcripts=(*profile.own_transcripts, *said))


def _personas(given: str | Path | Sequence[Persona] | None) -> tuple[Persona, ...]:
    if given is None:
        return data.sample_personas()
    return read_personas(Path(given)) if isinstance(given, str | Path) else tuple(given)


def _blocking(work: Coroutine[Any, Any, T]) -> T:
    """Wait for ``work`` from plain code. A notebook has a loop running already, so it gets a thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1, thread_name_prefix="flair-run") as thread:
        return thread.submit(asyncio.run, work).result()
