"""At most N calls at once within one process: the simplest limiter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class InFlightLimiter:
    """A counting limit; waiting callers are served in the order they came."""

    def __init__(self, limit: int) -> None:
        self._turns = asyncio.Semaphore(limit)

    @asynccontextmanager
    async def permit(self) -> AsyncIterator[None]:
        async with self._turns:
            yield
