"""The cluster's rate limiter: one detached actor that has a RateLimiter per account, and the way to it.

Everybody's calls to one account queue in one place, so that they can be fair to one another; what may be sent is in
Redis, where a second cluster sees it too. The actor is restarted by Ray when it dies, and blank then: the desks bring
their asks again. Named with the version, so that two versions beside each other during a rollout do not share code;
they share the budget all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from ray.exceptions import RayActorError, TaskCancelledError
from redis.asyncio import Redis

from flair_ray.actors.rate_limiter import RateLimiter
from flair_ray.domain.runs import Limits
from flair_ray.engine.naming import Actor
from flair_ray.flow.clock import SystemClock
from flair_ray.flow.permits import Exchange
from flair_ray.ports import Ask, Permits, Settlement, Turns
from flair_ray.stores.permits import PERMIT_LEASE_S, RedisPermits
from flair_ray.stores.redis_store import connect

LIMITER_GONE: tuple[type[Exception], ...] = (RayActorError, TaskCancelledError)
"""It may be back in a moment, or another one may be made. A call that one shard began is cancelled with that shard, and
what the next one in this process has asked for goes on."""
KEPT_ACCOUNTS = 100
"""Accounts from which on idle ones are forgotten."""

OpenPermits = Callable[[str], Permits]


@dataclass(frozen=True, slots=True)
class RedisAccounts:
    """How to open an account's books; picklable. The address may carry a password: it is not shown."""

    redis_url: str
    lease_s: float = PERMIT_LEASE_S

    def __call__(self) -> OpenPermits:
        redis = connect(self.redis_url)
        return lambda account: RedisPermits(redis, account, self.lease_s)

    def __repr__(self) -> str:
        return "RedisAccounts(…)"


class RateLimiterActor:
    """A RateLimiter for every account that is used."""

    def __init__(self, accounts: Callable[[], OpenPermits]) -> None:
        self._accounts = accounts
        self._open: OpenPermits | None = None
        self._limiters: dict[str, tuple[Limits, RateLimiter]] = {}

    async def exchange(
        self,
        account: str,
        limits: Limits,
        client: str,
        asks: Sequence[Ask],
        settled: Sequence[Settlement],
        renewed: Sequence[str],
        wait_s: float,
    ) -> Turns:
        """See ``RateLimiter.exchange``. What the last caller says about the account's limits holds."""
        limiter = await self._limiter(account, limits)
        return await limiter.exchange(client, asks, settled, renewed, wait_s)

    async def _limiter(self, account: str, limits: Limits) -> RateLimiter:
        if self._open is None:  # on the actor's event loop, where the Redis client belongs
            self._open = self._accounts()
        declared, limiter = self._limiters.get(account, (None, None))
        if declared != limits or limiter is None:
            permits = self._open(account)
            await permits.declare(limits)
            declared, kept = self._limiters.get(account, (None, None))
            limiter = kept or RateLimiter(permits, SystemClock(), account_label(account))
            self._limiters[account] = limits, limiter
        if len(self._limiters) > KEPT_ACCOUNTS:
            self._limiters = {a: kept for a, kept in self._limiters.items() if a == account or not kept[1].idle}
        return limiter


def limiter_exchange(accounts: Callable[[], OpenPermits], version: str, account: str, limits: Limits) -> Exchange:
    """The way from a desk to the cluster's limiter, which is started where it is missing.

    Raises one of LIMITER_GONE when it dies meanwhile; a new call finds, or makes, its successor.
    """
    return partial(_limiter_actor(accounts, version).call, "exchange", account, limits)


def own_exchange(redis: Redis, account: str, limits: Limits) -> Exchange:
    """Without Ray: a limiter in this process, on the client it has."""
    actor = RateLimiterActor(lambda: partial(RedisPermits, redis))
    return partial(actor.exchange, account, limits)


def start_limiter(redis_url: str, version: str) -> None:
    """Have the actor made, so that the first call does not wait for its process; returns at once."""
    _limiter_actor(RedisAccounts(redis_url), version).start()


def account_label(account: str) -> str:
    """An account in the metrics: its provider, and enough of its digest to tell two apart."""
    provider, _, key = account.rpartition("-")
    return f"{provider}-{key[:6]}"


def limiter_name(version: str) -> str:
    return f"rate-limiter-{version}"


def _limiter_actor(accounts: Callable[[], OpenPermits], version: str) -> Actor:
    return Actor(RateLimiterActor, limiter_name(version), 10_000, accounts)
