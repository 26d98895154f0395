"""An account's permits in Redis: what everybody on every cluster may still send to one provider, now.

One Lua script settles, renews and grants in a single exchange, on the server's clock (``lua/permits.lua``). A permit is
a lease: it goes back by itself when nobody renews it. Its id is chosen by the asker, and an exchange may be repeated
after a lost reply: what was granted is granted again and charged once, what was settled stays settled.

Invariants: permits in flight never exceed the limit, but for calls that outlived their lease; requests in any t seconds
never exceed rpm/60·(t + 1/2) (or rpm/60·t + 1); tokens are charged as estimated and put right when the call ends.
Measured on 2 cores, a local server: one settlement and one ask take 0.2 ms (0.13 ms CPU here, 0.09 ms in the server),
twenty of each 0.5 ms (0.26 and 0.28 ms). Raises StoreUnavailable when Redis cannot be reached.
"""

from __future__ import annotations

from collections.abc import Sequence

from redis.asyncio import Redis

from flair_ray.domain.runs import Limits
from flair_ray.ports import Ask, Granted, Settlement
from flair_ray.stores import keys
from flair_ray.stores.redis_store import translated
from flair_ray.stores.scripts import load_scripts

PERMIT_LEASE_S = 8.0
"""Three renewals fit: two may be lost. What a killed process held comes back after this long."""
ABANDONED_GRACE_S = 0.5
"""A server notices late that we hung up, and counts the call until it does."""
BOOKS_TTL_MS = 24 * 3600 * 1000
"""What an idle account is remembered for. Limits are declared again by whoever comes after that."""


class RedisPermits:
    """One account's. See ``flair_ray.ports.Permits``."""

    def __init__(self, redis: Redis, account: str, lease_s: float = PERMIT_LEASE_S) -> None:
        self._redis = redis
        self._keys = [keys.permits(account), keys.books(account)]
        self._lease_ms = round(lease_s * 1000)
        self._script = load_scripts(redis)["permits"]

    async def declare(self, limits: Limits) -> None:
        declared = {"rpm": limits.rpm, "tpm": limits.tpm, "max": limits.max_in_flight}
        missing = [name for name, limit in declared.items() if limit is None]
        async with translated(), self._redis.pipeline() as pipe:
            if missing:
                pipe.hdel(self._keys[1], *missing)
            if len(missing) < len(declared):
                pipe.hset(self._keys[1], mapping={n: limit for n, limit in declared.items() if limit is not None})
            pipe.pexpire(self._keys[1], BOOKS_TTL_MS)
            await pipe.execute()

    async def exchange(
        self,
        asks: Sequence[Ask],
        settled: Sequence[Settlement] = (),
        renewed: Sequence[str] = (),
        now_ms: int | None = None,
    ) -> Granted:
        args: list[str | int] = ["" if now_ms is None else now_ms, self._lease_ms]
        args += [round(ABANDONED_GRACE_S * 1000), BOOKS_TTL_MS, len(settled)]
        for s in settled:
            args += [s.permit_id, s.outcome, s.tokens, s.retry_after_ms]
        args += [len(renewed), *renewed]
        for ask in asks:
            args += [ask.permit_id, ask.tokens]
        async with translated():
            wait_ms, in_flight, *ids = await self._script(keys=self._keys, args=args)
        return Granted(tuple(ids), None if wait_ms < 0 else wait_ms / 1000, in_flight)
