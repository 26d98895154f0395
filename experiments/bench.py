"""`make bench`: each speed claim as a ratio to a floor that is measured, or counted, beside it.

    python -m experiments.bench [--repeat N] [--json]

Floors: the waves of a run (100 videos at 29 in flight are four waves of one second, a default run is eight);
a bare `ray.init()` plus one task in a process of its own; zero for CPU per call, which is the slope between a
run of 172 and a run of 1,720 calls of equal length, all processes counted but the mock server's.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from experiments.meter import PYTHON, Measured, measure
from experiments.rows import Row, row, table
from flair_ray import data
from flair_ray.domain.codec import plain
from flair_ray.testing.mock_llm import MockOptions, MockServer

LATENCY_S = 1.0
IN_FLIGHT = 29
WAVES = 4 + 1 + 2 + 1
SCALE = 10
LARGE_PERSONAS = 420
LARGE_VIDEOS = 1720 - LARGE_PERSONAS - 20 - 10
LARGE_WAVES = 5 + 1 + 2 + 1
BARE = (
    "import ray; ray.init('local', include_dashboard=False, log_to_driver=False); "
    "ray.get(ray.remote(lambda: 1).remote())"
)


@dataclass(frozen=True, slots=True)
class Run:
    """One `flair run` against the mock."""

    measured: Measured
    document: dict[str, Any]
    first_stage_s: float
    """From the command to the first stage event."""

    @property
    def calls(self) -> int:
        return int(self.document["calls"]["total"])


def flair_run(folder: Path, base_url: str, extra: Sequence[str] = ()) -> Run:
    env = {"FLAIR_DATA_DIR": str(folder / "data"), "FLAIR_OPENAI_API_KEY": "bench", "PYTHONDONTWRITEBYTECODE": ""}
    command = [PYTHON, "-m", "flair_ray.cli", "run", "--json", "--base-url", base_url, "--seed", "7", *extra]
    measured = measure(command, env)
    if measured.exit_code:
        raise SystemExit(f"the run failed with exit code {measured.exit_code}: {measured.stdout[-500:]}")
    document = json.loads(measured.stdout)
    tail = measure([PYTHON, "-m", "flair_ray.cli", "tail", document["run_id"], "--json"], env).stdout
    events = [json.loads(line) for line in tail.splitlines()]
    first = next(e for e in events if e["event"] == "stage_started")
    return Run(measured, document, int(first["id"].split("-")[0]) / 1000 - measured.began_s)


def bare_ray() -> float:
    """Seconds from the command to the first result of a bare Ray."""
    code = "import time; " + BARE + "; print(time.time())"
    measured = measure([PYTHON, "-c", code], {"RAY_USAGE_STATS_ENABLED": "0"})
    return float(measured.stdout.split()[-1]) - measured.began_s


def larger(folder: Path) -> list[str]:
    """Options of a run of 1,720 calls, on inputs made for it.

    More videos and voters, as many scripts: with more scripts every ballot's prompt would be longer, too, and the
    slope would measure prompts.
    """
    videos, personas = data.sample_videos()[:100], data.sample_personas()
    with (folder / "videos.jsonl").open("w") as out:
        for i in range(LARGE_VIDEOS):
            video = plain(videos[i % 100])
            row = {
                "video_id": f"v{i}",
                "transcript": f"{video['transcript']} Take {i}.",
                "duration": video["duration_s"],
            }
            out.write(json.dumps(row) + "\n")
    people = [{**plain(personas[i % len(personas)]), "persona_id": f"q{i}"} for i in range(LARGE_PERSONAS)]
    (folder / "personas.json").write_text(json.dumps(people))
    counts = {"num-videos": LARGE_VIDEOS, "num-personas": LARGE_PERSONAS}
    return [
        f"--videos={folder / 'videos.jsonl'}",
        f"--personas={folder / 'personas.json'}",
        f"--max-in-flight={IN_FLIGHT * SCALE}",
        *(f"--{name}={n}" for name, n in counts.items()),
    ]


def bench(repeat: int) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="flair-bench-") as temporary:
        folder = Path(temporary)
        bare = [bare_ray() for _ in range(repeat)]
        with MockServer(MockOptions(latency_s=LATENCY_S, max_in_flight=IN_FLIGHT)) as mock:
            default = [flair_run(folder, mock.base_url, [f"--max-in-flight={IN_FLIGHT}"]) for _ in range(repeat)]
            refused = mock.stats()["rejected_429"]
        with MockServer(MockOptions(latency_s=LATENCY_S, max_in_flight=IN_FLIGHT * SCALE)) as mock:
            large = [flair_run(folder, mock.base_url, larger(folder)) for _ in range(repeat)]
    slopes = [
        1000 * (b.measured.cpu_s - a.measured.cpu_s) / (b.calls - a.calls) for a, b in zip(default, large, strict=True)
    ]
    floor = WAVES * LATENCY_S
    return [
        row(
            "default run, 29 in flight: pipeline",
            [r.document["timing"]["pipeline_s"] for r in default],
            "s",
            floor,
            1.15,
        ),
        row("  429s that we caused", [float(refused)], "", None, 0),
        row(
            "1,720 calls at ten times as many in flight",
            [r.document["timing"]["pipeline_s"] for r in large],
            "s",
            LARGE_WAVES * LATENCY_S,
        ),
        row("CPU per call, slope 172 → 1,720", slopes, "ms", None, 5.0),
        row("command to first stage event", [r.first_stage_s for r in default], "s", statistics.median(bare), 1.5),
        row("peak memory of all processes, default run", [r.measured.peak_mb for r in default], "MB"),
        row("peak memory of all processes, 1,720 calls", [r.measured.peak_mb for r in large], "MB"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3, help="measurements per row (default 3)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    rows = bench(options.repeat)
    if options.json:
        print(json.dumps([{**asdict(r), "ratio": r.ratio, "kept": r.kept} for r in rows], indent=2))
    else:
        print(table(rows))
    sys.exit(0 if all(r.kept for r in rows) else 1)


if __name__ == "__main__":
    main()
