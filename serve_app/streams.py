"""A run's log as it is watched: from any id on, what is there and then what comes, as SSE or as lines of JSON.

    the log, from the cursor ──▶ the feed ──▶ the last event of a run that is over: end
            ▲                       │
            └── the queue was full ─┘

A viewer gets every event once and in order: the feed says from which id on its queue is whole, what lies before is
read from the log, and nothing at or below the last id that was sent is sent again. A terminal event ends the stream
when the run is over and nothing follows it in the log; one that a recovery follows is history. When Redis is away the
stream just ends: the client comes back with its id. A heartbeat is a named event that no log holds; it repeats the last
id, so that it does not move anybody's cursor. Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import ExitStack, aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from flair_ray.domain.events import TERMINAL, Event, EventName, Json
from flair_ray.domain.ids import RunId
from flair_ray.domain.runs import RunSnapshot
from flair_ray.domain.tenants import Tenant
from flair_ray.errors import RunNotFound, StoreUnavailable
from flair_ray.ports import RunStore
from serve_app.answers import NDJSON, SSE
from serve_app.feed import Feed, Viewer, id_parts

HEARTBEAT_S = 25.0
"""Below the 30 s after which a viewer takes the connection for dead."""
RETRY_MS = 2_000
CROWDED_RETRY_S = 10
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_CURSOR = re.compile(r"\d{1,19}(-\d{1,19})?")

Envelope = dict[str, Json]


@dataclass(frozen=True, slots=True)
class Streams:
    """The logs of all runs, to be watched."""

    store: RunStore
    feed: Feed
    heartbeat_s: float = HEARTBEAT_S
    open: Counter[str] = field(default_factory=Counter)
    """Streams by tenant."""

    def room(self, tenant: Tenant) -> ExitStack:
        """Room for one more, taken at once and given back when this is closed: many may ask before the first begins.

        Raises HTTPException 429 where a tenant with a token has as many open here as it may.
        """
        if tenant.name and self.open[tenant.name] >= tenant.streams:
            detail = f"{tenant.streams:,} streams are open. Close some, or try again later."
            raise HTTPException(429, detail, {"Retry-After": str(CROWDED_RETRY_S)})
        self.open[tenant.name] += 1
        room = ExitStack()
        room.callback(self.open.subtract, [tenant.name])
        return room

    async def is_finished(self, run_id: RunId, cursor: str) -> bool:
        """Whether nothing will ever follow this cursor. Raises RunNotFound."""
        snapshot = await self.store.snapshot(run_id)
        return snapshot.over and not await self.store.events(run_id, cursor)

    async def watch(self, run_id: RunId, cursor: str = "0") -> AsyncGenerator[Envelope, None]:
        """Every message for a viewer who has everything up to ``cursor``."""
        at = cursor
        try:
            if missed := await self._missed(run_id, cursor):
                yield missed
            while True:
                async with aclosing(self._once(run_id, at)) as messages:
                    async for message in messages:
                        at = str(message["id"])
                        yield message
                if await self.is_finished(run_id, at):
                    return
        except (StoreUnavailable, RunNotFound):
            return  # never a terminal event: the client comes back and is told

    async def _once(self, run_id: RunId, at: str) -> AsyncGenerator[Envelope, None]:
        """From the log into the feed, until the run may be over or the viewer has fallen behind."""
        last: Event | None = None
        async for event in self._logged(run_id, at):
            last, at = event, event.event_id
            yield event.envelope()
        if last is not None and last.name in TERMINAL and await self.is_finished(run_id, at):
            return
        with self.feed.watching(run_id, at) as (viewer, whole_after):
            if id_parts(whole_after) > id_parts(at):
                async for event in self._logged(run_id, at):
                    at = event.event_id
                    yield event.envelope()
            async for message in self._live(run_id, at, viewer):
                yield message

    async def _live(self, run_id: RunId, at: str, viewer: Viewer) -> AsyncGenerator[Envelope, None]:
        while not (viewer.behind and viewer.queue.empty()):
            try:
                event = await asyncio.wait_for(viewer.queue.get(), self.heartbeat_s)
            except TimeoutError:
                snapshot = await self.store.snapshot(run_id)  # the run may have been deleted
                yield _unstored("heartbeat", snapshot, at)
                if snapshot.over:
                    return
                continue
            if id_parts(event.event_id) <= id_parts(at):
                continue
            at = event.event_id
            yield event.envelope()
            if event.name in TERMINAL and await self.is_finished(run_id, at):
                return

    async def _logged(self, run_id: RunId, after: str) -> AsyncGenerator[Event, None]:
        while page := await self.store.events(run_id, after):
            for event in page:
                yield event
            after = page[-1].event_id

    async def _missed(self, run_id: RunId, cursor: str) -> Envelope | None:
        """Where the run stands, for a viewer whose next event is not kept any more."""
        first = await self.feed.first(run_id)
        if first is None or first.name == EventName.PIPELINE_STARTED or id_parts(cursor) >= id_parts(first.event_id):
            return None
        return _unstored("snapshot", await self.store.snapshot(run_id), cursor)


class Watching(StreamingResponse):
    """Closes ``room`` however it ends, also before it has begun: a generator that never ran has no end of its own."""

    def __init__(self, content: AsyncGenerator[bytes, None], room: ExitStack, media_type: str) -> None:
        super().__init__(content, headers=HEADERS, media_type=media_type)
        self._room = room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._room:
            await super().__call__(scope, receive, send)


def cursor_of(request: Request) -> str:
    """Where a viewer goes on: ``?cursor=``, then Last-Event-ID, then the beginning."""
    asked = request.query_params.get("cursor")
    if asked and not _CURSOR.fullmatch(asked):
        raise HTTPException(422, "cursor is the id of an event, such as 1732000000000-0.")
    remembered = request.headers.get("last-event-id", "")
    return asked or (remembered if _CURSOR.fullmatch(remembered) else "0")


def sse(messages: AsyncGenerator[Envelope, None], room: ExitStack) -> Watching:
    """As server-sent events."""

    async def frames() -> AsyncGenerator[bytes, None]:
        yield f"retry: {RETRY_MS}\n\n".encode()
        async with aclosing(messages):
            async for message in messages:
                yield f"id: {message['id']}\nevent: {message['event']}\ndata: ".encode() + to_json(message) + b"\n\n"

    return Watching(frames(), room, SSE)


def ndjson(messages: AsyncGenerator[Envelope, None], room: ExitStack) -> Watching:
    """As one JSON object a line."""

    async def lines() -> AsyncGenerator[bytes, None]:
        async with aclosing(messages):
            async for message in messages:
                yield to_json(message) + b"\n"

    return Watching(lines(), room, NDJSON)


def _unstored(name: str, snapshot: RunSnapshot, at: str) -> Envelope:
    data: dict[str, Json] = {
        "run_id": snapshot.run_id,
        "status": snapshot.status.value,
        "current_stage": snapshot.current_stage.value if snapshot.current_stage else None,
        "stages": {
            stage.value: {"status": counts.status, "completed": counts.completed, "total": counts.total}
            for stage, counts in snapshot.stages.items()
        },
    }
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return {"event": name, "data": data, "timestamp": now, "id": at}
