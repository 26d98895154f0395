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
from serve_app.answers import Session, Ticket
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
    """Sign a browser in, by a cookie that no script can read."""
    studio = studio_of(request)
    tenant = holder(SignIn.model_validate(await json_body(request)).token, studio.tenants)
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
    """Who is signed in, and what is left of the month's budget."""
    return await _who(request, await signed_in(request))


async def sign_out(request: Request) -> Response:
    """Sign out: the cookie is worth nothing from then on."""
    if secret := request.cookies.get(COOKIE):
        check_no_forgery(request)
        await studio_of(request).admissions.revoke("cookie", secret)
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer


async def ticket(request: Request) -> Response:
    """A ticket for this run's stream, for an EventSource on a page of another origin."""
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
    Operation("POST", "/api/session", sign_in, {200: Session}, body=SignIn),
    Operation("GET", "/api/session", who, {200: Session}),
    Operation("DELETE", "/api/session", sign_out, {204: None}),
    Operation("POST", "/api/runs/{run_id}/ticket", ticket, {201: Ticket}),
]
