"""Hosts runs: hundreds of them as coroutines of one process, each driven to its end.

    submitted ──▶ hosted, not driven ──▶ adopted: driven here ──▶ ended
                        ▲                     │
                        └── lease runs out ◀──┘ this host dies

A run is not a process. What a host knows is in Redis: it asks there for runs that nobody drives, when it is nudged
and otherwise once a second, so a submitter may die after its one write, and the runs of a dead host are adopted by
another as soon as their leases end. Two hosts that reach for the same run are told apart by its lease.

A run that began under other prompts or answer schemas is left to a host of that version, as during a rollout there
is one; when after a while none has come, it is failed with the reason, for every run must end. So is one that ends
whoever takes it up, by the driver: the count is in Redis.

Beside all that a host keeps for good what has ended, its own runs and those that ended elsewhere, and tells what waits
for workers. Video jobs are found by the same look as runs, and carried out by a ``VideoDesk``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from flair_ray.actors.video_desk import VideoDesk
from flair_ray.domain.ids import RunId
from flair_ray.errors import FlairError, LeaseLost, RunConflict, RunOutdated, StoreUnavailable
from flair_ray.ports import Clock, RunDriver, RunStore

log = logging.getLogger(__name__)

CAPACITY = 100
"""Runs one host drives at once, some 0.2 MB each in all processes together; more wait in Redis, at a few kB."""
LOOK_S = 1.0
KEEP_LOOK_S = 5.0
"""How often a host looks for ended runs to keep, when none of its own has ended."""
TELL_LOOK_S = 5.0
"""How often a host looks whether it is its turn to tell."""
OUTDATED_S = 600.0
"""How long a run of another version waits for a host of its own."""


async def _keep_nothing() -> None:
    pass


class RunHost:
    """Adopts and drives. ``run`` is its life; everything else may be called meanwhile."""

    def __init__(
        self,
        store: RunStore,
        driver: RunDriver,
        clock: Clock,
        keep_ended: Callable[[], Awaitable[None]] = _keep_nothing,
        capacity: int = CAPACITY,
        videos: VideoDesk | None = None,
        tell: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._store = store
        self._driver = driver
        self._clock = clock
        self._keep_ended = keep_ended
        self._tell = tell
        self._capacity = capacity
        self._videos = videos
        self._driving: dict[RunId, asyncio.Task[None]] = {}
        self._outdated: dict[RunId, float] = {}
        self._news = asyncio.Event()
        self._ended = asyncio.Event()

    @property
    def driving(self) -> int:
        """Runs that are under way here."""
        return len(self._driving)

    def nudge(self) -> None:
        """There may be something to adopt."""
        self._news.set()

    async def run(self) -> None:
        """Adopt and drive until cancelled; then the runs stay open, for another host."""
        beside = [asyncio.create_task(self._keep(), name="keeping")]
        if self._tell:
            beside.append(asyncio.create_task(self._telling(self._tell), name="telling"))
        try:
            while True:
                self._news.clear()
                await self._adopt()
                if self._videos:
                    await self._videos.look()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), LOOK_S)
        finally:
            tasks = [*beside, *self._driving.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._videos:
                await self._videos.close()

    async def _keep(self) -> None:
        """One after the other, beside the driving: an archive that is slow holds up no run."""
        while True:
            self._ended.clear()
            await self._keep_ended()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), KEEP_LOOK_S)

    async def _telling(self, tell: Callable[[], Awaitable[None]]) -> None:
        while True:
            await tell()
            await asyncio.sleep(TELL_LOOK_S)

    async def _adopt(self) -> None:
        free = self._capacity - len(self._driving)
        if free <= 0:
            return
        try:
            waiting = await self._store.adoptable(free + len(self._outdated))
        except StoreUnavailable as err:  # it will be back, and the runs with it
            log.warning("cannot look for runs", extra={"error": type(err).__name__})
            return
        self._outdated = {run_id: since_s for run_id, since_s in self._outdated.items() if run_id in waiting}
        for run_id in waiting:
            if run_id not in self._driving and self._is_ours(run_id):
                self._driving[run_id] = asyncio.create_task(self._drive(run_id), name=f"run {run_id}")

    def _is_ours(self, run_id: RunId) -> bool:
        since_s = self._outdated.get(run_id)
        return since_s is None or self._clock.now_s() - since_s > OUTDATED_S

    async def _drive(self, run_id: RunId) -> None:
        try:
            waited = self._outdated.pop(run_id, None) is not None
            status = await self._driver.drive(run_id, patient=False, fail_outdated=waited)
            self._ended.set()
            log.info("run ended", extra={"run_id": run_id, "status": status.value})
        except RunOutdated:
            self._outdated[run_id] = self._clock.now_s()
        except (RunConflict, LeaseLost):
            log.info("run is driven elsewhere", extra={"run_id": run_id})
        except FlairError as err:  # the run is open as before; the next look finds it again
            log.warning("run was left", extra={"run_id": run_id, "error": type(err).__name__})
        except Exception:
            log.exception("driver failed", extra={"run_id": run_id})
        finally:
            if len(self._driving) == self._capacity:
                self.nudge()  # there is room again
            del self._driving[run_id]
