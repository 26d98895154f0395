"""The ASGI app: routes, errors as problems, headers. It runs in any server, and knows nothing of Ray.

What it stands on is opened when the server starts it and closed when the server ends it; a request finds it in the
app's state.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flair_ray.errors import FlairError
from serve_app import docs, pages, routes
from serve_app.arriving import MOST_AT_ONCE, PATIENCE_S, Bounded, TimelyBodies
from serve_app.problems import on_flair_error, on_hang_up, on_http_error, on_invalid, on_surprise, problem
from serve_app.request_ids import RequestIds, number_log_records
from serve_app.studio import Studio
from serve_app.tenants import SAFE_METHODS, guarded

ROUTES = [*routes.ROUTES, *docs.ROUTES]
OpenStudio = Callable[[], AbstractAsyncContextManager[Studio]]
CORS: dict[str, Any] = {
    "allow_methods": ("GET", "POST", "DELETE"),
    "allow_headers": ("Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID", "X-Request-ID"),
    "expose_headers": ("Retry-After", "X-Request-ID"),
}
"""No credentials: a page of another origin sends a token, or uses a ticket."""
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


def build_asgi(
    open_studio: OpenStudio,
    origins: Sequence[str] = (),
    *,
    on_serve: bool = False,
    patience_s: float = PATIENCE_S,
    most: int = MOST_AT_ONCE,
) -> ASGIApp:
    """The app, around whatever ``open_studio`` opens; pages of these other origins may use it.

    ``most`` requests are let in at once; ``patience_s`` is for a body to come.
    """
    number_log_records()

    @asynccontextmanager
    async def life(app: Starlette) -> AsyncIterator[None]:
        async with open_studio() as studio:
            app.state.studio = studio  # and not in the lifespan's state, which Serve does not hand to requests
            yield

    app = App(
        routes=[*(guarded(route) for route in ROUTES), *pages.PAGES],
        lifespan=life,
        exception_handlers={
            FlairError: on_flair_error,
            ValidationError: on_invalid,
            HTTPException: on_http_error,
            ClientDisconnect: on_hang_up,
            Exception: on_surprise,
        },
    )
    app.add_middleware(TimelyBodies, patience_s=patience_s)
    app.add_middleware(OwnWrites, origins=origins)
    app.add_middleware(Bounded, most=most)
    app.state.sets_request_ids, app.state.origins = not on_serve, origins
    return app


class App(Starlette):
    """With ids and headers around everything: an answer to what nobody foresaw has them, too.

    Also those that let another origin's page read an answer, or it would not know why it was refused.
    """

    def build_middleware_stack(self) -> ASGIApp:
        readable = CORSMiddleware(super().build_middleware_stack(), self.state.origins, max_age=600, **CORS)
        return RequestIds(SecurityHeaders(readable), answering=self.state.sets_request_ids)


class SecurityHeaders:
    """Sets what an answer has not set itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)


class OwnWrites:
    """Refuses what a page from elsewhere makes a browser send: it could start runs on whoever's machine this is.

    A browser names the page in Origin; programs send none. Among all origins (`*`) only those that have a token may.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] == "http" and scope["method"] not in SAFE_METHODS:
            headers = Headers(scope=scope)
            origin = headers.get("origin")
            listed = origin in self._origins or ("*" in self._origins and "authorization" in headers)
            if origin is not None and origin.partition("://")[2] != headers.get("host") and not listed:
                app = problem(403, "Pages from other origins may not do this.")
        await app(scope, receive, send)
