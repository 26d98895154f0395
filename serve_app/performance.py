"""Results come back: what became of scripts that were posted, and what that teaches."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from flair_ray.domain.codec import plain
from flair_ray.domain.ids import RunId
from flair_ray.domain.insights import Insights
from flair_ray.domain.posts import Post
from flair_ray.engine.learning import learned
from flair_ray.engine.posting import report_post
from flair_ray.inputs.posts import PostBody
from serve_app.answers import Fine, Performances
from serve_app.models import json_body
from serve_app.operations import Operation
from serve_app.studio import studio_of
from serve_app.tenants import check_owner, session_of, tenant_of


async def report(request: Request) -> Response:
    """Report how a posted script has done; the same post again replaces it."""
    studio = studio_of(request)
    body = PostBody.model_validate(await json_body(request, studio.settings))
    await check_owner(request, body.run_id)
    await report_post(body, studio.runs, studio.panel, int(time.time() * 1000))
    return JSONResponse({"status": "ok"})


async def performances(request: Request) -> Response:
    """What was reported of a run's scripts, oldest first."""
    runs, run_id = studio_of(request).runs, RunId(request.path_params["run_id"])
    await runs.summary(run_id)
    rows = [_row(post) for post in await runs.archive.records.posts(run_id)]
    return JSONResponse({"run_id": run_id, "performances": rows})


async def get_insights(request: Request) -> Response:
    """What posts have taught, of one session or of all: patterns by engagement, and how well the panel had ranked."""
    tenant, records = tenant_of(request), studio_of(request).runs.archive.records
    session_id = session_of(request) if request.query_params.get("session_id") else None
    return JSONResponse(plain(await learned(records, session_id, tenant.owns)))


def _row(post: Post) -> dict[str, Any]:
    facts: dict[str, Any] = plain(post)
    del facts["session_id"], facts["posted_at_ms"]
    return facts | {"posted_at": datetime.fromtimestamp(post.posted_at_ms / 1000, UTC).isoformat()}


PERFORMANCE_ROUTES = [
    Operation("POST", "/api/performance", report, {200: Fine}, body=PostBody, errors=(404, 409)),
    Operation("GET", "/api/performance/{run_id}", performances, {200: Performances}),
    Operation("GET", "/api/insights", get_insights, {200: Insights}, takes=("session_id",)),
]
