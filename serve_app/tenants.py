"""Who asks, and what is theirs: one guard before every route, so that no route can forget it.

    bearer ....... Authorization: Bearer TOKEN, from programs
    cookie ....... from a browser that has signed in; a write also needs the header X-Flair, which no form can send,
                   and a script of another origin only after asking
    ticket ....... ?ticket=, for one run's stream and nothing else

The guard stands inside the router, where a route's parameters are known: a run that is somebody else's is a 404 there,
like one that does not exist. A handler that gets an id in its body asks ``check_owner`` itself.
"""

from __future__ import annotations

import re

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from flair_ray.domain.ids import RunId
from flair_ray.domain.tenants import EVERYBODY, Tenant, holder
from flair_ray.errors import RunNotFound
from serve_app.studio import Studio, studio_of

ANONYMOUS = "anonymous"
OPEN = ("/api/health", "/api/session")
"""Of the routes below /api, those that need no token."""
_RUN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def tenant_of(request: Request) -> Tenant:
    """Who asks; the guard has found out."""
    tenant: Tenant = request.scope.get("flair.tenant", EVERYBODY)
    return tenant


def session_of(request: Request) -> str:
    """The session that is asked about, under its name inside."""
    return tenant_of(request).session(request.query_params.get("session_id") or ANONYMOUS)


async def check_owner(request: Request, run_id: str) -> RunId:
    """The id of a run that the one who asks may know of. Raises RunNotFound."""
    if not _RUN_ID.fullmatch(run_id):
        raise RunNotFound(run_id)
    tenant = tenant_of(request)
    if tenant.name and not tenant.owns(await _session(studio_of(request), RunId(run_id))):
        raise RunNotFound(run_id)
    return RunId(run_id)


async def _session(studio: Studio, run_id: RunId) -> str:
    return (await studio.store.spec(run_id)).session_id


class Guard:
    """One route, for those who may."""

    def __init__(self, app: ASGIApp, path: str) -> None:
        self._app = app
        self._is_open = path in OPEN or not path.startswith("/api/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if not self._is_open:
            scope["flair.tenant"] = await _authenticated(request)
            if "run_id" in scope["path_params"]:
                await check_owner(request, scope["path_params"]["run_id"])
        await self._app(scope, receive, send)


def guarded(route: BaseRoute) -> BaseRoute:
    """The same route behind the guard. What is no ``Route`` has no tenants' data."""
    if isinstance(route, Route):
        guarded_route = Route(route.path, route.endpoint, methods=list(route.methods or ()), name=route.name)
        guarded_route.app = Guard(guarded_route.app, route.path)
        return guarded_route
    return route


async def _authenticated(request: Request) -> Tenant:
    """Raises HTTPException 401."""
    tenants = studio_of(request).tenants
    if not tenants:
        return EVERYBODY
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    found = holder(token.strip(), tenants) if scheme.lower() == "bearer" else None
    if found is None:
        raise HTTPException(401, "This needs a token: Authorization: Bearer …", {"WWW-Authenticate": "Bearer"})
    return found
