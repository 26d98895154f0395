"""What runs inside a Ray worker process: shards on one persistent event loop with one set of tools.

Ray allows no async tasks, so a task is a plain generator that steps an async one. The loop is a module
global, driven in the task's main thread: a cancel lands there within milliseconds, and the HTTP client and
Redis pool that live on it serve every later shard of this process. A loop in a background thread cannot be
cancelled, and a loop per task would pay for new connections each time.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from functools import cache

from flair_ray.domain.runs import NO_REQUEST, ModelChoice
from flair_ray.engine.shard import OnDuty, Tools, run_shard
from flair_ray.errors import FlairError, ModelNotFound
from flair_ray.ports import Delivered, StageJob

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ToolKit:
    """How to make a worker's tools; travels to it pickled. Equal keys share tools within a process."""

    key: str
    build: Callable[[], Awaitable[Tools]]


@dataclass(frozen=True, slots=True)
class Fatal:
    """A shard met an error that the whole run must end with."""

    error: FlairError


Step = Delivered | OnDuty | Fatal

_loop: asyncio.AbstractEventLoop | None = None
_tools: dict[str, Tools] = {}
LEAVE_S = 2.0
KEPT_TOOLS = 4
"""Sets of tools kept per process: a process that serves many configurations must not collect connections."""


def run_shard_task(job: StageJob, kit: ToolKit) -> Iterator[Step]:
    """The body of a Ray streaming task: yields as items are recorded, at most one Fatal at the end."""
    _step_back_for(job)
    loop = _persistent_loop()
    deliveries = stream_shard(job, kit)
    step: asyncio.Future[Step] | None = None
    whole = False
    try:
        while True:
            try:
                step = asyncio.ensure_future(anext(deliveries), loop=loop)
                yield loop.run_until_complete(step)
            except StopAsyncIteration:
                whole = True
                return
    finally:
        if not whole:
            _leave(loop, step, deliveries)


def _leave(
    loop: asyncio.AbstractEventLoop, step: asyncio.Future[Step] | None, deliveries: AsyncGenerator[object, None]
) -> None:
    """A cancel strikes anywhere, within the loop's own code too, and a wake-up that it hits never comes: what runs on
    this loop is brought to an end, as far as it can be, and the next shard of this process gets a loop of its own."""
    global _loop
    tools, _loop = list(_tools.values()), None
    _tools.clear()
    if not loop.is_running():  # as uvloop's stay when they are hit; then leases run out
        loop.run_until_complete(_ended(step, deliveries, tools))


async def _ended(
    step: asyncio.Future[Step] | None, deliveries: AsyncGenerator[object, None], tools: Sequence[Tools]
) -> None:
    """Without this the shard's items would sleep on in this process, and call again beside those of the next one."""
    if step is not None and not step.done():
        step.cancel()
        await asyncio.wait({step}, timeout=LEAVE_S)
    with suppress(TimeoutError):
        async with asyncio.timeout(LEAVE_S):
            closing = (deliveries.aclose(), *(kept.close() for kept in tools))
            await asyncio.gather(*closing, return_exceptions=True)


def warm_worker(kit: ToolKit, models: Sequence[ModelChoice], *, check: bool) -> FlairError | None:
    """Make this process's tools and the models' clients before they are needed; the first error that a check found."""

    async def warm() -> FlairError | None:
        errors = await asyncio.gather(*(_warm(kit, model, check=check) for model in models))
        return next(filter(None, errors), None)

    return _persistent_loop().run_until_complete(warm())


async def _warm(kit: ToolKit, model: ModelChoice, *, check: bool) -> FlairError | None:
    try:
        provider = (await _tools_of(kit)).provider_for(model)
        if check:
            await provider.check()
    except ModelNotFound as err:
        return None if model.base_url else err  # a server of one's own need not list its models
    except FlairError as err:
        return err
    return None


async def stream_shard(job: StageJob, kit: ToolKit) -> AsyncGenerator[Step, None]:
    """The same for an event loop that runs already."""
    try:
        async with aclosing(run_shard(job, await _tools_of(kit))) as shard:
            async for delivered in shard:
                yield delivered
    except FlairError as err:
        log.warning("shard ended", extra={"run_id": job.run_id, "stage": job.stage, "error": type(err).__name__})
        yield Fatal(err)


class ShardHost:
    """A resident actor: shards too small to be worth a process of their own share this one."""

    async def run(self, job: StageJob, kit: ToolKit) -> AsyncGenerator[Step, None]:
        _step_back_for(job)
        async with aclosing(stream_shard(job, kit)) as deliveries:
            async for delivered in deliveries:
                yield delivered


@cache
def step_back(*, idle: bool = False) -> None:
    """This process takes the cores that whoever answers requests leaves.

    Ten steps are a tenth of a share, and not the last place: leases are to be renewed however busy the cores are.
    ``idle``: on Linux the last place all the same, for what an API has handed in and people watch through it. However
    nice, a worker keeps its core to the end of its slice, and a start waits for that at every step of its way; idle
    work makes way at once. What drives the runs is not idle: a claim that is missed may repeat a call, a run's lease
    would count as a death.

    Linux counts for each thread, and most are Ray's and there already.
    """
    nice = _ten_steps()
    if sys.platform == "linux":
        for thread in os.listdir("/proc/self/task"):
            with suppress(OSError):  # the thread has ended, or a sandbox does not have this
                os.setpriority(os.PRIO_PROCESS, int(thread), nice)
                if idle:
                    os.sched_setscheduler(int(thread), os.SCHED_IDLE, os.sched_param(0))


@cache
def _ten_steps() -> int:
    return os.nice(10)


def _step_back_for(job: StageJob) -> None:
    step_back(idle=job.request_id != NO_REQUEST)


def _persistent_loop() -> asyncio.AbstractEventLoop:
    global _loop  # noqa: PLW0603  # one loop per worker process is the point
    if _loop is None:
        _loop = asyncio.new_event_loop()
    return _loop


async def _tools_of(kit: ToolKit) -> Tools:
    if kit.key not in _tools:
        if len(_tools) >= KEPT_TOOLS:
            _tools.pop(next(iter(_tools)))  # another shard may still be using it: it closes when collected
        _tools[kit.key] = await kit.build()
    return _tools[kit.key]
