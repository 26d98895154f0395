"""What is remembered of personas, in Redis: one hash each, and a hash of seats per run.

Every method is one round trip however many personas it is about, and all of them may be repeated: a ballot counts
once per run, a result once per run and script.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic_core import to_json
from redis.asyncio import Redis

from flair_ray.domain.codec import adapter, decode, encode
from flair_ray.domain.ids import RunId, ScriptId
from flair_ray.domain.people import Persona
from flair_ray.domain.personas import PAST_BALLOTS, PastBallot, PersonaKey, PersonaState, persona_key
from flair_ray.domain.work import Voter
from flair_ray.stores import keys
from flair_ray.stores.redis_store import translated
from flair_ray.stores.scripts import load_scripts

REMEMBERED_RUNS = 10
"""A persona is remembered for so many times the life of a run after it last voted."""


class RedisPersonas:
    """See ``flair_ray.ports.Panel``; ``load`` finds those that are known."""

    def __init__(self, redis: Redis, run_ttl_s: int) -> None:
        self._redis = redis
        self._run_ttl_s = run_ttl_s
        self._ttl_s = REMEMBERED_RUNS * run_ttl_s
        self._lua = load_scripts(redis)

    async def seat(self, run_id: RunId, voters: Sequence[Voter]) -> None:
        async with translated(), self._redis.pipeline(transaction=False) as pipe:
            blocks: dict[str, int] = {}
            for voter in voters:
                key = persona_key(voter.persona, voter.owner)
                blocks[key] = voter.block
                pipe.hset(keys.persona(key), "profile", encode(voter.persona))
                pipe.expire(keys.persona(key), self._ttl_s)
            pipe.hset(keys.seats(run_id), mapping=blocks)  # type: ignore[arg-type]  # its own stubs are invariant
            pipe.expire(keys.seats(run_id), self._run_ttl_s)
            await pipe.execute()

    async def load(self, run_id: RunId, wanted: Sequence[PersonaKey]) -> dict[PersonaKey, PersonaState]:
        async with translated(), self._redis.pipeline(transaction=False) as pipe:
            pipe.hmget(keys.seats(run_id), list(wanted))
            for key in wanted:
                pipe.hgetall(keys.persona(key))
            blocks, *memories = await pipe.execute()
        known = zip(wanted, blocks, memories, strict=True)
        return {key: _state(int(block), memory) for key, block, memory in known if block and "profile" in memory}

    async def remember(self, run_id: RunId, ballots: Mapping[PersonaKey, tuple[ScriptId, ...]]) -> None:
        past = [to_json({"run_id": run_id, "top": top}).decode() for top in ballots.values()]
        async with translated():
            await self._lua["remember"](
                keys=[keys.persona(key) for key in ballots], args=[self._ttl_s, PAST_BALLOTS, run_id, *past]
            )

    async def scored(self, key: PersonaKey, run_id: RunId, script_id: ScriptId, agreement: float) -> bool:
        async with translated():
            return bool(
                await self._lua["score"](keys=[keys.persona(key)], args=[self._ttl_s, run_id, script_id, agreement])
            )


def _state(block: int, memory: Mapping[str, str]) -> PersonaState:
    return PersonaState(
        persona=decode(Persona, memory["profile"]),
        block=block,
        past=adapter(tuple[PastBallot, ...]).validate_json(memory.get("past", "[]")),
        scored=int(memory.get("scored", 0)),
        agreed=float(memory.get("agreed", 0)),
    )
