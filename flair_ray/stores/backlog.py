"""What waits for a worker, for whoever decides how many there are to be.

Items of the stages under way that are neither done nor in flight, on accounts whose permits are free: a provider at its
limit needs no more workers. Measured where everything is, in Redis, so one host speaks for all. It is a gauge and no
account: items that wait for the answer of another run count too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from redis.asyncio import Redis

from flair_ray.domain.codec import decode
from flair_ray.domain.ids import RunId, StageName
from flair_ray.domain.runs import ModelChoice, RunSpec, RunStatus
from flair_ray.stores import keys
from flair_ray.stores.redis_store import translated

EVERY_MS = 58_000
"""A turn is taken by one host, and the next one by whoever looks first after that: once a minute."""
SHORT_MS = 5_000
"""Permits are free when for so long nobody has had to wait for one."""


class RedisBacklog:
    """``account_of`` names who is billed and limited; None where nobody is. Raises StoreUnavailable."""

    def __init__(self, redis: Redis, account_of: Callable[[ModelChoice], str | None]) -> None:
        self._redis, self._account_of = redis, account_of

    async def my_turn(self, every_ms: int = EVERY_MS) -> bool:
        """Whether this host is to measure now. One that dies with its turn leaves out one minute."""
        async with translated():
            return bool(await self._redis.set(keys.backlog_turn(), 1, nx=True, px=every_ms))

    async def queue(self, oldest: RunId | None) -> tuple[int, float]:
        """Hosted runs that have not ended, and for how long ``oldest`` has been one, seconds; 0 for None."""
        async with translated():
            pipe = self._redis.pipeline(transaction=False)
            pipe.zcard(keys.hosted_runs())
            pipe.zscore(keys.hosted_runs(), oldest or "")
            pipe.time()
            queued, since_ms, (seconds, micros) = await pipe.execute()
        return queued, 0.0 if since_ms is None else max(0.0, seconds + micros / 1e6 - since_ms / 1000)

    async def waiting(self) -> int | None:
        """Items that more workers would take; None when there are some, and no permits for them."""
        opened = await self._open()
        short = [account for account in opened if account and await self._is_short(account)]
        free = [account for account in opened if account not in short]
        if short and not free:
            return None
        return sum([max(0, opened[account] - await self._in_flight(account)) for account in free])

    async def _open(self) -> dict[str | None, int]:
        """Account → items that have no outcome yet."""
        async with translated():
            ids: Any = await self._redis.zrange(keys.hosted_runs(), 0, -1)
            pipe = self._redis.pipeline(transaction=False)
            for run_id in ids:
                pipe.hmget(keys.run(run_id), "status", "stage")
            states = await pipe.execute()
            under_way = [
                (run_id, StageName(stage))
                for run_id, (status, stage) in zip(ids, states, strict=True)
                if status == RunStatus.RUNNING.value and stage
            ]
            opened: dict[str | None, int] = defaultdict(int)
            for run_id, stage in under_way:
                account, left = await self._left(run_id, stage)
                opened[account] += left
        return {account: left for account, left in opened.items() if left}

    async def _left(self, run_id: RunId, stage: StageName) -> tuple[str | None, int]:
        run = keys.run(run_id)
        written, total, ended = await self._redis.hmget(run, "spec", f"total:{stage.value}", f"ended:{stage.value}")
        if written is None or total is None or ended:
            return None, 0
        spec = decode(RunSpec, written)
        done = await self._redis.hlen(keys.results(run_id, spec.fingerprint, stage))
        return self._account_of(spec.model_of(stage)), max(0, int(total) - done)

    async def _is_short(self, account: str) -> bool:
        async with translated():
            since = await self._redis.hget(keys.books(account), "short")
            seconds, micros = await self._redis.time()
        return since is not None and seconds * 1000 + micros // 1000 - float(since) < SHORT_MS

    async def _in_flight(self, account: str | None) -> int:
        if account is None:
            return 0
        async with translated():
            return int(await self._redis.zcard(keys.permits(account)))
