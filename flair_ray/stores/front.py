"""What the HTTP front keeps in Redis beside runs: which start made which run, and videos that were uploaded."""

from __future__ import annotations

import asyncio
import math
from time import monotonic

from redis.asyncio import Redis

from flair_ray.domain.codec import decode, encode
from flair_ray.domain.ids import RunId, digest
from flair_ray.domain.videos import Video
from flair_ray.errors import InputError, StoreUnavailable
from flair_ray.stores import keys
from flair_ray.stores.redis_store import translated

START_TTL_S = 86_400
PING_S = 2.0
COUNT_S = 0.25


class RedisFront:
    """Raises StoreUnavailable when Redis is away; everything may be repeated."""

    def __init__(self, redis: Redis, run_ttl_s: int) -> None:
        self._redis = redis
        self._run_ttl_s = run_ttl_s
        self._handed_in, self._counted_s = 0, -math.inf

    async def claim_start(self, session_id: str, key: str, run_id: RunId, asked: str) -> RunId:
        """The id of the run that this key is for: ``run_id`` the first time, afterwards the first one again.

        The run itself may not exist yet: whoever claimed it may have died. Raises InputError when something else was
        ``asked`` for under the same key.
        """
        value = f"{run_id} {digest(asked)}"
        async with translated():
            place = keys.start(digest(session_id, key, length=32))
            kept = await self._redis.set(place, value, nx=True, get=True, ex=START_TTL_S)
        first, _, what = str(kept or value).partition(" ")
        if what != digest(asked):
            raise InputError("This Idempotency-Key was used for another body. Use a new one.")
        return RunId(first)

    async def handed_in(self) -> int:
        """Runs that the hosts are to drive and that, as far as they have seen, have not ended; for whoever is about to
        hand one in. Redis is asked now and then: it would cost every start a way there and back."""
        if monotonic() - self._counted_s < COUNT_S:
            self._handed_in += 1
            return self._handed_in
        async with translated():
            self._handed_in = int(await self._redis.zcard(keys.hosted_runs()))
        self._counted_s = monotonic()
        return self._handed_in

    async def put_videos(self, videos: tuple[Video, ...], prefix: str = "") -> str:
        """Keep these for their owner; returns the id under which they are found, equal for equal videos."""
        text = encode(videos)
        video_set_id = digest(text, length=32)
        async with translated():
            await self._redis.set(keys.video_set(prefix + video_set_id), text, ex=self._run_ttl_s)
        return video_set_id

    async def videos(self, video_set_id: str, prefix: str = "") -> tuple[Video, ...]:
        """Raises InputError when this owner has none under this id."""
        async with translated():
            text = await self._redis.get(keys.video_set(prefix + video_set_id))
        if text is None:
            raise InputError(f"There are no videos {video_set_id!r} here, or their time is over: upload them again.")
        return decode(tuple[Video, ...], text)

    async def ping(self) -> None:
        """Raises StoreUnavailable within seconds: who asks for health must not wait for all the retries."""
        try:
            async with asyncio.timeout(PING_S), translated():
                await self._redis.ping()
        except TimeoutError:
            raise StoreUnavailable("Redis does not answer.") from None
