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
from experiments.rig import DEFAULT, KEY, Sizes, ground, order
from flair_ray.domain.calls import ChatRequest, Completion
from flair_ray.domain.runs import Limits
from flair_ray.engine.shard import Tools
from flair_ray.ports import Provider
from flair_ray.providers.openai_compatible import OpenAICompatible
from flair_ray.testing.mock_llm import MockOptions, MockServer

IN_FLIGHT, TIGHT, PROCESSES = 29, 5, 8
FLAIR, LOOP, TASKS = "flair", "asyncio loop", "a task a call"
PEERS = {LOOP: ("loop", IN_FLIGHT), f"Ray Data, {PROCESSES} actors": ("data", PROCESSES), TASKS: ("tasks", PROCESSES)}
COUNTS = ("num-videos", "num-scripts", "num-personas", "top-n")
PLAIN, REFUSED, KILLED = (
    "nothing goes wrong",
    f"the model stands {TIGHT} at once, and nobody knows",
    "killed half-way, started again",
)
CHART = Chart(PLAIN, x="by", y=("wall, s",), unit="seconds, start-up included")


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


@dataclass(frozen=True, slots=True)
class Form:
    """How large an execution is."""

    names: Sequence[str]
    parts: Sequence[str]
    sizes: Sizes
    in_flight: int
    latency_s: float
    repetitions: int
    slow: int
    """Repetitions of what goes wrong, and of peers that start a process a call."""


FULL = Form((FLAIR, *PEERS), (PLAIN, REFUSED, KILLED), DEFAULT, IN_FLIGHT, 0.25, 5, 3)
SHORT = Form((FLAIR, LOOP), (PLAIN, KILLED), (20, 4, 10, 2), 8, 0.1, 1, 1)


async def requests(folder: Path, sizes: Sizes) -> Path:
    """The requests of a run, in the four steps of its map stages."""
    heard = folder / "heard"
    heard.mkdir()
    with MockServer(MockOptions(latency_s=0.0)) as mock:
        async with ground(quorum=1.0, hedged_share=0.0) as here:
            run_id = await here.submit(replace(order(mock, sizes, 0, Limits(IN_FLIGHT)), cache=False))
            await here.driver("recording", partial(recording, str(heard))).drive(run_id)
    steps: dict[str, list[Any]] = defaultdict(list)
    for file in sorted(heard.iterdir()):
        steps[file.name.split()[0]].append(json.loads(file.read_text()))
    assert sum(map(len, steps.values())) == sum(sizes)
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
    form: Form

    @property
    def calls(self) -> int:
        return sum(self.form.sizes)

    @property
    def command(self) -> list[str]:
        most = self.form.in_flight
        if self.name == FLAIR:
            options = ["--json", "--no-cache", "--base-url", self.mock.base_url, f"--max-in-flight={most}"]
            counts = [f"--{what}={n}" for what, n in zip(COUNTS, self.form.sizes, strict=True)]
            return [PYTHON, "-m", "flair_ray.cli", "run", *options, *counts]
        kind, in_flight = PEERS[self.name]
        words = (kind, self.mock.base_url, str(self.requests), str(min(in_flight, most)))
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
            "wall, s": measured.wall_s, "CPU a call, ms": 1000 * measured.cpu_s / self.calls,
            "memory, MB": measured.peak_mb, "calls": stats["calls"], "429s": stats["rejected_429"],
            "items without answer": self.calls - self._answers(measured.stdout),
        }  # fmt: skip

    def killed(self) -> dict[str, float]:
        """kill -9 of everything but the store when half is answered; then the same again, or a resume."""
        process = subprocess.Popen(
            self.command, env=os.environ | self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while self.mock.stats()["ok"] < self.calls / 2:
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
            "calls": calls, "paid for twice": calls - self.calls,
            "items without answer": self.calls - self._answers(again.stdout),
            "second start, s": time.monotonic() - begun,
        }  # fmt: skip

    def _resume(self) -> list[str]:
        listed = metered([PYTHON, "-m", "flair_ray.cli", "runs", "--json"], self.env).stdout
        run_id = json.loads(listed)["runs"][-1]["run_id"]
        return [PYTHON, "-m", "flair_ray.cli", "resume", "--json", run_id]

    def _answers(self, said: str) -> int:
        """What a peer says of itself, or what flair's result document counts; Ray may add remarks after it."""
        begins = said.find("{")
        read: dict[str, Any] = json.JSONDecoder().raw_decode(said[begins:])[0] if begins >= 0 else {"answers": 0}
        if "answers" in read:
            return int(read["answers"])
        return self.calls - sum(int(stage["skipped"]) for stage in read["stages"].values())


def _tried(way: Way, part: str) -> dict[str, float]:
    try:
        return way.killed() if part == KILLED else way.whole()
    except SystemExit:  # it did not come to an end: the meter gave up
        return {"items without answer": way.calls}


def measure(short: bool) -> list[Point]:
    series = Series()
    form = SHORT if short else FULL
    with tempfile.TemporaryDirectory(prefix="flair-") as temporary:
        file = asyncio.run(requests(Path(temporary), form.sizes))
        for repetition in range(form.repetitions):
            for name in form.names:
                for part in form.parts:
                    slow = part != PLAIN or name not in (FLAIR, LOOP)
                    if slow and repetition >= form.slow:
                        continue
                    limit = TIGHT if part == REFUSED else form.in_flight
                    folder = Path(temporary) / uuid4().hex
                    with MockServer(MockOptions(latency_s=form.latency_s, max_in_flight=limit)) as mock:
                        way = Way(name, mock, folder, file, form)
                        series.add(part, {"by": name}, **_tried(way, part))
    return sorted(series.points(), key=lambda p: (PLAIN, REFUSED, KILLED).index(p.part))


def claims(points: Sequence[Point]) -> list[Claim]:
    ours, bare = (the(points, PLAIN, by=name) for name in (FLAIR, LOOP))
    killed = {str(p.case["by"]): p["paid for twice"] for p in of(points, KILLED) if "paid for twice" in p.figures}
    told = ", ".join(f"{name} {extra:g}" for name, extra in killed.items())
    found = [
        Claim(
            f"For one job of {ours['calls']:g} calls a plain loop is quicker, for it starts nothing: "
            f"{bare['wall, s']:.3g} s against {ours['wall, s']:.3g} s, with "
            f"{ours['memory, MB'] / bare['memory, MB']:.2g} times less memory.",
            bare["wall, s"] < ours["wall, s"] and bare["memory, MB"] < ours["memory, MB"],
            timed=True,
        ),
        Claim(
            f"Killed half-way, flair pays again for what was in flight, the others for all that was answered ({told}).",
            killed[FLAIR] <= IN_FLIGHT
            and killed[FLAIR] < min(extra for name, extra in killed.items() if name != FLAIR),
        ),
    ]
    for p in of(points, REFUSED):
        if p.case["by"] == FLAIR:
            text = (
                f"Where the account stands less than was thought, flair gets {p['429s']:g} refusals and loses no item."
            )
            found.append(Claim(text, not any(p.all("items without answer"))))
    return found
