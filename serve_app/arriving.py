"""What is let in: so many requests at once, and bodies that do arrive.

Each request may take PATIENCE_S for its body, and a second more for every SLOWEST bytes that have come: who sends one
by the byte, or stops, is not waited for. What it holds until then is one of the MOST_AT_ONCE; every viewer is one, too.
"""

from __future__ import annotations

import asyncio

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.problems import RETRY_AFTER_S, problem

PATIENCE_S = 30.0
SLOWEST = 16_384
"""Bytes a second: below a bad mobile connection."""
MOST_AT_ONCE = 4_500
"""Of one process, and below what Serve gives it: Serve's own refusal has no detail for people."""


class Bounded:
    """Refuses what is too much at once with a 429."""

    def __init__(self, app: ASGIApp, most: int = MOST_AT_ONCE) -> None:
        self._app, self._most, self._ongoing = app, most, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._ongoing >= self._most:
            headers = {"Retry-After": str(RETRY_AFTER_S)}
            refusal = problem(429, "Too many requests are being answered here. Come back in a moment.", headers)
            await refusal(scope, receive, send)
            return
        self._ongoing += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._ongoing -= 1


class TimelyBodies:
    """Ends a request whose body does not come with a 408."""

    def __init__(self, app: ASGIApp, patience_s: float = PATIENCE_S) -> None:
        self._app, self._patience_s = app, patience_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        loop = asyncio.get_running_loop()
        deadline: float | None = loop.time() + self._patience_s

        async def timely() -> Message:
            """Once the body is whole, what still comes is the end of the connection: that may take any time."""
            nonlocal deadline
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, "The body of this request did not come in time. Send it again.") from None
            if deadline is not None:
                more = message.get("more_body", False)
                deadline = deadline + len(message.get("body", b"")) / SLOWEST if more else None
            return message

        await self._app(scope, timely, send)
