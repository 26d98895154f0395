"""An id for each request: the client's own or a new one. It is in the answer's header, in the body of every problem, in
every record of our loggers that the request gives rise to, and in the first event of a run that it starts.
"""

from __future__ import annotations

import logging
import re
import uuid
from contextvars import ContextVar
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flair_ray.telemetry.logs import OURS

HEADER = "X-Request-ID"
_FORM = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_current: ContextVar[str] = ContextVar("request_id", default="-")


def request_id() -> str:
    """Of the request at hand; a dash outside of any."""
    return _current.get()


class RequestIds:
    """``answering``: set the header. Under Serve it is set already, to the id that the client sent or Serve made."""

    def __init__(self, app: ASGIApp, answering: bool) -> None:
        self._app = app
        self._answering = answering

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = Headers(scope=scope).get(HEADER, "")
        named = sent if _FORM.fullmatch(sent) else uuid.uuid4().hex

        async def with_id(message: Message) -> None:
            if message["type"] == "http.response.start" and self._answering:
                MutableHeaders(scope=message)[HEADER] = named
            await send(message)

        before = _current.set(named)
        try:
            await self._app(scope, receive, with_id)
        finally:
            _current.reset(before)


def number_log_records() -> None:
    """From now on every record of our loggers has a ``request_id``. Doing it again changes nothing.

    Of ours only: Serve gives its own records one, and Python refuses a record that has one already.
    """
    make = logging.getLogRecordFactory()
    if make.__name__ == "_numbered":
        return

    def _numbered(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        if record.name.partition(".")[0] in OURS:
            record.request_id = request_id()
        return record

    logging.setLogRecordFactory(_numbered)
