"""At most N calls at once within one process: the simplest limiter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turn:
    """Of a limiter that keeps no books."""

    def used(self, tokens: int) -> None: ...

    def unused(self) -> None: ...


class InFlightLimiter:
    """A counting limit; waiting callers are served in the order they came."""

    def __init__(self, limit: int) -> None:
        self._turns = asyncio.Semaphore(limit)

    @asynccontextmanager
    async def permit(self, tokens: int) -> AsyncIterator[Turn]:
        async with self._turns:
            yield Turn()
