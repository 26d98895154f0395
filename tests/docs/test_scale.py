"""The arithmetic behind docs/how-to/scale.md."""

from __future__ import annotations

import json
import runpy
from typing import Any

import pytest
from typer.testing import CliRunner

from flair_ray.cli import app
from flair_ray.engine.estimate import FIRST_TOKEN_S, TOKENS_PER_S
from flair_ray.engine.ray_executor import SHARD_CPUS
from tests.docs.blocks import ROOT

SCALE = runpy.run_path(str(ROOT / "docs/scale.py"))


def test_a_run_is_the_one_that_the_estimate_expects() -> None:
    said: dict[str, Any] = json.loads(CliRunner().invoke(app, ["estimate", "--provider", "openai", "--json"]).stdout)
    stages = [(stage["calls"], stage["expected"]) for stage in said["stages"].values()]
    calls = sum(n for n, _ in stages)
    waits_s = sum(n * FIRST_TOKEN_S + e["output_tokens"] / TOKENS_PER_S for n, e in stages)
    tokens = sum(e["input_tokens"] + e["output_tokens"] for _, e in stages)
    expected = (calls, waits_s / calls, said["duration_s"], tokens)
    assert tuple(SCALE[name] for name in ("CALLS", "CALL_S", "RUN_S", "TOKENS")) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("need", SCALE["NEEDS"], ids=lambda need: f"{need.runs_a_day:,}")
def test_workers_are_the_fewest_that_hold_it(need: Any) -> None:
    def hold(nodes: int) -> bool:
        places = nodes * SCALE["NODE_CORES"] / SHARD_CPUS
        return need.shards(nodes) <= places and need.memory_mb(nodes) < 0.9 * nodes * SCALE["NODE_MB"]

    assert hold(need.nodes)
    assert not any(hold(nodes) for nodes in range(1, need.nodes))
    assert need.connections > need.shards(need.nodes) >= need.active, "each run has a process, each process connections"


def test_what_breaks_first_stands_first() -> None:
    *_, most = SCALE["NEEDS"]
    over = [float(part.split(" × ")[0]) for part in most.first().split("; ")]
    assert over == sorted(over, reverse=True)
    assert len(over) == sum(times > 1 for times, _ in most.limits())
    assert {what for _, what in most.limits()} >= {"workers: raise `most_workers`"}
