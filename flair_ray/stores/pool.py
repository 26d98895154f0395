"""Connections to Redis that end with their client."""

from __future__ import annotations

from typing import Any

from redis.asyncio import BlockingConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError


class Pool(BlockingConnectionPool):
    """Stays closed: redis-py's own connects again for whoever comes late, or was connecting just then."""

    _shut = False

    async def get_connection(self, *_: Any, **__: Any) -> Any:
        self._check()
        connection: Any = await super().get_connection()  # type: ignore[no-untyped-call]
        if self._shut:
            await self.release(connection)
            self._check()
        return connection

    async def release(self, connection: Any) -> None:
        await super().release(connection)
        if self._shut:  # its command was tried again, over a new connection
            await connection.disconnect()

    async def aclose(self) -> None:
        self._shut = True
        await super().aclose()

    def _check(self) -> None:
        if self._shut:
            raise RedisConnectionError("This client is closed.")
