"""What the HTTP front keeps of its tenants: who has signed in, what tickets are out, how often they ask and spend.

Cookies and tickets are random; Redis has their SHA-256 and what they stand for, so whoever reads it can use none.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

from redis.asyncio import Redis

from flair_ray.domain.ids import RunId
from flair_ray.stores import keys
from flair_ray.stores.redis_store import translated
from flair_ray.stores.scripts import load_scripts

WINDOW_S = 60
BOOK_TTL_S = 62 * 86_400
"""A book outlives its month, for runs that end in the next one."""
Kind = Literal["cookie", "ticket"]


class RedisTenants:
    """Raises StoreUnavailable when Redis is away. ``now`` gives seconds since the epoch."""

    def __init__(self, redis: Redis, now: Callable[[], float] = time.time) -> None:
        self._redis = redis
        self._now = now
        self._book = load_scripts(redis)["book"]

    async def issue(self, kind: Kind, stands_for: str, ttl_s: int) -> str:
        """A new secret, good for so long."""
        secret = secrets.token_urlsafe(32)
        async with translated():
            await self._redis.set(keys.admission(kind, _digest(secret)), stands_for, ex=ttl_s)
        return secret

    async def redeem(self, kind: Kind, secret: str) -> str | None:
        """What it stands for; None for one that is forged, over or revoked. It stays good."""
        async with translated():
            found: Any = await self._redis.get(keys.admission(kind, _digest(secret)))
        return None if found is None else str(found)

    async def revoke(self, kind: Kind, secret: str) -> None:
        async with translated():
            await self._redis.delete(keys.admission(kind, _digest(secret)))

    async def admit(self, name: str, what: str, most: int) -> int:
        """0 when this one of ``what`` is within ``most`` a minute, else the seconds until the next minute begins."""
        now = self._now()
        async with translated(), self._redis.pipeline() as pipe:
            pipe.incr(keys.rate(name, what, int(now // WINDOW_S)))
            pipe.expire(keys.rate(name, what, int(now // WINDOW_S)), 2 * WINDOW_S)
            count, _ = await pipe.execute()
        return 0 if count <= most else WINDOW_S - int(now % WINDOW_S)

    async def reserve(self, name: str, run_id: RunId, micros: int, most: int, *, again: bool = False) -> bool:
        """Room for a run in this month's book; False when there is none. A run that is in it already has its room,
        unless it goes on ``again`` after its end."""
        async with translated():
            args: list[str | int] = [run_id, micros, most, BOOK_TTL_S, int(again), 0]
            return bool(await self._book(keys=[*self._keys(name), keys.run(run_id)], args=args))

    async def settle(self, name: str, run_id: RunId, micros: int, ended_ms: int | None = None) -> None:
        """A run has ended, then: what it took stands for it from now on, unless it goes on ``again`` after that."""
        async with translated():
            args: list[str | int] = [run_id, micros, -1, BOOK_TTL_S, 0, ended_ms or 0]
            await self._book(keys=[*self._keys(name), keys.run(run_id)], args=args)

    async def unsettled(self, name: str) -> set[RunId]:
        async with translated():
            return {RunId(str(run_id)) for run_id in await self._redis.smembers(self._keys(name)[1])}

    async def spent(self, name: str) -> int:
        """Micro-dollars of this month: what ended runs took, and the caps of those that go on."""
        async with translated():
            return int(await self._redis.hget(self._keys(name)[0], "total") or 0)

    def _keys(self, name: str) -> list[str]:
        month = datetime.fromtimestamp(self._now(), UTC).strftime("%Y-%m")
        return [keys.book(name, month), keys.open_runs(name, month)]


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
