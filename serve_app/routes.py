"""One function per route: what is asked, from whom, and the form of the answer. What they stand on is in ``studio``."""

from __future__ import annotations

import asyncio
import mimetypes
import re
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from flair_ray.data import sample_profiles
from flair_ray.domain.codec import plain
from flair_ray.domain.ids import RunId
from flair_ray.domain.runs import RunSnapshot, RunStatus
from flair_ray.engine.estimate import estimate
from flair_ray.engine.order import prepare
from flair_ray.engine.results import cost_of, gather_result
from flair_ray.errors import RunConflict, RunNotFound
from flair_ray.outputs import render_outputs
from flair_ray.prompts import NAMES, prompt
from flair_ray.wiring import usable_videos
from serve_app.models import start_body
from serve_app.streams import NDJSON, cursor_of, ndjson, sse
from serve_app.studio import studio_of, usable_providers
from serve_app.uploads import upload_videos
from serve_app.videos import VIDEO_ROUTES

ANONYMOUS = "anonymous"
_RUN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
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
    studio, run_id = studio_of(request), _run_id(request)
    status = (await studio.store.snapshot(run_id)).status
    if status is not RunStatus.COMPLETED:
        raise RunConflict(f"Run {run_id} is {status.value}: it has no result yet.")
    document = (await gather_result(studio.store, run_id)).document()
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
    await studio.store.host(run_id)
    await studio.nudge()
    return JSONResponse({"run_id": run_id, "status": "recovering"}, 202)


async def list_runs(request: Request) -> Response:
    found = await studio_of(request).store.runs(_session(request))
    return JSONResponse({"runs": [_row(snapshot) for snapshot in found]})


async def one_run(request: Request) -> Response:
    snapshot = await studio_of(request).store.snapshot(_run_id(request))
    spec = snapshot.spec
    assert spec is not None  # noqa: S101  # the store's snapshots have it
    names = ("num_videos", "num_scripts", "num_personas", "top_n", "seed", "cache", "profile", "limits")
    body = _row(snapshot) | {
        "session_id": snapshot.session_id,
        "created_at_ms": snapshot.created_at_ms,
        "begun_at_ms": snapshot.begun_at_ms,
        "finished_at_ms": snapshot.finished_at_ms,
        "error": snapshot.error,
        "recovering": snapshot.recovering,
        "stage_counts": {name.value: plain(counts) for name, counts in snapshot.stages.items()},
        "configuration": {name: plain(getattr(spec, name)) for name in names}
        | {"provider": spec.model.provider, "model": spec.model.model, "video_model": spec.video_model}
        | {"max_usd": spec.money.max_usd},
        "spend": {"calls": plain(snapshot.tally), "cost": plain(cost_of(snapshot))},
        "warnings": list(spec.warnings),
    }
    return JSONResponse(body)


async def delete(request: Request) -> Response:
    await studio_of(request).delete(_run_id(request))
    return Response(status_code=204)


async def ranking(request: Request) -> Response:
    run_id = _run_id(request)
    document = (await gather_result(studio_of(request).store, run_id)).document()
    if document["ranking"] is None:
        raise RunConflict(f"Run {run_id} is {document['status']}: its scripts are not ranked yet.")
    said = {name: document[name] for name in ("run_id", "status", "warnings", "notices")}
    return JSONResponse(said | document["ranking"])


async def output_file(request: Request) -> Response:
    """A file of a run, made on the fly. There are no other names than those the run has."""
    result = await gather_result(studio_of(request).store, _run_id(request))
    name = request.path_params["name"]
    content = (await asyncio.to_thread(render_outputs, result)).get(name)
    if content is None:
        raise HTTPException(404, "This run has no such file.")
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Response(content, headers=_DOCUMENT_HEADERS, media_type=kind)


async def estimate_run(request: Request) -> Response:
    studio = studio_of(request)
    body = await start_body(request, studio.settings)
    order = await studio.order(body, _session(request), keyless=True)
    spec, inputs = prepare(order, studio.settings)
    found = await asyncio.to_thread(estimate, spec, inputs)
    named = {"provider": spec.model.provider, "model": spec.model.model, "warnings": list(spec.warnings)}
    return JSONResponse(named | found.document())


async def providers(request: Request) -> Response:
    reasoning, video = await asyncio.to_thread(lambda: (usable_providers(), usable_videos()))
    return JSONResponse({"reasoning": reasoning, "video": video})


async def prompts_preview(request: Request) -> Response:
    """The feedback templates are empty: past results do not reach the prompts."""
    shown = {name: _template(name) for name in NAMES}
    return JSONResponse(shown | {"s3_feedback": "", "s4_feedback": ""})


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
    return await studio.start(body, _session(request), request.headers.get("idempotency-key"))


def _session(request: Request) -> str:
    return request.query_params.get("session_id") or ANONYMOUS


def _run_id(request: Request) -> RunId:
    run_id: str = request.path_params["run_id"]
    if not _RUN_ID.fullmatch(run_id):
        raise RunNotFound(run_id)
    return RunId(run_id)


def _row(snapshot: RunSnapshot) -> dict[str, Any]:
    return {
        "run_id": snapshot.run_id,
        "status": snapshot.status.value,
        "current_stage": snapshot.current_stage.value if snapshot.current_stage else None,
        "stages": {name.value: counts.status for name, counts in snapshot.stages.items()},
    }


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
    *VIDEO_ROUTES,
]
