"""Waking up instead of polling: one pub/sub connection per process, shared by all who wait.

A listener is told when something was published on one of its channels, and also when it may have missed something:
after the connection was lost and made again. A wake-up is a reason to look, never the news itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from flair_ray.errors import StoreUnavailable
from flair_ray.stores.redis_store import translated

log = logging.getLogger(__name__)

RECONNECT_S = 0.2


@dataclass(slots=True)
class _Channel:
    """Who listens to a channel, and whether the server knows that we do."""

    listeners: set[asyncio.Event] = field(default_factory=set)
    confirmed: asyncio.Event = field(default_factory=asyncio.Event)


class Ears:
    """Listens on channels as long as somebody waits there. ``redis`` must have no socket timeout."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._pubsub: Any = None
        self._channels: dict[str, _Channel] = {}
        self._hearing: asyncio.Task[None] | None = None
        self._talking = asyncio.Lock()  # what is sent to the server is sent in the order in which it was decided

    @asynccontextmanager
    async def listening(self, *channels: str) -> AsyncIterator[asyncio.Event]:
        """An event that is set by news on any of the channels; when this is entered, nothing later is missed."""
        woken = asyncio.Event()
        new = [name for name in channels if name not in self._channels]
        heard = [self._channels.setdefault(name, _Channel()) for name in channels]
        for channel in heard:
            channel.listeners.add(woken)
        try:
            if new:
                await self._subscribe(new)
            for channel in heard:
                await channel.confirmed.wait()
            yield woken
        finally:
            for channel in heard:
                channel.listeners.discard(woken)
            await self._forget(channels)

    async def close(self) -> None:
        if self._hearing:
            self._hearing.cancel()
            await asyncio.gather(self._hearing, return_exceptions=True)
        if self._pubsub:
            await self._pubsub.aclose()
        await self._redis.aclose()
        await self._redis.connection_pool.aclose()

    async def _subscribe(self, names: list[str]) -> None:
        try:
            async with self._talking, translated():
                if self._pubsub is None:
                    self._pubsub = self._redis.pubsub()
                await self._pubsub.subscribe(*names)
                if self._hearing is None:
                    self._hearing = asyncio.create_task(self._hear())
        except StoreUnavailable:
            self._wake_all()  # others may wait for this very subscription
            raise

    async def _forget(self, names: tuple[str, ...]) -> None:
        """Leave the channels where nobody listens any more."""
        async with self._talking:
            idle = [name for name in names if name in self._channels and not self._channels[name].listeners]
            for name in idle:
                del self._channels[name]
            if idle and self._pubsub:
                with contextlib.suppress(RedisError, OSError):
                    await self._pubsub.unsubscribe(*idle)

    async def _hear(self) -> None:
        while True:
            try:
                message = await self._pubsub.get_message(timeout=None)
            except (RedisError, OSError) as err:
                log.warning("lost the channel for news", extra={"error": type(err).__name__})
                self._wake_all()
                await asyncio.sleep(RECONNECT_S)
                continue
            channel = self._channels.get(message["channel"]) if message else None
            if channel and message["type"] == "subscribe" and not channel.confirmed.is_set():
                channel.confirmed.set()
            elif channel and message["type"] in ("message", "subscribe"):  # subscribed again: after a lost connection
                self._wake(channel)

    def _wake_all(self) -> None:
        for channel in self._channels.values():
            channel.confirmed.set()  # whoever waits for that would wait in vain
            self._wake(channel)

    def _wake(self, channel: _Channel) -> None:
        for listener in channel.listeners:
            listener.set()
