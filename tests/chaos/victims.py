"""What can die under a run, each as the same two steps: start the run so that it is there, then take it away.

A victim is an async context that has the run driven while it is open; what it yields kills. Leaving the context waits
until whoever drives the run has come to an end, and ends every process that the victim started. All are killed with
SIGKILL by their process id: workers have their stage in their title, and an actor says its own.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
import ray

from flair_ray.domain.ids import RunId, StageName
from flair_ray.domain.runs import RunStatus
from flair_ray.engine.ray_hosts import run_host_name, run_hosts
from flair_ray.stores.redis_store import RedisRunStore
from tests.chaos.drive import FENCED
from tests.chaos.following import Follower
from tests.chaos.rig import BY_RESIDENTS, BY_TASKS, IN_FLIGHT, LEASE_S, VERSION, Rig, Sizes

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Scene:
    """A run that is about to be driven."""

    rig: Rig
    store: RedisRunStore
    run_id: RunId
    viewer: Follower
    stage: StageName
    """In which the victim is to die."""


Kill = Callable[[], Awaitable[None]]
Staging = Callable[[Scene], AbstractAsyncContextManager[Kill]]


@dataclass(frozen=True, slots=True)
class Victim:
    """How to stage a death, and what it may cost."""

    stage: Staging
    sizes: Sizes = BY_TASKS
    most: int = IN_FLIGHT
    """Calls that may have to be made again."""
    hosted: bool = False


@asynccontextmanager
async def driven_here(scene: Scene) -> AsyncIterator[None]:
    """The run, driven by this process to its end."""
    driving = asyncio.create_task(scene.rig.driver(scene.store, scene.run_id).drive(scene.run_id))
    try:
        yield
        assert await driving is RunStatus.COMPLETED
    finally:
        driving.cancel()
        await asyncio.wait({driving})


async def _subprocess(scene: Scene) -> asyncio.subprocess.Process:
    address = ray.get_runtime_context().gcs_address
    words = (scene.rig.redis_url, address, scene.rig.version, scene.run_id)
    return await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.chaos.drive", *words, cwd=ROOT)


@asynccontextmanager
async def driver(scene: Scene) -> AsyncIterator[Kill]:
    """kill -9 of the driving process; another one, here, goes on."""
    process = await _subprocess(scene)

    async def kill() -> None:
        process.kill()
        await process.wait()

    try:
        yield kill
        async with driven_here(scene):
            pass
    finally:
        await _ended(process)


@asynccontextmanager
async def frozen_driver(scene: Scene) -> AsyncIterator[Kill]:
    """A driver that stands still for longer than its lease, and wakes up when another has taken over."""
    process = await _subprocess(scene)

    async def kill() -> None:
        process.send_signal(signal.SIGSTOP)

    try:
        yield kill
        async with driven_here(scene):
            await asyncio.sleep(2 * LEASE_S)  # the other's lease, and then some of its work
            process.send_signal(signal.SIGCONT)
            assert await process.wait() == FENCED
    finally:
        await _ended(process)


async def _ended(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()


@asynccontextmanager
async def worker(scene: Scene) -> AsyncIterator[Kill]:
    """kill -9 of a process that works on a shard of the stage."""

    async def kill() -> None:
        os.kill(await workers_on(scene.stage), signal.SIGKILL)

    async with driven_here(scene):
        yield kill


async def workers_on(stage: StageName) -> int:
    """The process id of a worker on this stage, below this process: one run at a time is under way there."""
    while True:
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                if " ".join(process.cmdline()).startswith(f"ray::{stage.value}"):
                    return process.pid
        await asyncio.sleep(0.02)


def actors(prefix: str) -> Staging:
    """kill -9 of every actor of this session whose name begins so; Ray restarts it."""

    @asynccontextmanager
    async def staging(scene: Scene) -> AsyncIterator[Kill]:
        async with driven_here(scene):
            yield partial(kill_actors, prefix)

    return staging


async def kill_actors(prefix: str) -> None:
    """By what the cluster knows of them: asked themselves, they would answer a stage later."""
    known = await asyncio.to_thread(ray._private.state.actors)
    pids = [a["Pid"] for a in known.values() if a["State"] == "ALIVE" and _is_ours(a["Name"], prefix)]
    assert pids, f"no actor {prefix}… is there to be killed"
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def _is_ours(name: str, prefix: str) -> bool:
    return name.startswith(prefix) and name.endswith(VERSION)


@asynccontextmanager
async def run_host(scene: Scene) -> AsyncIterator[Kill]:
    """kill -9 of the one of two run hosts that has the run; whoever looks first when its lease has ended adopts it."""
    hosts = run_hosts(scene.rig.host, VERSION, 2)

    async def nudged() -> list[int]:
        return await asyncio.gather(*(host.nudge.remote() for host in hosts))

    async def kill() -> None:
        index = next(index for index, runs in enumerate(await nudged()) if runs)
        await kill_actors(run_host_name(index, VERSION))

    try:
        await nudged()
        yield kill
        await scene.viewer.until_ended()
    finally:
        for host in hosts:
            ray.kill(host)


VICTIMS = {
    "driver": Victim(driver),
    "frozen driver": Victim(frozen_driver),
    "worker": Victim(worker),
    "resident": Victim(actors("shard-host-"), sizes=BY_RESIDENTS),
    "limiter": Victim(actors("rate-limiter-"), most=0),
    "persona pool": Victim(actors("persona-pool-"), most=0),
    "run host": Victim(run_host, hosted=True),
}
