"""The queue in front of one account's budget, for every process of a cluster.

    desks ──asks, settlements, renewals──▶ FairQueue ──one exchange at a time──▶ Permits (Redis)
      ▲                                                                            │
      └────────────────────── granted: a waiting poll is answered ◀────────────────┘

Everything that came in since the last exchange goes into the next one. A caller hears back only when what it brought is
in Redis, so what it brought to a limiter that died it brings again. Blank after a restart: a desk that meets a new
``epoch`` sends its asks again, and Redis knows what was granted.

Invariants: an ask is queued once, whoever repeats it; what was granted to a desk that did not hear of it is told with
its next call, or falls to its lease's end; a desk that is not heard of for some seconds is forgotten with its asks.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import uuid4

from flair_ray.errors import ClusterUnavailable, InfrastructureError, LimiterFull
from flair_ray.flow.fair_queue import FairQueue, Taken
from flair_ray.ports import Ask, Clock, Permits, Settlement, Turns
from flair_ray.telemetry import metrics, record

MOST_ASKS = 100_000
BATCH = 64
"""Asks offered at once. The script holds Redis up for about 13 µs for each one granted and settled."""
ELSEWHERE_S = 0.1
"""How often to look while others hold permits: another cluster's settlements are not told to us."""
LONGEST_WAIT_S = 1.0
SILENT_S = 4.0
"""A desk that waits polls every second. The asks of a dead one must go soon: each that is granted holds a permit for a
whole lease, and nobody calls. One that was only slow meets a new epoch and asks again."""
HELD_S = 60.0


@dataclass(slots=True)
class _Desk:
    """One client process."""

    seen_s: float
    epoch: str = field(default_factory=lambda: uuid4().hex)
    asked: set[str] = field(default_factory=set)
    granted: list[str] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)


