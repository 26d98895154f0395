"""Single flight: a question is put to a model by one process at a time, on the whole cluster.

    claim ──▶ settled ── the item has its result
          ├─▶ shared ─── the answer is in the cache
          ├─▶ lead ───── ask, then record: the record step ends the claim and wakes the others
          └─▶ follow ─── sleep until the claim ends or its owner is gone, then claim again

A claim holds its owner, one name per process. Whether an owner lives is one key with a short lease, renewed while the
process leads anything: however much a dead process had claimed, all of it is free in that instant, and at once when
the driver that saw it die says so (``RunStore.revoke``). Followers listen before they claim for the last time, so
that no wake-up falls between the two, and wait no longer than the owner's lease: a lost connection costs time, never
an answer. A claim also holds a number of its own: sent again after a lost reply it is granted again, where an owner
who found only its name there would follow itself for ever. A claim whose end Redis could not be told is ended later.

Claims asked for in one turn of the event loop travel in one command. Measured: 0.02 ms of this process's CPU a claim
in batches of fifty, 0.2 ms alone; the server takes 4 µs. ``docs/adr/0009``.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from itertools import count
from typing import Any
from uuid import uuid4

from redis.asyncio import Redis

from flair_ray.errors import StoreUnavailable
from flair_ray.flow.shielding import to_the_end
from flair_ray.ports import Claim, Lead, Settled, Shared
from flair_ray.stores import keys
from flair_ray.stores.ears import Ears
from flair_ray.stores.redis_store import translated
from flair_ray.stores.scripts import load_scripts

LEASE_S = 15.0
"""A process that starts a hundred runs' shards on busy cores was seen to renew nothing for eight seconds: its questions
were all asked twice. Followers of the dead rarely wait for it, as the driver that saw them die says so."""
CLAIM_TTL_MS = 86_400_000
"""A claim outlives no day, whatever becomes of its owner."""
BATCH = 500


@dataclass(frozen=True, slots=True)
class _Follow:
    owner: str
    left_s: float


_Turn = Lead | Shared | Settled | _Follow
_Asked = tuple[Claim, str, asyncio.Future[_Turn]]
"""What is asked, the holder it would make, and who waits for the reply."""


class RedisFlights:
    """See ``flair_ray.ports.Flights``. One per process."""

    def __init__(self, redis: Redis, ears: Ears, lease_s: float = LEASE_S) -> None:
        self.owner = uuid4().hex
        self._redis = redis
        self._ears = ears
        self._lua = load_scripts(redis)
        self._lease_s = lease_s
        self._numbers = count()
        self._leading: dict[str, str] = {}  # claim's key → holder
        self._owed: set[tuple[str, str]] = set()  # the same, of claims that we could not give up yet
        self._asked: list[_Asked] = []
        self._claiming: set[asyncio.Task[None]] = set()
        self._renewing: asyncio.Task[None] | None = None

    async def turn(self, claim: Claim) -> Lead | Shared | Settled:
        """Our turn, or what somebody else brought. Cancelling it while it waits is safe."""
        turn = await self._claim(claim)
        while isinstance(turn, _Follow):
            owner = turn.owner
            async with self._ears.listening(keys.landed(claim.key), keys.gone(owner)) as news:
                while isinstance(turn := await self._claim(claim), _Follow) and turn.owner == owner:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(turn.left_s):
                            await news.wait()
                    news.clear()
        return turn

    async def leave(self, claim: Claim, *, landed: bool) -> None:
        """Raises nothing: what Redis cannot be told now it is told by the next renewal."""
        holder = self._leading.pop(claim.key, None)
        if holder and not landed:
            await self._free(claim.key, holder)

    async def close(self) -> None:
        tasks = [*self._claiming, *([self._renewing] if self._renewing else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._ears.close()

    async def _claim(self, claim: Claim) -> _Turn:
        future: asyncio.Future[_Turn] = asyncio.get_running_loop().create_future()
        self._asked.append((claim, f"{self.owner}:{next(self._numbers)}", future))
        if len(self._asked) == 1:
            task = asyncio.create_task(self._claim_all())
            self._claiming.add(task)
            task.add_done_callback(self._claiming.discard)
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and not future.exception() and future.result() == Lead():
                await to_the_end(self.leave(claim, landed=False))
            raise

    async def _claim_all(self) -> None:
        """Everything that was asked for by now."""
        asked, self._asked = self._asked, []
        try:
            for start in range(0, len(asked), BATCH):
                batch = asked[start : start + BATCH]
                await self._tell(batch, await self._decided(batch))
        except Exception as err:  # it may have been decided all the same
            self._owed.update((c.key, holder) for c, holder, _ in asked if self._leading.get(c.key) != holder)
            self._stay_alive()
            for _, _, future in asked:
                if not future.done():
                    future.set_exception(err)
        finally:
            for _, _, future in asked:
                future.cancel()  # we are closed: nobody waits for ever

    async def _decided(self, asked: list[_Asked]) -> list[_Turn]:
        keys_ = [keys.owner(self.owner)]
        args: list[str | int] = [round(self._lease_s * 1000), CLAIM_TTL_MS, keys.owner("")]
        for claim, holder, _ in asked:
            results = keys.results(claim.run_id, claim.fingerprint, claim.stage)
            keys_ += [keys.claim(claim.key), results, keys.answer(claim.key)]
            args += [holder, claim.item_id, int(claim.shared)]
        async with translated():
            replies: Any = await self._lua["claim"](keys=keys_, args=args)
        return [_turn(*reply) for reply in replies]

    async def _tell(self, asked: list[_Asked], turns: list[_Turn]) -> None:
        orphans = []
        for (claim, holder, future), turn in zip(asked, turns, strict=True):
            if isinstance(turn, Lead):
                if future.done():  # cancelled while it was on its way
                    orphans.append((claim.key, holder))
                    continue
                self._leading[claim.key] = holder
                self._stay_alive()
            if not future.done():
                future.set_result(turn)
        for key, holder in orphans:
            await self._free(key, holder)

    async def _free(self, key: str, holder: str) -> None:
        self._owed.add((key, holder))
        self._stay_alive()
        with contextlib.suppress(StoreUnavailable):
            async with translated():
                await self._lua["give_up"](keys=[keys.claim(key)], args=[holder, keys.landed(key)])
            self._owed.discard((key, holder))

    def _stay_alive(self) -> None:
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.create_task(self._renew())

    async def _renew(self) -> None:
        """Stay alive as long as we lead. A Redis that is away for longer than a lease costs at most a second call."""
        while self._leading or self._owed:
            await asyncio.sleep(self._lease_s / 3)
            with contextlib.suppress(StoreUnavailable):
                async with translated():
                    await self._redis.set(keys.owner(self.owner), 1, px=round(self._lease_s * 1000))
            for key, holder in tuple(self._owed):
                await self._free(key, holder)


def _turn(what: str, value: str = "", left_ms: int = 0) -> _Turn:
    match what:
        case "lead":
            return Lead()
        case "shared":
            return Shared(value)
        case "settled":
            return Settled()
        case _:
            return _Follow(value, max(0.001, left_ms / 1000))
