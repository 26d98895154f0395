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
    """An ask that was taken to be served, and the tag to go back with."""

    ask: Ask
    tag: float


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
            self._put(ask, max(session.now, run.tag if run else 0.0) + 1)

    def put_back(self, taken: Iterable[Taken]) -> None:
        """They were not served: as if they had not been taken."""
        for one in taken:
            self._session(one.ask).tag -= 1
            self._put(one.ask, one.tag)

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
            tag, _, ask = heapq.heappop(session.asks)
            if self._asks.get(ask.permit_id) is ask:
                taken.append(Taken(ask, tag))
                self._now, session.now = max(self._now, session.tag), max(session.now, tag)
                session.tag += 1
                self.withdraw(ask.permit_id)
            heapq.heappush(turns, (session.tag, name))
        return taken

    def _session(self, ask: Ask) -> _Session:
        return self._sessions.setdefault(ask.session_id, _Session(self._now + 1))

    def _put(self, ask: Ask, tag: float) -> None:
        session = self._session(ask)
        run = session.runs.setdefault(ask.run_id, _Run(tag))
        run.tag = max(run.tag, tag)
        run.waiting += 1
        self._asks[ask.permit_id] = ask
        self._count += 1
        heapq.heappush(session.asks, (tag, self._count, ask))

    def _left(self, ask: Ask) -> None:
        session = self._sessions[ask.session_id]
        run = session.runs[ask.run_id]
        run.waiting -= 1
        if not run.waiting:
            del session.runs[ask.run_id]
            if not session.runs:
                del self._sessions[ask.session_id]
