"""What an experiment is, and how it is carried out: measured in a process of its own, kept as data, told as a page.

``experiments/NAME/experiment.py`` has ``measure(short) -> list[Point]``, ``claims(points) -> list[Claim]`` and
``CHART``. Figures on pages are computed from ``data.json`` and from nothing else. Why so: docs/adr/0016.
"""

from __future__ import annotations

import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

BUDGET_S = {
    "fan_out": 390,
    "backpressure": 660,
    "failure_recovery": 700,
    "exactly_once": 235,
    "cross_user_cache": 410,
    "stragglers": 395,
    "redis_store": 485,
    "api_load": 615,
    "voting": 225,
    "peers": 1_275,
}
"""Seconds of a full form on two cores, at most. A test holds their sum under 90 minutes."""
SHORT_BUDGET_S = 89
"""The same for a short form: all of them in under 15 minutes."""
LATE = 1.5
"""An experiment that takes so many times as long as it may is ended: it would not come to an end."""
NAMES = tuple(BUDGET_S)
"""In the order of the report."""
FOLDER = Path(__file__).parent
SPENT = ("FLAIR_", "RAY_", "AWS_")
KEPT = "FLAIR_EXPERIMENT_"

Case = Mapping[str, str | float]


@dataclass(frozen=True, slots=True)
class Point:
    """One line of a result table."""

    part: str
    """Which table; an experiment may have several."""
    case: Case
    figures: Mapping[str, Sequence[float]]
    """Each measured once per repetition. What is not measured in a case is left out."""

    def __getitem__(self, name: str) -> float:
        """The median of a figure."""
        return statistics.median(self.figures[name])

    def all(self, name: str) -> Sequence[float]:
        return self.figures[name]


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence with its figures in it, and whether it holds."""

    text: str
    held: bool
    timed: bool = False
    """Whether a busy machine could make it wrong: tests ask for the others."""


@dataclass(frozen=True, slots=True)
class Chart:
    """What is drawn of the points of one part: ``y`` over ``x``, a line (numbers) or group of bars (words) each."""

    part: str
    x: str
    y: Sequence[str]
    by: str = ""
    """A field of the case: a line for each of its values."""
    unit: str = ""
    log: str = ""
    """ "x", "y" or "xy"."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """The three things that a folder says."""

    name: str
    measure: Callable[[bool], list[Point]]
    claims: Callable[[Sequence[Point]], list[Claim]]
    chart: Chart

    @property
    def folder(self) -> Path:
        return FOLDER / self.name


@dataclass(frozen=True, slots=True)
class Data:
    """What is kept of one execution."""

    short: bool
    date: str
    took_s: float
    machine: Mapping[str, str | float]
    points: list[Point] = field(default_factory=list)


class Series:
    """Collects figures case by case, in whatever order the repetitions come."""

    def __init__(self) -> None:
        self._points: dict[tuple[str, tuple[tuple[str, Any], ...]], dict[str, list[float]]] = {}

    def add(self, part: str, case: Case, **figures: float | None) -> None:
        """One repetition. The names of figures may be written with spaces: ``**{"calls made": 3}``."""
        kept = self._points.setdefault((part, tuple(case.items())), {})
        for name, figure in figures.items():
            if figure is not None:
                kept.setdefault(name.replace("_", " "), []).append(round(float(figure), 6))

    def points(self) -> list[Point]:
        return [Point(part, dict(case), figures) for (part, case), figures in self._points.items()]


def the(points: Iterable[Point], part: str, **case: str | float) -> Point:
    """The one point of this case."""
    return next(p for p in of(points, part) if case.items() <= p.case.items())


def of(points: Iterable[Point], part: str) -> list[Point]:
    return [p for p in points if p.part == part]


def load(name: str) -> Experiment:
    module = importlib.import_module(f"experiments.{name}.experiment")
    return Experiment(name, module.measure, module.claims, module.CHART)


def environment() -> dict[str, str]:
    """Whatever a developer has exported must neither be spent nor change a result."""
    ours = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(KEPT) or not (name.startswith(SPENT) or name.endswith("_API_KEY"))
    }
    ours["PYTHONPATH"] = os.pathsep.join(filter(None, (str(FOLDER.parent), ours.get("PYTHONPATH"))))
    ours["PYTHONDONTWRITEBYTECODE"] = ""  # without bytecode each of Ray's processes compiles for itself
    return ours | {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}


def execute(name: str, *, short: bool, limit_s: float | None = None) -> Data:
    """Measure in a process of its own. Raises SystemExit when it fails or takes too long; nothing is left running."""
    began, load_before = time.monotonic(), os.getloadavg()[0]
    limit_s = limit_s or LATE * (SHORT_BUDGET_S if short else BUDGET_S[name])
    with tempfile.TemporaryDirectory(prefix="flair-experiment-") as folder:
        file = Path(folder) / "points.json"
        command = [sys.executable, "-m", "experiments", "--measure", str(file), *(["--quick"] if short else []), name]
        process = subprocess.Popen(command, env=environment(), cwd=FOLDER.parent)
        try:
            code = process.wait(limit_s)
        except BaseException as err:
            _end(process)
            if isinstance(err, subprocess.TimeoutExpired):
                raise SystemExit(f"{name} has not come to an end in {limit_s:.0f} s.") from None
            raise
        if code:
            raise SystemExit(f"{name} failed with exit code {code}.")
        points = [Point(**point) for point in json.loads(file.read_text())]
    date = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    return Data(short, date, round(time.monotonic() - began, 1), _machine(load_before), points)


def measure_here(name: str, file: Path, *, short: bool) -> None:
    """In the process of its own."""
    file.write_text(json.dumps([asdict(point) for point in load(name).measure(short)]))


def _end(process: subprocess.Popen[bytes]) -> None:
    family = [*psutil.Process(process.pid).children(recursive=True), process] if process.poll() is None else []
    for member in family:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            pass
    process.wait()


def _machine(load_before: float) -> dict[str, str | float]:
    import ray

    return {
        "cores": os.cpu_count() or 1,
        "memory (GB)": round(psutil.virtual_memory().total / 2**30),
        "Python": ".".join(map(str, sys.version_info[:3])),
        "Ray": ray.__version__,
        "load average before": round(load_before, 1),
    }


def keep(name: str, data: Data) -> None:
    """One point a line: a diff shows what has changed."""
    head = {k: v for k, v in asdict(data).items() if k != "points"}
    lines = ",\n".join(json.dumps(asdict(point), ensure_ascii=False) for point in data.points)
    text = json.dumps(head, ensure_ascii=False)[:-1] + ', "points": [\n' + lines + "\n]}\n"
    (FOLDER / name / "data.json").write_text(text)


def kept(name: str) -> Data | None:
    file = FOLDER / name / "data.json"
    if not file.exists():
        return None
    read = json.loads(file.read_text())
    return Data(**{**read, "points": [Point(**point) for point in read["points"]]})