class RateLimiter:
    """Serves any number of desks on one account, which the metrics know by ``name``."""

    def __init__(self, permits: Permits, clock: Clock, name: str = "") -> None:
        self._permits = permits
        self._clock = clock
        self._name = name
        self._queue = FairQueue()
        self._desks: dict[str, _Desk] = {}
        self._desk_of: dict[str, str] = {}
        self._asked_s: dict[str, float] = {}
        """Ask → when it was first heard of, the oldest first."""
        self._held: dict[str, float] = {}
        """Permit → when it was last heard of: what is in flight beyond these is held elsewhere."""
        self._settled: list[Settlement] = []
        self._renewed: set[str] = set()
        self._news = asyncio.Event()
        self._round: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def idle(self) -> bool:
        """Nobody waits, nothing is held and no desk is known."""
        self._forget()
        return not (self._desks or self._held or len(self._queue))

    async def exchange(
        self,
        client: str,
        asks: Sequence[Ask] = (),
        settled: Sequence[Settlement] = (),
        renewed: Sequence[str] = (),
        wait_s: float = 0.0,
    ) -> Turns:
        """Takes what the desk brings; with ``wait_s`` waits for a grant to it. Returns what it has been granted.

        Raises LimiterFull when there was no room for all asks, and StoreUnavailable when what was brought could not
        be written.
        """
        self._forget()
        desk = self._desks.setdefault(client, _Desk(self._clock.now_s()))
        desk.seen_s = self._clock.now_s()
        asks = [ask for ask in asks if ask.permit_id not in desk.asked]
        room = max(0, MOST_ASKS - len(self._queue))
        full, asks = len(asks) > room, asks[:room]
        self._bring(client, desk, asks, settled, renewed)
        if asks or settled or renewed:
            self._round = self._round or asyncio.get_running_loop().create_future()
            round_ = self._round
            self._news.set()
            self._start()
            await asyncio.shield(round_)
        if full:
            raise LimiterFull(f"{len(self._queue)} calls wait for this account already. Try again later.")
        if wait_s and not desk.granted:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await desk.news.wait()
        desk.news.clear()
        granted, desk.granted = tuple(desk.granted), []
        return Turns(desk.epoch, granted)

    async def close(self) -> None:
        """Whoever waits to hear that something is in Redis gets ClusterUnavailable."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        _fail(self._round, ClusterUnavailable("The limiter is shutting down."))

    def _bring(
        self, client: str, desk: _Desk, asks: Sequence[Ask], settled: Sequence[Settlement], renewed: Sequence[str]
    ) -> None:
        for told in settled:
            self._queue.withdraw(told.permit_id)
            self._held.pop(told.permit_id, None)
            desk.asked.discard(told.permit_id)
            self._drop(told.permit_id)
            if told.permit_id in desk.granted:
                desk.granted.remove(told.permit_id)
        for ask in asks:
            if ask.permit_id not in desk.granted:
                self._queue.add(ask)
                desk.asked.add(ask.permit_id)
                self._desk_of[ask.permit_id] = client
                self._asked_s.setdefault(ask.permit_id, self._clock.now_s())
        self._held.update(dict.fromkeys(renewed, self._clock.now_s()))
        self._settled += settled
        self._renewed.update(renewed)

    def _start(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._serve())

    async def _serve(self) -> None:
        while len(self._queue) or self._settled or self._renewed or self._round:
            await asyncio.sleep(0)  # whoever is about to bring something joins
            self._news.clear()
            wait_s = await self._exchange_once()
            if len(self._queue) and wait_s:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._news.wait()

    async def _exchange_once(self) -> float:
        """Seconds until the next one, unless there is news."""
        round_, self._round = self._round, None
        settled, self._settled = self._settled, []
        gone = {told.permit_id for told in settled}
        renewed, self._renewed = self._renewed - gone, set()
        taken = self._queue.take(BATCH)
        try:
            got = await self._permits.exchange([t.ask for t in taken], settled, sorted(renewed))
        except asyncio.CancelledError:
            _fail(round_, ClusterUnavailable("The limiter is shutting down."))
            raise
        except Exception as err:
            self._queue.put_back(t for t in taken if self._is_wanted(t))
            _fail(round_, err)
            if not isinstance(err, InfrastructureError):
                raise
            return LONGEST_WAIT_S
        ids = set(got.permit_ids)
        left = [t for t in taken if t.ask.permit_id not in ids and self._is_wanted(t)]
        self._queue.put_back(left)
        for one in taken:
            if one.ask.permit_id in ids:
                self._queue.served(one)
                self._tell(one.ask.permit_id)
        if round_ and not round_.done():
            round_.set_result(None)
        self._report(got.in_flight)
        if not left:
            return 0.0
        elsewhere = got.in_flight > len(self._held)
        return min(LONGEST_WAIT_S if got.wait_s is None else got.wait_s, ELSEWHERE_S if elsewhere else LONGEST_WAIT_S)

    def _is_wanted(self, taken: Taken) -> bool:
        """Whether nobody withdrew it while it was on its way."""
        desk = self._desks.get(self._desk_of.get(taken.ask.permit_id, ""))
        return desk is not None and taken.ask.permit_id in desk.asked

    def _report(self, in_flight: int) -> None:
        now_s = self._clock.now_s()
        record.set_to(metrics.PERMITS_WANTED, len(self._queue), account=self._name)
        record.set_to(metrics.PERMITS_HELD, in_flight, account=self._name)
        record.set_to(metrics.PERMIT_AGE_S, now_s - next(iter(self._asked_s.values()), now_s), account=self._name)

    def _tell(self, permit_id: str) -> None:
        desk = self._desks.get(self._desk_of.get(permit_id, ""))
        asked_s = self._drop(permit_id)
        if desk is None or permit_id not in desk.asked:  # withdrawn meanwhile: its settlement is in the next exchange
            return
        record.observe(metrics.PERMIT_WAIT_S, self._clock.now_s() - asked_s, account=self._name)
        desk.asked.discard(permit_id)
        desk.granted.append(permit_id)
        desk.news.set()
        self._held[permit_id] = self._clock.now_s()

    def _drop(self, permit_id: str) -> float:
        """This ask is over. Returns since when it was known."""
        self._desk_of.pop(permit_id, None)
        return self._asked_s.pop(permit_id, self._clock.now_s())

    def _forget(self) -> None:
        now_s = self._clock.now_s()
        for client in [c for c, desk in self._desks.items() if desk.seen_s < now_s - SILENT_S]:
            for permit_id in self._desks.pop(client).asked:
                self._queue.withdraw(permit_id)
                self._drop(permit_id)
        if len(self._held) > 1000 or not self._desks:
            self._held = {p: s for p, s in self._held.items() if s >= now_s - HELD_S}
        if not self._desks:
            self._desk_of.clear()
            self._asked_s.clear()


def _fail(round_: asyncio.Future[None] | None, err: Exception) -> None:
    if round_ and not round_.done():
        round_.set_exception(err)
        round_.exception()  # whoever brought something may have hung up
