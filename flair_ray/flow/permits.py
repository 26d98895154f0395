"""A worker process's desk for the permits of one account.

    callers ──▶ desk ──all of one loop turn in one message──▶ the account's limiter ──▶ Redis
       ▲          │ ◀──────────── one long poll ────────────────┘
       └──────────┘

The desk chooses the ids, so a message may be sent again: when the limiter dies its successor gets every ask anew, and
what had been granted is granted under the same id. How a call's context is left says what came of it. Held permits are
renewed three times per lease.

Invariants: one message and one long poll under way at most, so an ask cannot overtake its withdrawal; nothing runs when
nothing is waited for, held or left to tell. When the limiter stays away for half a minute all who wait get
ClusterUnavailable, and the leases of what could not be settled run out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

from flair_ray.errors import CallTimeout, ClusterUnavailable, LimiterFull, RateLimited
from flair_ray.ports import Ask, Clock, Outcome, Permit, Settlement, Turns

LONG_POLL_S = 1.0
"""Not cut off when nobody waits any more: its answer may carry what somebody else has asked for since."""
BACKOFF_S = 0.05
LONGEST_BACKOFF_S = 1.0
GIVE_UP_S = 30.0

Exchange = Callable[[str, Sequence[Ask], Sequence[Settlement], Sequence[str], float], Awaitable[Turns]]
"""``RateLimiter.exchange``, wherever that lives."""


@dataclass(slots=True)
class _Held:
    """A permit that a call has."""

    tokens: int
    sent: bool = True

    def used(self, tokens: int) -> None:
        self.tokens = tokens

    def unused(self) -> None:
        self.sent = False


@dataclass(frozen=True, slots=True)
class _DeskLimiter:
    """The desk for one run."""

    desk: PermitDesk
    run_id: str
    session_id: str

    def permit(self, tokens: int) -> AbstractAsyncContextManager[Permit]:
        return self.desk.permit(Ask(uuid4().hex, tokens, self.run_id, self.session_id))


class PermitDesk:
    """Belongs to one event loop. ``gone``: the exceptions that say that the limiter may be back in a moment."""

    def __init__(self, exchange: Exchange, gone: tuple[type[Exception], ...], lease_s: float, clock: Clock) -> None:
        self._exchange = exchange
        self._gone = gone
        self._lease_s = lease_s
        self._clock = clock
        self._name = uuid4().hex
        self._epoch: str | None = None
        self._waiting: dict[str, tuple[Ask, asyncio.Future[None]]] = {}
        self._held: set[str] = set()
        self._asks: dict[str, Ask] = {}
        self._settled: list[Settlement] = []
        self._renewed: set[str] = set()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def limiter(self, run_id: str, session_id: str) -> _DeskLimiter:
        return _DeskLimiter(self, run_id, session_id)

    @asynccontextmanager
    async def permit(self, ask: Ask) -> AsyncIterator[Permit]:
        """See ``flair_ray.ports.Limiter``. Raises ClusterUnavailable."""
        await self._turn(ask)
        held = _Held(ask.tokens)
        outcome: Outcome = "failed"
        retry_after_s = 0.0
        try:
            yield held
            outcome = "ok"
        except RateLimited as err:
            outcome, retry_after_s = "refused", err.retry_after_s or 0.0
            raise
        except (asyncio.CancelledError, CallTimeout):
            outcome = "abandoned"
            raise
        finally:
            outcome = outcome if held.sent else "unused"
            self._settle(Settlement(ask.permit_id, outcome, held.tokens, round(retry_after_s * 1000)))

    async def close(self) -> None:
        """Tells what is left to tell; whoever waits is let down."""
        self._let_down(ClusterUnavailable("This process gives up its permits: it is shutting down."))
        if "send" in self._tasks:
            await asyncio.wait({self._tasks["send"]}, timeout=LONGEST_BACKOFF_S)
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _turn(self, ask: Ask) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[ask.permit_id] = ask, turn
        self._asks[ask.permit_id] = ask
        self._keep("send", self._send)
        self._keep("listen", self._listen)
        try:
            await turn
        except asyncio.CancelledError:
            self._settle(Settlement(ask.permit_id, "unused"))
            raise
        finally:
            self._waiting.pop(ask.permit_id, None)

    def _settle(self, told: Settlement) -> None:
        self._waiting.pop(told.permit_id, None)
        self._held.discard(told.permit_id)
        self._renewed.discard(told.permit_id)
        self._asks.pop(told.permit_id, None)
        self._settled.append(told)
        self._keep("send", self._send)
        if not self._held and "renew" in self._tasks:
            self._tasks["renew"].cancel()

    def _keep(self, name: str, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """There is one task of each kind, as long as it has something to do."""
        task = self._tasks.get(name)
        if task is None or task.done() or task.cancelling():
            self._tasks[name] = asyncio.create_task(work(), name=f"permits: {name}")
            self._tasks[name].add_done_callback(lambda t: self._tasks.get(name) is t and self._tasks.pop(name))

    async def _send(self) -> None:
        while True:
            await asyncio.sleep(0)  # the rest of this turn of the loop comes along
            if not (self._asks or self._settled or self._renewed):
                return
            asks, self._asks = list(self._asks.values()), {}
            settled, self._settled = self._settled, []
            renewed, self._renewed = sorted(self._renewed), set()
            if not await self._heard(asks, settled, renewed, 0.0):
                self._settled = settled + self._settled
                self._again()

    async def _listen(self) -> None:
        while self._waiting:
            if not await self._heard((), (), (), LONG_POLL_S):
                self._again()

    async def _renew(self) -> None:
        while self._held:
            await self._clock.sleep(self._lease_s / 3)
            self._renewed |= self._held
            self._keep("send", self._send)

    _failing_since_s: float | None = None
    _failures = 0

    async def _heard(
        self, asks: Sequence[Ask], settled: Sequence[Settlement], renewed: Sequence[str], wait_s: float
    ) -> bool:
        """One exchange. False when the limiter was not there, after a pause."""
        try:
            turns = await self._exchange(self._name, asks, settled, renewed, wait_s)
        except self._gone as err:
            now_s = self._clock.now_s()
            self._failing_since_s = now_s if self._failing_since_s is None else self._failing_since_s
            if now_s - self._failing_since_s > GIVE_UP_S:
                lost = ClusterUnavailable(f"The limiter of this account does not come back ({type(err).__name__}).")
                self._let_down(lost)
                self._failing_since_s = None
                return True  # what could not be told is forgotten: the leases run out
            await self._clock.sleep(min(LONGEST_BACKOFF_S, BACKOFF_S * 2 ** min(self._failures, 10)))
            self._failures += 1
            return False
        except LimiterFull:  # what was told was heard, and some asks perhaps
            self._keep("again", self._later)
            return True
        except Exception as err:  # no Redis, or a bug: nobody must wait for ever
            self._let_down(err)
            return True
        self._failing_since_s, self._failures = None, 0
        if self._epoch not in (None, turns.epoch):
            self._again()
        self._epoch = turns.epoch
        for permit_id in turns.permit_ids:
            self._granted(permit_id)
        return True

    def _granted(self, permit_id: str) -> None:
        _, turn = self._waiting.pop(permit_id, (None, None))
        if turn is None:
            return  # withdrawn: told, or about to be
        self._asks.pop(permit_id, None)
        if not turn.done():
            self._held.add(permit_id)
            turn.set_result(None)
            self._keep("renew", self._renew)

    async def _later(self) -> None:
        await self._clock.sleep(LONGEST_BACKOFF_S)
        self._again()

    def _again(self) -> None:
        """To a limiter that knows nothing of us."""
        self._asks = {permit_id: ask for permit_id, (ask, _) in self._waiting.items()}
        self._renewed = set(self._held)
        if self._asks or self._settled or self._renewed:
            self._keep("send", self._send)

    def _let_down(self, err: Exception) -> None:
        waiting, self._waiting, self._asks = self._waiting, {}, {}
        for permit_id, (_, turn) in waiting.items():
            self._settled.append(Settlement(permit_id, "unused"))
            if not turn.done():
                turn.set_exception(err)
