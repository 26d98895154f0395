"""The persona pool on the cluster: a few detached actors, each with its share of the personas, and the way to them.

A persona is in the pool that its key names, so a call about many of them is at most one call per pool. Ray restarts a
pool that dies, blank, and it finds in Redis what it is asked for; callers try again meanwhile, as everything a pool is
told may be repeated. Named with the version and their Redis, so that two versions, or two services, that share a
cluster do not use each other's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayActorError
from redis.asyncio import Redis

from flair_ray.actors.persona_pool import PersonaPool
from flair_ray.domain.ids import RunId, ScriptId
from flair_ray.domain.personas import PersonaKey, PersonaState, persona_key
from flair_ray.domain.work import Voter
from flair_ray.engine.naming import Actor
from flair_ray.engine.ray_worker import step_back
from flair_ray.errors import ClusterUnavailable
from flair_ray.ports import Panel
from flair_ray.stores.personas import RedisPersonas
from flair_ray.stores.redis_store import connect

ATTEMPTS = 120
AGAIN_S = 0.25
"""A restart takes a second or two; after ATTEMPTS of these, half a minute, the cluster is broken."""


@dataclass(frozen=True, slots=True)
class PersonasIn:
    """How to reach them; picklable. The address may carry a password: it is not shown."""

    redis_url: str
    run_ttl_s: int
    pools: int
    """Everybody who shares a Redis must say the same number: it decides where a persona is."""

    def __call__(self) -> RedisPersonas:
        return RedisPersonas(connect(self.redis_url), self.run_ttl_s)

    def __repr__(self) -> str:
        return "PersonasIn(…)"


class PersonaPoolActor(PersonaPool):
    """A PersonaPool whose Redis client belongs to the actor's event loop."""

    async def __init__(self, personas: PersonasIn) -> None:  # type: ignore[misc]  # Ray awaits it
        step_back()
        super().__init__(personas())


class RayPanel:
    """See ``flair_ray.ports.Panel``. Raises ClusterUnavailable when a pool does not come back."""

    def __init__(self, personas: PersonasIn, version: str) -> None:
        self._version = version
        self._pools = [Actor(PersonaPoolActor, pool_name(i, version), 100, personas) for i in range(personas.pools)]

    def start(self) -> None:
        """Have the pools made before they are needed; returns at once."""
        for pool in self._pools:
            pool.start()

    async def seat(self, run_id: RunId, voters: Sequence[Voter]) -> None:
        by_key = {persona_key(voter.persona, voter.owner): voter for voter in voters}
        shares = self._dealt(by_key)
        await asyncio.gather(*(self._ask(i, "seat", run_id, [by_key[k] for k in ks]) for i, ks in shares.items()))

    async def states(self, run_id: RunId, keys: Sequence[PersonaKey]) -> dict[PersonaKey, PersonaState]:
        found = await asyncio.gather(*(self._ask(i, "states", run_id, ks) for i, ks in self._dealt(keys).items()))
        return {key: state for states in found for key, state in states.items()}

    async def remember(self, run_id: RunId, ballots: Mapping[PersonaKey, tuple[ScriptId, ...]]) -> None:
        shares = self._dealt(ballots)
        await asyncio.gather(
            *(self._ask(i, "remember", run_id, {key: ballots[key] for key in ks}) for i, ks in shares.items())
        )

    async def scored(self, key: PersonaKey, run_id: RunId, script_id: ScriptId, agreement: float) -> bool:
        return bool(await self._ask(self._home(key), "scored", key, run_id, script_id, agreement))

    async def _ask(self, index: int, method: str, *args: object) -> Any:
        for _ in range(ATTEMPTS):
            try:
                return await self._pools[index].call(method, *args)
            except RayActorError:  # died or out of reach: it is restarted, or made anew
                await asyncio.sleep(AGAIN_S)
        raise ClusterUnavailable(f"The persona pool {index} has not come back. Is the cluster healthy?")

    def _home(self, key: PersonaKey) -> int:
        return int(key[:8], 16) % len(self._pools)

    def _dealt(self, keys: Iterable[PersonaKey]) -> dict[int, list[PersonaKey]]:
        shares: dict[int, list[PersonaKey]] = {}
        for key in keys:
            shares.setdefault(self._home(key), []).append(key)
        return shares


def open_panel(personas: PersonasIn, version: str, redis: Redis) -> Panel:
    """The cluster's pools; without Ray one in this process, on the client it has."""
    if ray.is_initialized():
        return RayPanel(personas, version)
    return PersonaPool(RedisPersonas(redis, personas.run_ttl_s))


def pool_name(index: int, version: str) -> str:
    return f"persona-pool-{index}-{version}"
