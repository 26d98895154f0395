"""The same job through an asyncio loop, Ray Data, a task per call, and flair: what does each do? See README.md."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil

from experiments.harness import Chart, Claim, Point, Series, of, the
from experiments.meter import PYTHON
from experiments.meter import measure as metered
from experiments.rig import DEFAULT, KEY, ground, order
from flair_ray.domain.calls import ChatRequest, Completion
from flair_ray.domain.runs import Limits
from flair_ray.engine.shard import Tools
from flair_ray.ports import Provider
from flair_ray.providers.openai_compatible import OpenAICompatible
from flair_ray.testing.mock_llm import MockOptions, MockServer

CALLS, IN_FLIGHT, TIGHT = sum(DEFAULT), 29, 10
PEERS = {
    "asyncio loop": ("loop", 29),
    "Ray Data, 8 actors": ("data", 8),
    "Ray Data, 29 actors": ("data", 29),
    "a task a call": ("tasks", 29),
}
FLAIR = "flair"
PLAIN, REFUSED, KILLED = (
    "nothing goes wrong",
    "the model stands 10 at once, and nobody knows",
    "killed half-way, started again",
)
CHART = Chart(PLAIN, x="by", y=("wall, s",), unit="seconds for 172 calls, start-up included")


class Recorder:
    """Keeps each request as its body, and asks on."""

    def __init__(self, inner: Provider, folder: str) -> None:
        self._inner, self._folder = inner, Path(folder)
        self._wire = OpenAICompatible("openai", "mock", KEY, None)

    async def complete(self, request: ChatRequest, timeout_s: float) -> Completion:
        file = self._folder / f"{request.stage.value} {uuid4().hex}"
        file.write_text(json.dumps(self._wire._body(request)))
        return await self._inner.complete(request, timeout_s)

    async def check(self) -> None:
        await self._inner.check()

    async def close(self) -> None:
        await self._inner.close()


def recording(folder: str, tools: Tools) -> Tools:
    return replace(tools, provider_for=lambda model: Recorder(tools.provider_for(model), folder))


async def requests(folder: Path) -> Path:
    """The requests of a default run, in the four steps of its map stages."""
    heard = folder / "heard"
    heard.mkdir()
    with MockServer(MockOptions(latency_s=0.0)) as mock:
        async with ground(quorum=1.0, hedged_share=0.0) as here:
            run_id = await here.submit(replace(order(mock, DEFAULT, 0, Limits(IN_FLIGHT)), cache=False))
            await here.driver("recording", partial(recording, str(heard))).drive(run_id)
    steps: dict[str, list[Any]] = defaultdict(list)
    for file in sorted(heard.iterdir()):
        steps[file.name.split()[0]].append(json.loads(file.read_text()))
    assert sum(map(len, steps.values())) == CALLS
    file = folder / "requests.json"
    file.write_text(json.dumps(list(steps.values())))
    return file


@dataclass(frozen=True, slots=True)
class Way:
    """One way to do the job, on one model."""

    name: str
    mock: MockServer
    folder: Path
    requests: Path

    @property
    def command(self) -> list[str]:
        if self.name == FLAIR:
            options = ["--json", "--no-cache", "--base-url", self.mock.base_url, f"--max-in-flight={IN_FLIGHT}"]
            return [PYTHON, "-m", "flair_ray.cli", "run", *options]
        kind, in_flight = PEERS[self.name]
        words = (kind, self.mock.base_url, str(self.requests), str(in_flight))
        return [PYTHON, "-m", "experiments.peers.job", *words]

    @property
    def env(self) -> dict[str, str]:
        """Second calls are left out: a call that is counted was needed."""
        names = {"DATA_DIR": str(self.folder), "OPENAI_API_KEY": "bench", "HEDGED_SHARE": "0", "QUORUM": "1"}
        return {f"FLAIR_{name}": value for name, value in names.items()}

    def whole(self) -> dict[str, float]:
        measured = metered(self.command, self.env)
        stats = self.mock.stats()
        return {
            "wall, s": measured.wall_s, "CPU a call, ms": 1000 * measured.cpu_s / CALLS,
            "memory, MB": measured.peak_mb, "calls": stats["calls"], "429s": stats["rejected_429"],
            "items without answer": CALLS - _answers(measured.stdout),
        }  # fmt: skip

    def killed(self) -> dict[str, float]:
        """kill -9 of everything but the store when half is answered; then the same again, or a resume."""
        process = subprocess.Popen(
            self.command, env=os.environ | self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while self.mock.stats()["ok"] < CALLS / 2:
            assert process.poll() is None
            time.sleep(0.02)
        for member in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
            with suppress(psutil.NoSuchProcess):
                if "valkey" not in member.name() and "redis" not in member.name():
                    member.kill()
        process.wait()
        begun = time.monotonic()
        again = metered(self._resume() if self.name == FLAIR else self.command, self.env)
        assert again.exit_code == 0
        calls = self.mock.stats()["calls"]
        return {
            "calls": calls, "paid for twice": calls - CALLS, "items without answer": CALLS - _answers(again.stdout),
            "second start, s": time.monotonic() - begun,
        }  # fmt: skip

    def _resume(self) -> list[str]:
        listed = metered([PYTHON, "-m", "flair_ray.cli", "runs", "--json"], self.env).stdout
        run_id = json.loads(listed)["runs"][-1]["run_id"]
        return [PYTHON, "-m", "flair_ray.cli", "resume", "--json", run_id]


def _answers(said: str) -> int:
    """What a peer says of itself, or what flair's result document counts."""
    read = json.loads(said[said.index("{") :]) if "{" in said else {"answers": 0}
    if "answers" in read:
        return int(read["answers"])
    return CALLS - sum(int(stage["skipped"]) for stage in read["stages"].values())


