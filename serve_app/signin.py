"""How a browser gets in: a token is exchanged once for a cookie that no script can read, and a run for a ticket.

An EventSource can send no header. On the studio's own pages it sends the cookie; a page of another origin, whose cookie
would not be sent, asks for a ticket with its token and puts that into the address. It is good for one run's stream and
for minutes: an address may end up in the log of some proxy.
"""

from __future__ import annotations

from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from flair_ray.domain.tenants import Tenant, holder
from serve_app.answers import SignedIn, Ticket
from serve_app.models import json_body
from serve_app.operations import Operation
from serve_app.studio import studio_of
from serve_app.tenants import COOKIE, check_no_forgery, refused, signed_in, tenant_of, ticket_value

SIGNED_IN_S = 12 * 3600
TICKET_S = 300


class SignIn(BaseModel):
    """A token, as `flair token` has printed it."""

    token: str = Field(max_length=200)


async def sign_in(request: Request) -> Response:
    """Sign in from a browser: the token is exchanged for a cookie."""
    studio = studio_of(request)
    tenant = holder(SignIn.model_validate(await json_body(request, studio.settings)).token, studio.tenants)
    if tenant is None:
        raise refused("This token is not known here.")
    answer = await _who(request, tenant)
    answer.set_cookie(
        COOKIE,
        await studio.admissions.issue("cookie", tenant.digest, SIGNED_IN_S),
        max_age=SIGNED_IN_S,
        httponly=True,
        samesite="strict",
        secure="https" in (request.url.scheme, request.headers.get("origin", "").partition(":")[0]),
    )
    return answer


async def who(request: Request) -> Response:
    """Who is signed in, and what they may still spend."""
    return await _who(request, await signed_in(request))


async def sign_out(request: Request) -> Response:
    """Sign out."""
    if secret := request.cookies.get(COOKIE):
        check_no_forgery(request)
        await studio_of(request).admissions.revoke("cookie", secret)
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer


async def ticket(request: Request) -> Response:
    """A ticket for this run's events, for an EventSource on a page of another origin."""
    stands_for = ticket_value(tenant_of(request), request.path_params["run_id"])
    secret = await studio_of(request).admissions.issue("ticket", stands_for, TICKET_S)
    return JSONResponse({"ticket": secret, "expires_in_s": TICKET_S}, 201, {"Cache-Control": "no-store"})


async def _who(request: Request, tenant: Tenant | None) -> JSONResponse:
    studio = studio_of(request)
    body = {
        "tokens_needed": bool(studio.tenants),
        "tenant": (tenant.name if tenant else "") or None,
        "max_usd": tenant.max_usd if tenant else None,
        "left_usd": await studio.spending.left_usd(tenant) if tenant else None,
    }
    return JSONResponse(body, headers={"Cache-Control": "no-store"})


SIGNIN_ROUTES = [
    Operation("POST", "/api/session", sign_in, {200: SignedIn}, body=SignIn),
    Operation("GET", "/api/session", who, {200: SignedIn}),
    Operation("DELETE", "/api/session", sign_out, {204: None}),
    Operation("POST", "/api/runs/{run_id}/ticket", ticket, {201: Ticket}),
]
