"""Who is next: fair between sessions and, within a session, between runs.

Fair queueing with virtual finish tags and unit costs, twice: sessions take turns, and in each its runs do. An ask's tag
is one past the later of the virtual time (the tag last served) and its run's last tag, so a run of 10 calls is not
stuck behind one of 10,000, and one that was idle has saved nothing up. Sessions and runs without asks are forgotten.
Source: S. J. Golestani, "A Self-Clocked Fair Queueing Scheme", INFOCOM 1994.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field

from flair_ray.ports import Ask


@dataclass(slots=True)
class _Run:
    tag: float
    waiting: int = 0


@dataclass(slots=True)
class _Session:
    tag: float
    now: float = 0.0
    asks: list[tuple[float, int, Ask]] = field(default_factory=list)
    runs: dict[str, _Run] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Taken:
    """An ask that was taken to be served, and the place to go back to."""

    ask: Ask
    tag: float
    number: int
    session_tag: float


class FairQueue:
    """Asks by id; each is in the queue at most once."""

    def __init__(self) -> None:
        self._asks: dict[str, Ask] = {}
        self._sessions: dict[str, _Session] = {}
        self._now = 0.0
        self._count = 0

    def __len__(self) -> int:
        return len(self._asks)

    def add(self, ask: Ask) -> None:
        if ask.permit_id not in self._asks:
            session = self._session(ask)
            run = session.runs.get(ask.run_id)
            self._count += 1
            self._put(ask, max(session.now, run.tag if run else 0.0) + 1, self._count)

    def put_back(self, taken: Iterable[Taken]) -> None:
        """They were not served: as if they had not been taken."""
        for one in taken:
            if one.ask.permit_id not in self._asks:
                session = self._session(one.ask)
                session.tag = min(session.tag, one.session_tag)
                self._put(one.ask, one.tag, one.number)

    def served(self, one: Taken) -> None:
        """Only now does virtual time go on: who comes while a long batch is offered must not queue behind it."""
        self._now = max(self._now, one.session_tag)
        if session := self._sessions.get(one.ask.session_id):
            session.now = max(session.now, one.tag)

    def withdraw(self, permit_id: str) -> None:
        """It is skipped when its turn comes."""
        ask = self._asks.pop(permit_id, None)
        if ask:
            self._left(ask)

    def take(self, most: int) -> list[Taken]:
        """The next ones, in order."""
        taken: list[Taken] = []
        turns = [(session.tag, name) for name, session in self._sessions.items()]
        heapq.heapify(turns)
        while turns and len(taken) < most:
            _, name = heapq.heappop(turns)
            session = self._sessions.get(name)
            if session is None:
                continue
            tag, number, ask = heapq.heappop(session.asks)
            if self._asks.get(ask.permit_id) is ask:
                taken.append(Taken(ask, tag, number, session.tag))
                session.tag += 1
                self.withdraw(ask.permit_id)
            heapq.heappush(turns, (session.tag, name))
        return taken

    def _session(self, ask: Ask) -> _Session:
        return self._sessions.setdefault(ask.session_id, _Session(self._now + 1))

    def _put(self, ask: Ask, tag: float, number: int) -> None:
        session = self._session(ask)
        run = session.runs.setdefault(ask.run_id, _Run(tag))
        run.tag = max(run.tag, tag)
        run.waiting += 1
        self._asks[ask.permit_id] = ask
        heapq.heappush(session.asks, (tag, number, ask))

    def _left(self, ask: Ask) -> None:
        session = self._sessions[ask.session_id]
        run = session.runs[ask.run_id]
        run.waiting -= 1
        if not run.waiting:
            del session.runs[ask.run_id]
            if not session.runs:
                del self._sessions[ask.session_id]
