"""Which runs have ended and are not in the archive yet. The step that ends a run marks it, so none is overlooked."""

from __future__ import annotations

from redis.asyncio import Redis

from flair_ray.domain.ids import RunId
from flair_ray.stores import keys
from flair_ray.stores.redis_store import translated
from flair_ray.stores.scripts import load_scripts

AGAIN_S = 60
"""After how long a run that was handed out and is not kept yet is handed out again."""


class RedisUnkept:
    """See ``flair_ray.ports.Unkept``."""

    def __init__(self, redis: Redis) -> None:
        self._lua = load_scripts(redis)

    async def due(self, most: int) -> list[RunId]:
        async with translated():
            found = await self._lua["due"](keys=[keys.unkept_runs()], args=[most, AGAIN_S * 1000, keys.run(RunId(""))])
        return [RunId(run_id) for run_id in found]

    async def kept(self, run_id: RunId, finished_at_ms: int) -> bool:
        places = [keys.unkept_runs(), keys.run(run_id), keys.deleted_runs()]
        async with translated():
            return bool(await self._lua["kept"](keys=places, args=[run_id, finished_at_ms]))
