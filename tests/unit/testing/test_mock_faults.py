from __future__ import annotations

from typing import Any

import pytest

from flair_ray.errors import InputError
from flair_ray.testing.mock_faults import KINDS, Fault, Script, parse_fault


def test_a_fault_is_a_kind_with_or_without_a_number() -> None:
    assert parse_fault("429") == Fault("429")
    assert parse_fault("429:2.5") == Fault("429", 2.5)
    assert all(parse_fault(kind) == Fault(kind) for kind in KINDS)


@pytest.mark.parametrize("text", ["", "418", "429:", "429:soon", 3, None])
def test_anything_else_is_refused(text: object) -> None:
    with pytest.raises(InputError):
        parse_fault(text)


def test_a_script_is_met_in_order_and_then_all_is_well() -> None:
    script = Script(["500", "cut"])
    assert [script.next().kind for _ in range(4)] == ["500", "cut", "ok", "ok"]


async def test_a_server_plays_its_script_once(start: Any) -> None:
    mock = await start(latency_s=0)
    assert (await mock.post("/config", {"script": ["503:3", "429", "ok", "401"]}))[0] == 200
    seen = [await mock.ask("hello") for _ in range(5)]
    assert [status for status, _, _ in seen] == [503, 429, 200, 401, 200]
    assert seen[0][2]["Retry-After"] == "3"
    assert "Retry-After" not in seen[1][2]
    stats = await mock.get("/stats")
    assert (stats["calls"], stats["ok"], stats["rejected_429"], stats["failed"]) == (5, 2, 1, 2)
    assert stats["repeated_prompts"] == 2, "what came after the answer, not what came after a failure"


async def test_a_script_that_cannot_be_read_changes_nothing(start: Any) -> None:
    mock = await start(latency_s=0)
    await mock.post("/config", {"script": ["500"]})
    for script in (["500", "no such fault"], "500", {"500": 1}):
        assert (await mock.post("/config", {"script": script, "rpm": 1}))[0] == 400
    assert [(await mock.ask("hello"))[0] for _ in range(3)] == [500, 200, 200]


async def test_a_reset_forgets_the_script(start: Any) -> None:
    mock = await start(latency_s=0)
    await mock.post("/config", {"script": ["500"]})
    await mock.post("/reset")
    assert (await mock.ask("hello"))[0] == 200


async def test_a_slow_call_is_late_by_its_number(start: Any, clock: Any) -> None:
    mock = await start(latency_s=1.0)
    await mock.post("/config", {"script": ["slow:30"]})
    await mock.ask("hello")
    assert clock.slept == [31.0]
