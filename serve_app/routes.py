"""One function per route: what is asked, from whom, and the form of the answer. What they stand on is in ``studio``."""

from __future__ import annotations

import asyncio

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from flair_ray.data import sample_profiles
from flair_ray.domain.codec import plain
from flair_ray.domain.ids import RunId
from flair_ray.domain.runs import RunStatus
from flair_ray.engine.archive import media_type
from flair_ray.engine.estimate import estimate
from flair_ray.engine.order import prepare
from flair_ray.errors import RunConflict
from flair_ray.prompts import FEEDBACK_NAMES, NAMES, feedback_prompt, prompt
from serve_app.models import start_body
from serve_app.performance import PERFORMANCE_ROUTES
from serve_app.signin import SIGNIN_ROUTES
from serve_app.streams import NDJSON, cursor_of, ndjson, sse
from serve_app.studio import studio_of, usable_providers
from serve_app.tenants import session_of, tenant_of
from serve_app.uploads import upload_videos

_ROW_FIELDS = ("run_id", "status", "current_stage", "stages")
_RESULT_FIELDS = ("run_id", "results", "creator_profile", "completed_at", "warnings", "notices", "cost", "partial")
_DOCUMENT_HEADERS = {
    "Content-Security-Policy": "sandbox allow-scripts allow-downloads",  # its texts are others'
    "Cache-Control": "no-store",
}


async def start(request: Request) -> Response:
    return JSONResponse({"run_id": await _started(request)})


async def run(request: Request) -> Response:
    """Start and watch. Hanging up ends the watching and nothing else."""
    as_lines = NDJSON in request.headers.get("accept", "")
    messages = studio_of(request).streams.watch(await _started(request))
    return ndjson(messages) if as_lines else sse(messages)


async def status(request: Request) -> Response:
    run_id, streams = _run_id(request), studio_of(request).streams
    cursor = cursor_of(request)
    if await streams.is_finished(run_id, cursor):
        return Response(status_code=204)
    return sse(streams.watch(run_id, cursor))


async def results(request: Request) -> Response:
    runs, run_id = studio_of(request).runs, _run_id(request)
    status = (await runs.summary(run_id))["status"]
    if status != RunStatus.COMPLETED:
        raise RunConflict(f"Run {run_id} is {status}: it has no result yet.")
    document = await runs.document(run_id)
    return JSONResponse({name: document[name] for name in _RESULT_FIELDS})


async def cancel(request: Request) -> Response:
    store, run_id = studio_of(request).store, _run_id(request)
    status = (await store.snapshot(run_id)).status
    if status.terminal:
        raise RunConflict(f"Run {run_id} is {status.value} already; there is nothing to cancel.")
    await store.request_cancel(run_id)
    return JSONResponse({"run_id": run_id, "status": "cancelling"}, 202)


async def recover(request: Request) -> Response:
    """Hand a run that has stopped over to the hosts."""
    studio, run_id = studio_of(request), _run_id(request)
    if await studio.store.is_driven(run_id):
        raise RunConflict(f"Run {run_id} is running: there is nothing to recover.")
    await studio.spending.reserve(tenant_of(request), run_id, await studio.store.spec(run_id), again=True)
    await studio.store.host(run_id)
    await studio.nudge()
    return JSONResponse({"run_id": run_id, "status": "recovering"}, 202)


async def list_runs(request: Request) -> Response:
    rows = await studio_of(request).runs.rows(session_of(request))
    return JSONResponse({"runs": [{name: row[name] for name in _ROW_FIELDS} for row in rows]})


async def one_run(request: Request) -> Response:
    summary = await studio_of(request).runs.summary(_run_id(request))
    return JSONResponse(summary | {"session_id": tenant_of(request).shown(summary["session_id"])})


async def delete(request: Request) -> Response:
    await studio_of(request).delete(_run_id(request), tenant_of(request))
    return Response(status_code=204)


async def ranking(request: Request) -> Response:
    run_id = _run_id(request)
    document = await studio_of(request).runs.document(run_id)
    if document["ranking"] is None:
        raise RunConflict(f"Run {run_id} is {document['status']}: its scripts are not ranked yet.")
    said = {name: document[name] for name in ("run_id", "status", "warnings", "notices")}
    return JSONResponse(said | document["ranking"])


async def output_file(request: Request) -> Response:
    """A file of a run. There are no other names than those the run has."""
    name = request.path_params["name"]
    content = await studio_of(request).runs.file(_run_id(request), name)
    if content is None:
        raise HTTPException(404, "This run has no such file.")
    return Response(content, headers=_DOCUMENT_HEADERS, media_type=media_type(name))


async def estimate_run(request: Request) -> Response:
    studio = studio_of(request)
    body = await start_body(request, studio.settings)
    order = await studio.order(body, tenant_of(request), session_of(request), keyless=True)
    spec, inputs = prepare(order, studio.settings)
    found = await asyncio.to_thread(estimate, spec, inputs)
    named = {"provider": spec.model.provider, "model": spec.model.model, "warnings": list(spec.warnings)}
    return JSONResponse(named | found.document())


async def providers(request: Request) -> Response:
    return JSONResponse({"reasoning": await asyncio.to_thread(usable_providers), "video": []})


async def prompts_preview(request: Request) -> Response:
    """The prompts as templates. Those for feedback are added once posts have something to teach."""
    shown = {name: _template(name) for name in NAMES}
    return JSONResponse(shown | {name: feedback_prompt(name) for name in FEEDBACK_NAMES})


async def profile_samples(request: Request) -> Response:
    return JSONResponse([plain(sample) for sample in sample_profiles()])


async def health(request: Request) -> Response:
    """Raises StoreUnavailable or ClusterUnavailable, which name the failing part."""
    studio = studio_of(request)
    await asyncio.gather(studio.front.ping(), studio.hosts.check())
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


ROUTES = [
    Route("/api/pipeline/start", start, methods=["POST"]),
    Route("/api/pipeline/run", run, methods=["POST"]),
    Route("/api/pipeline/status/{run_id}", status),
    Route("/api/pipeline/results/{run_id}", results),
    Route("/api/pipeline/{run_id}/cancel", cancel, methods=["POST"]),
    Route("/api/pipeline/{run_id}/recover", recover, methods=["POST"]),
    Route("/api/runs", list_runs),
    Route("/api/runs/{run_id}", one_run, methods=["GET"]),
    Route("/api/runs/{run_id}", delete, methods=["DELETE"]),
    Route("/api/runs/{run_id}/ranking", ranking),
    Route("/api/runs/{run_id}/files/{name:path}", output_file),
    Route("/api/videos", upload_videos, methods=["POST"]),
    Route("/api/estimate", estimate_run, methods=["POST"]),
    Route("/api/providers", providers),
    Route("/api/prompts/preview", prompts_preview),
    Route("/api/creator-profiles/samples", profile_samples),
    Route("/api/health", health),
    *SIGNIN_ROUTES,
    *PERFORMANCE_ROUTES,
]
