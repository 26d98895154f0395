"""What a run with a cap may still spend, for all of its workers at once.

Before a call is sent its worst cost is reserved in Redis; after it, that is replaced by what it took. The cap holds
because spent, reserved and unsure never pass the stage's allowance when a call is let out, and a call costs at most its
reservation. A reservation is known by stage, item, owner and attempt. The owner is one of these objects, that is one
shard in one process: another owner's reservation of the same item was left behind by a dead worker, and is kept as
unsure until that worker, should it live after all, settles it.
"""

from __future__ import annotations

from uuid import uuid4

from redis.asyncio import Redis

from flair_ray.domain.calls import ChatRequest, Usage
from flair_ray.domain.ids import RunId, StageName
from flair_ray.domain.money import Purse
from flair_ray.errors import BudgetSpent
from flair_ray.stores import keys
from flair_ray.stores.redis_store import translated
from flair_ray.stores.scripts import load_scripts

DEAD_MS = 600_000
"""Where nothing was reserved or settled for so long nothing is in flight: no call lives as long."""


class RedisBudget:
    """One stage's view of a run's budget; see ``flair_ray.ports.Budget``."""

    def __init__(self, redis: Redis, run_id: RunId, stage: StageName, purse: Purse, ttl_s: int) -> None:
        self._lua = load_scripts(redis)
        self._keys = [keys.budget(run_id), keys.reservations(run_id, stage)]
        self._stage, self._purse, self._ttl_s = stage, purse, ttl_s
        self._owner = f"{uuid4().hex[:12]}:"

    async def reserve(self, call: str, request: ChatRequest) -> bool:
        item, _, attempt = call.rpartition(":")
        worst = self._purse.worst(request)
        args = [self._stage.value, item, self._owner, attempt, worst, self._purse.allowance, self._ttl_s, DEAD_MS]
        async with translated():
            answer = await self._lua["reserve"](keys=self._keys, args=args)
        if answer == -1:
            raise BudgetSpent("What --max-usd leaves for this stage has no room for another call.")
        return bool(answer == 1)

    async def settle(self, call: str, usage: Usage | None) -> None:
        item, _, attempt = call.rpartition(":")
        took = -1 if usage is None else self._purse.cost(usage)
        async with translated():
            await self._lua["settle"](keys=self._keys, args=[self._stage.value, item, self._owner + attempt, took])
