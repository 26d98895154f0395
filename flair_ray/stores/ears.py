"""Waking up instead of polling: one pub/sub connection per process, shared by all who wait.

A listener is told when something was published on one of its channels, and also when it may have missed something:
after the connection was lost and made again. A wake-up is a reason to look, never the news itself.

One task lives as long as the process: it connects, subscribes to what is listened to, hears, and begins anew when
anything of that fails. Listeners only say what they want, so that none depends on another's command, and leaving takes
no await that a cancel could interrupt. A server that cannot be reached costs a listener ``CONFIRM_S``, no error:
whoever looks afterwards learns of it there.
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

log = logging.getLogger(__name__)

RECONNECT_S = 0.2
CONFIRM_S = 1.0


@dataclass(slots=True)
class _Channel:
    """Who listens to a channel, whether the server was asked for it, and whether it ever said yes."""

    listeners: set[asyncio.Event] = field(default_factory=set)
    asked: bool = False
    confirmed: asyncio.Event = field(default_factory=asyncio.Event)


class Ears:
    """Listens on channels as long as somebody waits there. ``redis`` must have no socket timeout."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._channels: dict[str, _Channel] = {}
        self._touched: set[str] = set()
        self._changed = asyncio.Event()
        self._living: asyncio.Task[None] | None = None
        self._closed = False

    @asynccontextmanager
    async def listening(self, *names: str) -> AsyncIterator[asyncio.Event]:
        """An event that is set by news on any of the channels; when this is entered, nothing later is missed."""
        woken = asyncio.Event()
        channels = [self._channels.setdefault(name, _Channel()) for name in names]
        for channel in channels:
            channel.listeners.add(woken)
        self._touch(*names)
        if self._living is None or self._living.done():
            self._living = asyncio.create_task(self._live())
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CONFIRM_S):
                    for channel in channels:
                        await channel.confirmed.wait()
            woken.clear()
            yield woken
        finally:
            for channel in channels:
                channel.listeners.discard(woken)
            self._touch(*names)

    async def close(self) -> None:
        self._closed = True  # a task group whose task fails while it is cancelled forgets the cancel (Python < 3.13)
        if self._living:
            self._living.cancel()
            await asyncio.gather(self._living, return_exceptions=True)
        await self._redis.aclose()
        await self._redis.connection_pool.aclose()

    def _touch(self, *names: str) -> None:
        self._touched.update(names)
        self._changed.set()

    async def _live(self) -> None:
        while not self._closed:
            for channel in self._channels.values():
                channel.asked = False
            self._touch(*self._channels)
            try:
                async with self._redis.pubsub() as pubsub, asyncio.TaskGroup() as both:
                    await pubsub.connect()
                    both.create_task(self._talk(pubsub))
                    both.create_task(self._hear(pubsub))
            except* Exception as lost:  # whatever it was: those who wait depend on the next connection
                log.info("lost the channel for news", extra={"error": type(lost.exceptions[0]).__name__})
            await asyncio.sleep(RECONNECT_S)

    async def _talk(self, pubsub: Any) -> None:
        """Subscribe where somebody has begun to listen, leave where nobody does any more."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            names, self._touched = self._touched, set()
            known = [(name, self._channels[name]) for name in names if name in self._channels]
            idle = [name for name, channel in known if not channel.listeners]
            new = [name for name, channel in known if channel.listeners and not channel.asked]
            for name in idle:
                del self._channels[name]
            for name in new:
                self._channels[name].asked = True
            if idle:
                await pubsub.unsubscribe(*idle)
            if new:
                await pubsub.subscribe(*new)

    async def _hear(self, pubsub: Any) -> None:
        while True:
            message = await pubsub.get_message(timeout=None)
            channel = self._channels.get(message["channel"]) if message else None
            if channel and message["type"] in ("message", "subscribe"):  # subscribed again: after a lost connection
                channel.confirmed.set()
                for listener in channel.listeners:
                    listener.set()
