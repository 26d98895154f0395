"""Videos of scripts: ordered here, made by the run hosts, and played from here.

An order is one atomic write and a nudge, like a start. A job that failed makes room for a new one; any other order of
the same script by the same provider is the job that there is.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response

from flair_ray.domain.ids import RunId, ScriptId
from flair_ray.domain.video_jobs import ANIMATIC, VEO, JobStatus, VideoJob
from flair_ray.engine.filming import scripts_to_film
from flair_ray.wiring import RUNS, check_video
from serve_app.answers import VideoOrdered, VideoState
from serve_app.models import VideoBody, json_body
from serve_app.operations import Operation
from serve_app.studio import studio_of
from serve_app.tenants import check_owner, tenant_of

LINK_S = 3600
_JOB_ID = re.compile(r"[0-9a-f]{32}")
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; media-src 'self'; style-src 'unsafe-inline'",
    "Cache-Control": "private, max-age=3600",
}
"""A browser that opens the file by itself wraps it in a page of its own, under this policy."""


async def generate_video(request: Request) -> Response:
    """Order a script's video. The provider is the one that is named here, else the run's, else animatic."""
    studio = studio_of(request)
    body = VideoBody.model_validate(await json_body(request, studio.settings))
    run_id = await check_owner(request, body.run_id)
    scripts = await scripts_to_film(studio.store, run_id)
    if body.script_id not in scripts:
        raise HTTPException(404, f"Run {run_id} has no script {body.script_id!r} among its results.")
    provider = body.video_model or (await studio.store.spec(run_id)).video_model or ANIMATIC
    check_video(provider)
    if provider == VEO:
        await studio.spending.book_video(tenant_of(request), run_id, ScriptId(body.script_id), studio.settings.veo_usd)
    job = await studio.videos.order(run_id, ScriptId(body.script_id), provider)
    studio.news.set()
    return JSONResponse({"job_id": job.job_id})


async def video_status(request: Request) -> Response:
    """How far a video is; ``video_url`` once it is complete, ``error`` once it has failed.

    Once Redis has forgotten the run, a video that is kept is complete, and there are no others.
    """
    job = await studio_of(request).videos.job(RunId(request.path_params["run_id"]), request.path_params["job_id"])
    if job is None:
        job, _ = await _kept(request)
    url = f"/api/runs/{job.run_id}/{job.file_name}" if job.status is JobStatus.COMPLETE else None
    return JSONResponse({"job_id": job.job_id, "status": job.status.value, "video_url": url, "error": job.error})


async def video_file(request: Request) -> Response:
    """The MP4, whole or in ranges, as browsers ask for it; also of a run that Redis has forgotten."""
    _, place = await _kept(request)
    if isinstance(place, str):
        return RedirectResponse(place, 307)
    return FileResponse(place, media_type="video/mp4", headers=_HEADERS)


async def _kept(request: Request) -> tuple[VideoJob, str | Path]:
    """A video that is there, which it is when it is whole and not before, and its address or its path."""
    studio, run_id, job_id = studio_of(request), RunId(request.path_params["run_id"]), request.path_params["job_id"]
    if _JOB_ID.fullmatch(job_id):
        job = VideoJob(run_id, job_id, ScriptId(""), "", JobStatus.COMPLETE)
        if link := await studio.runs.archive.files.link(run_id, job.file_name, LINK_S):
            return job, link
        path = studio.settings.data_dir / RUNS / run_id / job.file_name
        if await asyncio.to_thread(path.is_file):
            return job, path
    raise HTTPException(404, "This run has no such video, or not yet.")


VIDEO_ROUTES = [
    Operation(
        "POST", "/api/video/generate", generate_video, {200: VideoOrdered}, body=VideoBody, errors=(402, 404, 409)
    ),
    Operation("GET", "/api/video/status/{run_id}/{job_id}", video_status, {200: VideoState}),
    Operation("GET", "/api/runs/{run_id}/videos/{job_id}.mp4", video_file, {200: "video/mp4", 307: None}),
]
