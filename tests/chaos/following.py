"""Follows a run's log while things die: says when it is time to kill, and remembers what a viewer was told."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from flair_ray.domain.events import TERMINAL, Event, EventName
from flair_ray.domain.ids import RunId, StageName
from flair_ray.stores.redis_store import RedisRunStore

PROGRESS = {
    StageName.S1: (EventName.S1_PROGRESS, "video_id"),
    StageName.S3: (EventName.S3_PROGRESS, "script_id"),
    StageName.S4: (EventName.VOTE_CAST, "persona_id"),
    StageName.S6: (EventName.S6_PROGRESS, "script_id"),
}
"""Of each map stage: the event of a recorded item, and the field that names the item."""


def recorded(log: list[Event], stage: StageName) -> list[Event]:
    """The progress events of a stage, in their order."""
    return [event for event in log if event.name == PROGRESS[stage][0]]


class Follower:
    """A viewer that reads on from the last event it saw. Its log is what any viewer would have."""

    def __init__(self, store: RedisRunStore, run_id: RunId) -> None:
        self._store, self._run_id = store, run_id
        self.log: list[Event] = []
        self._news = asyncio.Condition()

    async def until(self, holds: Callable[[list[Event]], bool]) -> None:
        """Wait for the log to fulfil something; the test's own timeout ends it."""
        async with self._news:
            await self._news.wait_for(lambda: holds(self.log))

    async def until_share(self, stage: StageName, items: int, share: float) -> None:
        """Wait until this share of a stage's items is recorded, one at least and never all of them."""
        enough = max(1, min(items - 1, math.ceil(share * items)))
        await self.until(lambda log: len(recorded(log, stage)) >= enough)

    async def until_ended(self) -> None:
        await self.until(lambda log: any(event.name in TERMINAL for event in log))

    async def follow(self) -> None:
        while True:
            after = self.log[-1].event_id if self.log else "0"
            news = await self._store.events(self._run_id, after, block_ms=500)
            async with self._news:
                self.log += news
                self._news.notify_all()


@asynccontextmanager
async def following(store: RedisRunStore, run_id: RunId) -> AsyncIterator[Follower]:
    """A follower at work. Should it fail, whoever waits for it runs into the test's timeout."""
    follower = Follower(store, run_id)
    task = asyncio.create_task(follower.follow())
    try:
        yield follower
    finally:
        task.cancel()
        await asyncio.wait({task})
