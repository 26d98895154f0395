"""The worker's one loop, which outlives every shard, and is replaced when a cancel has left it unusable."""

from __future__ import annotations

import asyncio

import pytest

from flair_ray.engine import ray_worker


def test_the_loop_is_kept_from_shard_to_shard_until_it_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_worker, "_loop", None)
    monkeypatch.setattr(ray_worker, "_tools", {"a": object()})
    first = ray_worker._persistent_loop()
    assert ray_worker._persistent_loop() is first
    monkeypatch.setattr(first, "is_running", lambda: True)  # as uvloop's stays after a cancel within its own code
    ray_worker._tools["b"] = object()  # type: ignore[assignment]
    second = ray_worker._persistent_loop()
    assert second is not first
    assert ray_worker._tools == {}  # its clients lived on the loop that is gone
    assert second.run_until_complete(asyncio.sleep(0, "works")) == "works"
    monkeypatch.undo()
    first.close()
    second.close()
