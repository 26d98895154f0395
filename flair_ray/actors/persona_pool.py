"""Holds personas: who they are, where they sit in the run, how they have voted and how well they predicted.

What it holds is a bounded copy of what is in Redis: a pool that is blank, after a restart or because others took the
room, reads what it is asked for. A persona is held as it sits in the run that asked for it last. Whatever changes a
persona goes to Redis first and then out of the copy, so that a pool never knows better than Redis.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence

from flair_ray.domain.ids import RunId, ScriptId
from flair_ray.domain.personas import PersonaKey, PersonaState, persona_key
from flair_ray.domain.work import Voter
from flair_ray.errors import StoreUnavailable
from flair_ray.stores.personas import RedisPersonas

CAPACITY = 10_000
"""Personas held at once, a few kilobytes each."""


class PersonaPool:
    """See ``flair_ray.ports.Panel``."""

    def __init__(self, personas: RedisPersonas, capacity: int = CAPACITY) -> None:
        self._personas = personas
        self._capacity = capacity
        self._held: OrderedDict[PersonaKey, tuple[RunId, PersonaState]] = OrderedDict()
        self._changes = 0

    async def seat(self, run_id: RunId, voters: Sequence[Voter]) -> None:
        await self._personas.seat(run_id, voters)
        self._drop(persona_key(voter.persona, voter.owner) for voter in voters)

    async def states(self, run_id: RunId, keys: Sequence[PersonaKey]) -> dict[PersonaKey, PersonaState]:
        held = {key: self._held[key][1] for key in keys if key in self._held and self._held[key][0] == run_id}
        missing = [key for key in keys if key not in held]
        changes = self._changes
        loaded = await self._personas.load(run_id, missing) if missing else {}
        if len(loaded) < len(missing):
            raise StoreUnavailable(
                f"Redis has lost the panel of run {run_id}; `flair resume {run_id}` seats it again and goes on."
            )
        states = held | loaded
        if changes == self._changes:  # else what was read may be older than what has been written meanwhile
            self._hold(run_id, states)
        return states

    async def remember(self, run_id: RunId, ballots: Mapping[PersonaKey, tuple[ScriptId, ...]]) -> None:
        await self._personas.remember(run_id, ballots)
        self._drop(ballots)

    async def scored(self, key: PersonaKey, run_id: RunId, script_id: ScriptId, agreement: float) -> bool:
        counted = await self._personas.scored(key, run_id, script_id, agreement)
        self._drop([key])
        return counted

    def _hold(self, run_id: RunId, states: Mapping[PersonaKey, PersonaState]) -> None:
        for key, state in states.items():
            self._held[key] = run_id, state
            self._held.move_to_end(key)
        while len(self._held) > self._capacity:
            self._held.popitem(last=False)

    def _drop(self, keys: Iterable[PersonaKey]) -> None:
        self._changes += 1
        for key in keys:
            self._held.pop(key, None)
