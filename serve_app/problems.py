"""Errors as answers: problem+json (RFC 9457) with a ``detail`` that a person can read, always.

The status follows from the error's class, never from its text. What nobody foresaw is a 500 that says nothing but the
request's id; the log has the rest under the same id.
"""

from __future__ import annotations

import logging
import re
from http import HTTPStatus
from typing import Any

from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from flair_ray.errors import (
    FlairError,
    InfrastructureError,
    InputError,
    MissingKey,
    RunConflict,
    RunNotFound,
    ScriptNotFound,
)
from flair_ray.inputs.wire import faults
from serve_app.request_ids import request_id

log = logging.getLogger(__name__)

STATUSES: tuple[tuple[type[FlairError], int], ...] = (
    (RunNotFound, 404),
    (ScriptNotFound, 404),
    (RunConflict, 409),
    (InputError, 422),
    (MissingKey, 422),
    (InfrastructureError, 503),
)
"""The first that fits."""
RETRY_AFTER_S = 2
HANG_UP = {"Connection": "close"}
"""Where more of the body may come than anybody wants: a server would go on reading it to keep the connection."""
_OPTION = re.compile(r"--([a-z][a-z-]+)")


async def on_flair_error(request: Request, error: Exception) -> Response:
    status = next((status for kind, status in STATUSES if isinstance(error, kind)), 500)
    detail = _OPTION.sub(lambda option: option[1].replace("-", "_"), str(error))  # a body has fields, not options
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status == HTTPStatus.SERVICE_UNAVAILABLE else None
    more = {"errors": _by_field(error.__cause__)} if isinstance(error.__cause__, ValidationError) else {}
    return problem(status, detail, headers, **more)


async def on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, ValidationError)  # noqa: S101  # registered for nothing else
    return problem(422, f"This body cannot be used: {faults(error)}", errors=_by_field(error))


def _by_field(error: ValidationError) -> list[dict[str, str]]:
    """For a form: what is wrong where, without repeating what was sent."""
    return [
        {"field": ".".join(map(str, fault["loc"])), "type": fault["type"], "message": fault["msg"]}
        for fault in error.errors(include_url=False, include_input=False, include_context=False)
    ]


async def on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  # registered for nothing else
    return problem(error.status_code, error.detail, dict(error.headers or {}))


async def on_hang_up(request: Request, error: Exception) -> Response:
    """Who has left hears no answer, and it is no failure of ours."""
    log.info("hung up before the body was here", extra={"path": request.url.path})
    return problem(400, "The connection ended before the body of this request did.")


async def on_surprise(request: Request, error: Exception) -> Response:
    log.error("request failed", exc_info=error, extra={"path": request.url.path})
    return problem(500, "Something failed here that should not; the server's log says what.")


def problem(status: int, detail: str, headers: dict[str, str] | None = None, **more: Any) -> JSONResponse:
    """An error's answer."""
    body: dict[str, Any] = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    said = {"detail": detail, "request_id": request_id()}
    sent = (headers or {}) | (HANG_UP if status in (408, 413) else {})
    return JSONResponse(body | said | more, status, sent, media_type="application/problem+json")
