"""One function per route: what is asked, from whom, and the form of the answer. What they stand on is in ``studio``."""

from __future__ import annotations

import asyncio

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from flair_ray.data import SampleProfile, sample_profiles
from flair_ray.domain.codec import plain
from flair_ray.domain.ids import RunId
from flair_ray.domain.people import CreatorProfile
from flair_ray.domain.runs import RunStatus
from flair_ray.engine.archive import media_type
from flair_ray.engine.estimate import estimate
from flair_ray.engine.order import prepare
from flair_ray.errors import RunConflict
from flair_ray.prompts import FEEDBACK_NAMES, NAMES, feedback_prompt, prompt
from serve_app.answers import (
    NDJSON,
    RANKING_FIELDS,
    RESULT_FIELDS,
    SSE,
    Asked,
    CostEstimate,
    Fine,
    Prompts,
    Providers,
    RunDetail,
    RunList,
    RunRow,
    RunStarted,
    VideoSet,
    result_part,
)
from serve_app.models import StartBody, start_body
from serve_app.operations import ONE_FILE, UPLOAD, Operation
from serve_app.performance import PERFORMANCE_ROUTES
from serve_app.request_ids import request_id
from serve_app.signin import SIGNIN_ROUTES
from serve_app.streams import cursor_of, ndjson, sse
from serve_app.studio import studio_of
from serve_app.tenants import session_of, tenant_of
from serve_app.uploads import upload_profile, upload_videos
from serve_app.videos import VIDEO_ROUTES

_ROW_FIELDS = tuple(RunRow.model_fields)
_DOCUMENT_HEADERS = {
    "Content-Security-Policy": "sandbox allow-scripts allow-downloads",  # its texts are others'
    "Cache-Control": "no-store",
}


async def start(request: Request) -> Response:
    """Start a run. Equal starts under one `Idempotency-Key` within a day are one run."""
    return JSONResponse({"run_id": await _started(request)})


async def run(request: Request) -> Response:
    """Start a run and watch it, as events or as lines of JSON. Hanging up ends the watching and nothing else."""
    as_lines = NDJSON in request.headers.get("accept", "")
    streams = studio_of(request).streams
    with streams.room(tenant_of(request)) as room:
        messages = streams.watch(await _started(request))
        return (ndjson if as_lines else sse)(messages, room.pop_all())


async def status(request: Request) -> Response:
    """A run's events, from the cursor on; 204 when nothing will follow."""
    run_id, streams = _run_id(request), studio_of(request).streams
    cursor = cursor_of(request)
    if await streams.is_finished(run_id, cursor):
        return Response(status_code=204)
    return sse(streams.watch(run_id, cursor), streams.room(tenant_of(request)))


async def results(request: Request) -> Response:
    """The scripts, the winner first; 409 until the run is completed."""
    runs, run_id = studio_of(request).runs, _run_id(request)
    status = (await runs.summary(run_id))["status"]
    if status != RunStatus.COMPLETED:
        raise RunConflict(f"Run {run_id} is {status}: it has no result yet.")
    document = await runs.document(run_id)
    return JSONResponse({name: document[name] for name in RESULT_FIELDS if name in document})  # kept ones may be older


async def cancel(request: Request) -> Response:
    """Stop a run; what there is, is kept."""
    store, run_id = studio_of(request).store, _run_id(request)
    status = (await store.snapshot(run_id)).status
    if status.terminal:
        raise RunConflict(f"Run {run_id} is {status.value} already; there is nothing to cancel.")
    await store.request_cancel(run_id)
    return JSONResponse({"run_id": run_id, "status": "cancelling"}, 202)


async def recover(request: Request) -> Response:
    """Go on with a run that failed, was cancelled or lost its driver."""
    studio, run_id = studio_of(request), _run_id(request)
    status = (await studio.store.snapshot(run_id)).status
    completed = status is RunStatus.COMPLETED
    if completed or (not status.terminal and await studio.store.is_driven(run_id)):  # one that ended is still let go of
        raise RunConflict(f"Run {run_id} is {'completed' if completed else 'running'}: there is nothing to recover.")
    await studio.spending.reserve(tenant_of(request), run_id, await studio.store.spec(run_id), again=True)
    await studio.store.host(run_id, request_id())
    studio.news.set()
    return JSONResponse({"run_id": run_id, "status": "recovering"}, 202)


async def list_runs(request: Request) -> Response:
    """The runs of one session, oldest first, also those of long ago."""
    rows = await studio_of(request).runs.rows(session_of(request), counted=False)
    return JSONResponse({"runs": [{name: row.get(name, "") for name in _ROW_FIELDS} for row in rows]})


async def one_run(request: Request) -> Response:
    """One run: status, counts, configuration, spend, warnings."""
    summary = await studio_of(request).runs.summary(_run_id(request))
    return JSONResponse(summary | {"session_id": tenant_of(request).shown(summary["session_id"])})


async def delete(request: Request) -> Response:
    """Cancel a run if need be, and forget it, in the archive too."""
    await studio_of(request).delete(_run_id(request), tenant_of(request))
    return Response(status_code=204)


