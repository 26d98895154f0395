"""Who asks, and what is theirs: one guard before every route, so that no route can forget it.

    bearer ....... Authorization: Bearer TOKEN, from programs
    ticket ....... ?ticket=, for one run's stream and nothing else
    cookie ....... from a browser that has signed in; a write also needs the header X-Flair, which no form can send,
                   and a script of another origin only after asking

The guard stands inside the router, where a route's parameters are known: a run that is somebody else's is a 404 there,
like one that does not exist. A handler that gets an id in its body asks ``check_owner`` itself.
"""

from __future__ import annotations

import ipaddress
import re
from copy import copy
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from flair_ray.config import Settings
from flair_ray.domain.ids import RunId
from flair_ray.domain.tenants import EVERYBODY, Tenant, holder, read_tenants
from flair_ray.errors import InputError, RunNotFound
from serve_app.studio import studio_of

ANONYMOUS = "anonymous"
COOKIE = "flair_session"
CSRF_HEADER = "X-Flair"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
OPEN = ("/api/health", "/api/session")
"""Of the routes below /api, those that need no token."""
STREAM = "/api/pipeline/status/{run_id}"
STARTS = ("/api/pipeline/start", "/api/pipeline/run", "/api/video/generate")
PROXIED = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
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
    if tenant.name and not tenant.owns(await studio_of(request).runs.session(RunId(run_id))):
        raise RunNotFound(run_id)
    return RunId(run_id)


class Guard:
    """One route, for those who may."""

    def __init__(self, app: ASGIApp, path: str) -> None:
        self._app = app
        self._path = path
        self._is_open = path in OPEN or not path.startswith("/api/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if not self._is_open:
            scope["flair.tenant"] = await self._admitted(request)
            if "run_id" in scope["path_params"]:
                await check_owner(request, scope["path_params"]["run_id"])
        await self._app(scope, receive, send)

    async def _admitted(self, request: Request) -> Tenant:
        """Raises HTTPException: 401, 403 and 429."""
        studio = studio_of(request)
        if not studio.tenants:
            if not studio.settings.allow_anyone:
                _check_is_local(request)
            return EVERYBODY
        tenant = await self._ticket_holder(request) or await signed_in(request)
        if tenant is None:
            raise refused("This needs a token: send Authorization: Bearer, or sign in at /api/session.")
        for what, most in {"requests": tenant.requests, "starts": tenant.starts}.items():
            counts = what == "requests" or self._path in STARTS
            if counts and (wait_s := await studio.admissions.admit(tenant.name, what, most)):
                detail = f"More than {most} {what} in a minute. Try again in {wait_s} s."
                raise HTTPException(429, detail, {"Retry-After": str(wait_s)})
        return tenant

    async def _ticket_holder(self, request: Request) -> Tenant | None:
        ticket = request.query_params.get("ticket")
        if ticket is None or self._path != STREAM:
            return None
        studio = studio_of(request)
        stands_for = await studio.admissions.redeem("ticket", ticket)
        for tenant in studio.tenants:
            if stands_for == ticket_value(tenant, request.path_params["run_id"]):
                return tenant
        raise refused("This ticket is not for this run, or its time is over: ask for another.")


def guarded(route: BaseRoute) -> BaseRoute:
    """The same route behind the guard. What is no ``Route`` has no tenants' data."""
    if isinstance(route, Route):
        behind = copy(route)  # of whatever class it is
        behind.app = Guard(route.app, route.path)
        return behind
    return route


async def signed_in(request: Request) -> Tenant | None:
    """Whose token or cookie this request has. Raises HTTPException 401 for a token that is none, and 403."""
    studio = studio_of(request)
    if not studio.tenants:
        return EVERYBODY
    if "authorization" in request.headers:
        scheme, _, token = request.headers["authorization"].partition(" ")
        tenant = holder(token.strip(), studio.tenants) if scheme.lower() == "bearer" else None
        if tenant is None:
            raise refused("This token is not known here.")
        return tenant
    secret = request.cookies.get(COOKIE)
    digest = await studio.admissions.redeem("cookie", secret) if secret else None
    tenant = next((tenant for tenant in studio.tenants if tenant.digest == digest), None)
    if tenant and request.method not in SAFE_METHODS:
        check_no_forgery(request)
    return tenant


def check_no_forgery(request: Request) -> None:
    """A browser sends its cookie whoever made it ask. Raises HTTPException 403 unless a page of ours did."""
    if CSRF_HEADER not in request.headers or request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise HTTPException(403, f"With a cookie this needs the header {CSRF_HEADER}, from a page of this origin.")


def refused(detail: str) -> HTTPException:
    return HTTPException(401, detail, {"WWW-Authenticate": "Bearer"})


def ticket_value(tenant: Tenant, run_id: str) -> str:
    """What a ticket stands for."""
    return f"{tenant.digest} {run_id}"


def check_reach(settings: Settings, host: str) -> None:
    """Raises InputError unless it is clear who may use an API that listens on ``host``."""
    if read_tenants(settings.api_tokens.get_secret_value()):
        return
    if not (_is_loopback(host) or settings.allow_anyone):
        raise InputError(
            f"Without tokens the API is for this machine only, not for {host or 'an unknown address'}: set "
            "FLAIR_API_TOKENS (`flair token NAME` makes an entry), or FLAIR_ALLOW_ANYONE=1 where whoever reaches the "
            "port may do everything."
        )
    if "*" in settings.cors_origins.split():
        raise InputError("FLAIR_CORS_ORIGINS=* without FLAIR_API_TOKENS would let any web page use this studio.")


def _check_is_local(request: Request) -> None:
    """Raises HTTPException 403 for what came through a proxy, or under a name that a web page has made lead here."""
    if not _leads_here(request.headers.get("host", "")) or any(name in request.headers for name in PROXIED):
        raise HTTPException(
            403,
            "Without tokens this is for its own machine only, at localhost. Its operator can set FLAIR_API_TOKENS, "
            "or FLAIR_ALLOW_ANYONE=1.",
        )


@lru_cache(maxsize=64)
def _leads_here(host: str) -> bool:
    try:
        return _is_loopback(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
