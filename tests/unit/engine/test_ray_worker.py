"""The worker's one loop, which outlives every shard but one that was cut off."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from flair_ray.domain.runs import NO_REQUEST
from flair_ray.engine import ray_worker


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What has been brought to an end, while shards are three steps long and every item sleeps after the first."""
    said: list[str] = []

    async def close() -> None:
        said.append("tools")

    async def steps(*_: object) -> AsyncGenerator[int, None]:
        try:
            for step in range(3):
                yield step
                await asyncio.sleep(0.001)
        finally:
            said.append("shard")

    monkeypatch.setattr(ray_worker, "_loop", None)
    monkeypatch.setattr(ray_worker, "_tools", {"a": SimpleNamespace(close=close)})
    monkeypatch.setattr(ray_worker, "step_back", lambda *, idle: None)
    monkeypatch.setattr(ray_worker, "stream_shard", steps)
    loops = [ray_worker._persistent_loop()]
    yield said
    for loop in {*loops, ray_worker._persistent_loop()}:
        loop.close()


def shard() -> Any:
    job = SimpleNamespace(request_id=NO_REQUEST)
    return ray_worker.run_shard_task(job, None)  # type: ignore[arg-type]


def test_the_loop_and_the_tools_are_kept_from_shard_to_shard(ended: list[str]) -> None:
    first = ray_worker._persistent_loop()
    assert list(shard()) == list(shard()) == [0, 1, 2]
    assert ray_worker._persistent_loop() is first
    assert (ended, list(ray_worker._tools)) == (["shard", "shard"], ["a"])


def test_a_shard_that_is_cut_off_takes_its_loop_along(ended: list[str]) -> None:
    first, cut = ray_worker._persistent_loop(), shard()
    assert next(cut) == 0
    with pytest.raises(KeyboardInterrupt):
        cut.throw(KeyboardInterrupt)  # as Ray does
    assert sorted(ended) == ["shard", "tools"]
    assert ray_worker._tools == {}
    second = ray_worker._persistent_loop()
    assert second is not first
    assert list(shard()) == [0, 1, 2]


def test_a_loop_that_the_cut_has_left_running_is_not_waited_for(
    ended: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, cut = ray_worker._persistent_loop(), shard()
    assert next(cut) == 0
    with monkeypatch.context() as stuck:
        stuck.setattr(first, "is_running", lambda: True)  # as uvloop's stays after a cancel within its own code
        with pytest.raises(KeyboardInterrupt):
            cut.throw(KeyboardInterrupt)
    assert "tools" not in ended
    assert ray_worker._persistent_loop() is not first
    assert list(shard()) == [0, 1, 2]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere niceness is a process'")
@pytest.mark.parametrize("idle", [False, True], ids=["nice", "idle"])
def test_all_threads_of_a_worker_stand_behind_the_replicas(idle: bool) -> None:
    """Also those that were there before, as Ray's are."""
    script = (
        "import os, threading, time\n"
        "from flair_ray.engine.ray_worker import step_back\n"
        "threading.Thread(target=time.sleep, args=(5,), daemon=True).start()\n"
        "def place(t): return os.getpriority(os.PRIO_PROCESS, t), os.sched_getscheduler(t)\n"
        "print(place(0))\n"
        f"step_back(idle={idle})\n"
        "print([place(int(t)) for t in os.listdir('/proc/self/task')])\n"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    began = (os.getpriority(os.PRIO_PROCESS, 0), os.SCHED_OTHER)
    behind = (min(began[0] + 10, 19), os.SCHED_IDLE if idle else os.SCHED_OTHER)
    assert said.stdout == f"{began}\n{[behind] * 2}\n"