async def ranking(request: Request) -> Response:
    """Every script with its votes; 409 until they are counted."""
    run_id = _run_id(request)
    document = await studio_of(request).runs.document(run_id)
    if document["ranking"] is None:
        raise RunConflict(f"Run {run_id} is {document['status']}: its scripts are not ranked yet.")
    said = {name: document[name] for name in RANKING_FIELDS}
    return JSONResponse(said | document["ranking"])


async def output_file(request: Request) -> Response:
    """A file of a run, as `flair export` writes it: `report.html`, `run.zip`, `scripts/…`. There are no other names."""
    name = request.path_params["name"]
    content = await studio_of(request).runs.file(_run_id(request), name)
    if content is None:
        raise HTTPException(404, "This run has no such file.")
    return Response(content, headers=_DOCUMENT_HEADERS, media_type=media_type(name))


async def estimate_run(request: Request) -> Response:
    """Calls, tokens, dollars and time that this start would take. Nothing is started."""
    studio = studio_of(request)
    body = await start_body(request, studio.settings)
    order = await studio.order(body, tenant_of(request), session_of(request), keyless=True)
    spec, inputs = await asyncio.to_thread(prepare, order, studio.settings)
    found = await asyncio.to_thread(estimate, spec, inputs)
    named = {"provider": spec.model.provider, "model": spec.model.model, "warnings": list(spec.warnings)}
    return JSONResponse(named | found.document())


async def providers(request: Request) -> Response:
    """What can write and film here, as found when the studio was started; the first is what a form preselects."""
    usable = studio_of(request).usable
    return JSONResponse({"reasoning": usable.reasoning, "video": usable.video})


async def prompts_preview(request: Request) -> Response:
    """The prompts as templates. Those for feedback are added once posts have something to teach."""
    shown = {name: _template(name) for name in NAMES}
    return JSONResponse(shown | {name: feedback_prompt(name) for name in FEEDBACK_NAMES})


async def profile_samples(request: Request) -> Response:
    """Creator profiles to start from."""
    return JSONResponse([plain(sample) for sample in sample_profiles()])


async def health(request: Request) -> Response:
    """Whether Redis and the run hosts answer; 503 names the part that does not."""
    await studio_of(request).check()
    return JSONResponse({"status": "ok"})


async def _started(request: Request) -> RunId:
    studio = studio_of(request)
    body = await start_body(request, studio.settings)
    return await studio.start(body, tenant_of(request), session_of(request), request.headers.get("idempotency-key"))


def _run_id(request: Request) -> RunId:
    """The guard has looked at it."""
    return RunId(request.path_params["run_id"])


def _template(name: str) -> str:
    text = prompt(name)
    system = text.system.replace("{", "{{").replace("}", "}}")  # it is sent as it stands
    return "\n\n".join((system, text.shared, text.varying))


_STARTS = ("session_id", "Idempotency-Key")
ROUTES = [
    Operation("POST", "/api/pipeline/start", start, {200: RunStarted}, body=StartBody, takes=_STARTS, errors=(402,)),
    Operation("POST", "/api/pipeline/run", run, {200: (SSE, NDJSON)}, body=StartBody, takes=_STARTS, errors=(402,)),
    Operation(
        "GET",
        "/api/pipeline/status/{run_id}",
        status,
        {200: SSE, 204: None},
        takes=("cursor", "ticket", "Last-Event-ID"),
        errors=(422,),
    ),
    Operation("GET", "/api/pipeline/results/{run_id}", results, {200: result_part(*RESULT_FIELDS)}, errors=(409,)),
    Operation("POST", "/api/pipeline/{run_id}/cancel", cancel, {202: Asked}, errors=(409,)),
    Operation("POST", "/api/pipeline/{run_id}/recover", recover, {202: Asked}, errors=(402, 409)),
    Operation("GET", "/api/runs", list_runs, {200: RunList}, takes=("session_id",)),
    Operation("GET", "/api/runs/{run_id}", one_run, {200: RunDetail}),
    Operation("DELETE", "/api/runs/{run_id}", delete, {204: None}),
    Operation(
        "GET",
        "/api/runs/{run_id}/ranking",
        ranking,
        {200: result_part(*RANKING_FIELDS, ranked=True)},
        errors=(409,),
    ),
    Operation("GET", "/api/runs/{run_id}/files/{name:path}", output_file, {200: "*/*"}),
    Operation("POST", "/api/videos", upload_videos, {201: VideoSet}, body=UPLOAD, errors=(415,)),
    Operation("POST", "/api/estimate", estimate_run, {200: CostEstimate}, body=StartBody),
    Operation("GET", "/api/providers", providers, {200: Providers}),
    Operation("GET", "/api/prompts/preview", prompts_preview, {200: Prompts}),
    Operation("GET", "/api/creator-profiles/samples", profile_samples, {200: list[SampleProfile]}),
    Operation("POST", "/api/creator-profiles", upload_profile, {200: CreatorProfile}, body=ONE_FILE, errors=(415,)),
    Operation("GET", "/api/health", health, {200: Fine}),
    *PERFORMANCE_ROUTES,
    *SIGNIN_ROUTES,
    *VIDEO_ROUTES,
]