def _tried(way: Way, part: str) -> dict[str, float]:
    try:
        return way.killed() if part == KILLED else way.whole()
    except SystemExit:  # it did not come to an end: the meter gave up
        return {"items without answer": CALLS}


def measure(short: bool) -> list[Point]:
    series = Series()
    names = (FLAIR, "asyncio loop") if short else (FLAIR, *PEERS)
    with tempfile.TemporaryDirectory(prefix="flair-") as temporary:
        file = asyncio.run(requests(Path(temporary)))
        for repetition in range(1 if short else 5):
            for name in names:
                for part, limit in ((PLAIN, IN_FLIGHT), (REFUSED, TIGHT), (KILLED, IN_FLIGHT)):
                    if (part == REFUSED and short) or (part != PLAIN and repetition >= 3):
                        continue
                    folder = Path(temporary) / uuid4().hex
                    with MockServer(MockOptions(latency_s=0.1 if short else 0.5, max_in_flight=limit)) as mock:
                        way = Way(name, mock, folder, file)
                        series.add(part, {"by": name}, **_tried(way, part))
    return sorted(series.points(), key=lambda p: (PLAIN, REFUSED, KILLED).index(p.part))


def claims(points: Sequence[Point]) -> list[Claim]:
    ours, bare = (the(points, PLAIN, by=name) for name in (FLAIR, "asyncio loop"))
    killed = {str(p.case["by"]): p["paid for twice"] for p in of(points, KILLED) if "paid for twice" in p.figures}
    told = ", ".join(f"{name} {extra:g}" for name, extra in killed.items())
    found = [
        Claim(
            f"For one job of {CALLS} calls a plain loop is quicker, for it starts nothing: {bare['wall, s']:.3g} s "
            f"against {ours['wall, s']:.3g} s, with {ours['memory, MB'] / bare['memory, MB']:.2g} times less memory.",
            bare["wall, s"] < ours["wall, s"] and bare["memory, MB"] < ours["memory, MB"],
        ),
        Claim(
            f"Killed half-way, flair pays again for what was in flight, the others for all that was answered ({told}).",
            killed[FLAIR] <= IN_FLIGHT < min(extra for name, extra in killed.items() if name != FLAIR),
        ),
    ]
    for p in of(points, REFUSED):
        if p.case["by"] == FLAIR:
            text = (
                f"Where the account stands less than was thought, flair gets {p['429s']:g} refusals and loses no item."
            )
            found.append(Claim(text, not any(p.all("items without answer"))))
    return found
