"""The logs of runs, live, for everybody who watches in this process: one Redis connection, however many viewers.

One XREAD waits on the streams of all watched runs at once. What comes is encoded once and put into the queue of each
viewer of that run. A stream of our own among them wakes the reader when a run is watched that was not before.

Invariants: a viewer who attaches with the id of the last event it has gets every later one, at least once and in order;
a queue is bounded, and a viewer whose queue is full is detached with a mark on it: it goes on from the log.
How it fails: while Redis is away the reader tries again, from where each run stood; nothing is lost and nobody is told.
An entry that is no event is left out: it is one run's, and the reader is everybody's.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json
from redis.asyncio import Redis
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from flair_ray.domain.events import Event
from flair_ray.domain.ids import RunId
from flair_ray.errors import StoreUnavailable
from flair_ray.stores import keys
from flair_ray.stores.redis_store import translated
from flair_ray.telemetry import metrics, record

log = logging.getLogger(__name__)

QUEUE = 256
"""Events that wait for one viewer; half of what a default run has."""
BLOCK_MS = 5_000
ANSWER_S = 5.0
"""Longer than any answer takes: a connection that is silent for longer is lost, and the client has no timeout."""
PAGE = 500
RECONNECT_S = 0.2
WAKER_TTL_S = 60

IdParts = tuple[int, int]


def id_parts(event_id: str) -> IdParts:
    """A stream id as something that can be compared."""
    ms, _, sequence = event_id.partition("-")
    return int(ms), int(sequence or 0)


@dataclass(slots=True, eq=False)
class Viewer:
    """What has come for one viewer and was not taken yet."""

    queue: asyncio.Queue[Event] = field(default_factory=lambda: asyncio.Queue(QUEUE))
    behind: bool = False
    """Its queue was full: what follows is in the log only."""


@dataclass(slots=True)
class _Watched:
    last_id: str
    viewers: set[Viewer] = field(default_factory=set)


class Feed:
    """``redis`` must have no socket timeout: its connection mostly waits."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._waker = keys.feed_waker(uuid.uuid4().hex)
        self._waker_id = "0"
        self._runs: dict[RunId, _Watched] = {}
        self._news = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None
        self._waking: set[asyncio.Task[None]] = set()
        self._viewers = 0

    @contextmanager
    def watching(self, run_id: RunId, after: str) -> Iterator[tuple[Viewer, str]]:
        """A viewer who has every event up to ``after``, and the id after which its queue has everything.

        When that is later than ``after``, what lies between is in the log.
        """
        viewer = Viewer()
        watched = self._runs.get(run_id)
        if watched is None:
            watched = self._runs[run_id] = _Watched(after)
            self._wake()
        watched.viewers.add(viewer)
        self._count(+1)
        try:
            yield viewer, watched.last_id
        finally:
            self._count(-1)
            watched.viewers.discard(viewer)
            if not watched.viewers and self._runs.get(run_id) is watched:
                del self._runs[run_id]

    async def first(self, run_id: RunId) -> Event | None:
        """The earliest event that the log of a run has. Raises StoreUnavailable."""
        async with translated(), in_time(ANSWER_S):
            entries: Any = await self._redis.xrange(keys.events(run_id), count=1)
        return next((_event(*entry) for entry in entries), None)

    def check(self) -> None:
        """Raises StoreUnavailable when nothing is read any more: who watches here would wait for ever."""
        if self._reading is not None and self._reading.done():
            raise StoreUnavailable("The logs of runs are not read here any more.")

    async def close(self) -> None:
        tasks = [*self._waking, *([self._reading] if self._reading else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._redis.aclose()
        await self._redis.connection_pool.aclose()

    def _count(self, more: int) -> None:
        self._viewers += more
        record.set_to(metrics.VIEWERS, self._viewers)

    def _wake(self) -> None:
        self._news.set()
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())
            return
        task = asyncio.create_task(self._write_to_waker())
        self._waking.add(task)
        task.add_done_callback(self._waking.discard)

    async def _write_to_waker(self) -> None:
        try:
            pipe = self._redis.pipeline(transaction=False)
            pipe.xadd(self._waker, {"run": "new"}, maxlen=1, approximate=False)
            pipe.expire(self._waker, WAKER_TTL_S)
            await pipe.execute()
        except (RedisError, OSError) as err:  # the reader looks again by itself within BLOCK_MS
            log.warning("cannot wake the feed", extra={"error": type(err).__name__})

    async def _read(self) -> None:
        while True:
            try:
                await self._read_once()
            except (RedisError, OSError) as err:
                log.warning("lost the logs", extra={"error": type(err).__name__})
                await asyncio.sleep(RECONNECT_S)
            except Exception:  # whatever it was: everybody who watches here hangs on this task
                log.exception("cannot read the logs")
                await asyncio.sleep(RECONNECT_S)

    async def _read_once(self) -> None:
        if not self._runs:
            self._news.clear()
            await self._news.wait()
        self._count(0)  # said again: a gauge does not last
        asked = {keys.events(run_id): watched for run_id, watched in self._runs.items()}
        streams: dict[Any, Any] = {self._waker: self._waker_id}
        streams |= {key: watched.last_id for key, watched in asked.items()}
        async with in_time(BLOCK_MS / 1000 + ANSWER_S):
            reply: Any = await self._redis.xread(streams, count=PAGE, block=BLOCK_MS)
        self._hand_out(reply, asked)

    def _hand_out(self, reply: Any, asked: dict[str, _Watched]) -> None:
        """A run that was left and watched again meanwhile stands somewhere else: its ``_Watched`` is another then."""
        for key, entries in reply or []:
            if key == self._waker:
                self._waker_id = entries[-1][0]
                continue
            now_ms = time.time() * 1000
            for entry_id, entry in entries:
                try:
                    event = _event(entry_id, entry)
                except (KeyError, ValueError) as err:
                    log.warning("no event", extra={"key": key, "id": entry_id, "error": type(err).__name__})
                    asked[key].last_id = entry_id  # or it would be read again and again
                    continue
                _deliver(asked[key], event)
                record.observe(metrics.EVENTS_LAG_S, max(0.0, now_ms - id_parts(entry_id)[0]) / 1000)


@asynccontextmanager
async def in_time(seconds: float) -> AsyncIterator[None]:
    """Raises Redis' TimeoutError."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as err:
        raise RedisTimeoutError from err


def _deliver(watched: _Watched, event: Event) -> None:
    watched.last_id = event.event_id
    for viewer in tuple(watched.viewers):
        try:
            viewer.queue.put_nowait(event)
        except asyncio.QueueFull:
            viewer.behind = True
            watched.viewers.discard(viewer)


def _event(entry_id: str, entry: dict[str, str]) -> Event:
    return Event(entry_id, entry["name"], from_json(entry["data"]))
