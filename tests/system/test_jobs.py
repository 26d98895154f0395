"""Runs as jobs of a cluster: by `ray job submit` as the README has it, and by `flair submit`, its friendly form.

A real head with its job server, a real Redis, and a model server that counts what it is asked.
"""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from flair_ray.testing.mock_options import MockOptions
from flair_ray.testing.mock_server import MockServer
from tests.system.growing import BIN, ROOT, Head, growing

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]
SMALL = ["--num-videos=12", "--num-scripts=6", "--num-personas=9", "--top-n=3"]
CALLS = 12 + 6 + 9 + 3
PATIENCE_S = 120.0
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def server() -> Iterator[MockServer]:
    with MockServer(MockOptions(latency_s=0.1)) as running:
        yield running


@pytest.fixture
def model(server: MockServer) -> MockServer:
    server.configure(latency_s=0.1)
    server.reset()
    return server


@pytest.fixture(scope="module")
def head(server: MockServer, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    folder = tmp_path_factory.mktemp("head")
    environ = {
        "FLAIR_DATA_DIR": str(folder / "data"),
        "FLAIR_REDIS_URL": redis_url,
        "FLAIR_OPENAI_BASE_URL": server.base_url,
        "OPENAI_API_KEY": "made-up",
    }
    with growing(folder, environ, head_cpus=2) as started:
        yield started


@pytest.fixture
def batch(tmp_path: Path) -> Path:
    """A folder with my_batch/ in it: two videos, a film beside them, and a profile."""
    videos = tmp_path / "my_batch" / "videos"
    videos.mkdir(parents=True)
    for place, word in enumerate(("salt", "heat")):
        (videos / f"{place}.txt").write_text(f"This is what number {place} is about: {word}, and why it works.")
    (videos / "film.mp4").write_bytes(b"film")
    profile = '{"tone": "dry", "vocabulary": ["simmer"], "catchphrases": [], "topics_to_avoid": []}'
    (tmp_path / "my_batch" / "me.json").write_text(profile)
    return tmp_path


def ended(command: list[str], folder: Path = ROOT) -> tuple[int, str]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False, cwd=folder)
    return done.returncode, done.stdout + done.stderr


def ray_job(head: Head, folder: Path, *options: str) -> tuple[int, str]:
    """The README's line, for this cluster, where ``folder`` has my_batch/."""
    (line,) = re.findall(r"^ray (job submit .*\\\n.*)$", README, re.M)
    words = shlex.split(line.replace("\\\n", "").replace("http://127.0.0.1:8265", head.dashboard))
    return ended([str(BIN / "ray"), *words, *options], folder)


@contextmanager
def submitting(head: Head, *words: str) -> Iterator[subprocess.Popen[str]]:
    """`flair submit`, of somebody who has nothing but the address."""
    command = [sys.executable, "-m", "flair_ray.cli", "submit", "--address", head.dashboard, *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def submitted(head: Head, *words: str) -> tuple[int, str, str]:
    with submitting(head, *words) as process:
        out, err = process.communicate(timeout=PATIENCE_S)
        return process.returncode, out, err


def jobs(head: Head, name: str) -> dict[str, str]:
    """By id: the status of each job that the dashboard shows under this name."""
    with urlopen(f"{head.dashboard}/api/jobs/", timeout=10) as answer:  # noqa: S310
        found = json.load(answer)
    return {job["submission_id"]: job["status"] for job in found if job["metadata"].get("job_name") == name}


def kept(head: Head, run_id: str) -> dict[str, Any]:
    path = Path(head.environ["FLAIR_DATA_DIR"], "runs", run_id, "result.json")
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def until(condition: Callable[[], Any]) -> Any:
    deadline_s = time.monotonic() + PATIENCE_S
    while not (seen := condition()):
        assert time.monotonic() < deadline_s, "waited in vain"
        time.sleep(0.05)
    return seen


def test_the_readmes_line_twice_is_paid_once(head: Head, model: MockServer, batch: Path) -> None:
    code, said = ray_job(head, batch, *SMALL[1:])
    assert code == 0, said
    assert "run batch-1, openai" in said
    assert re.search(r"Analyze videos: done, 2/2", said)
    calls = model.stats()["calls"]
    assert calls == CALLS - 10
    assert len(kept(head, "batch-1")["results"]) == 3
    code, said = ray_job(head, batch, *SMALL[1:])
    assert code == 0, said
    assert "completed before" in said
    code, said = ray_job(head, batch, "--num-scripts=0")
    assert code != 0
    assert "--num-scripts must be at least 1" in said
    assert model.stats()["calls"] == calls
    assert sorted(jobs(head, "batch-1").values()) == ["FAILED", "SUCCEEDED", "SUCCEEDED"]


def test_the_friendly_form_takes_files_along(head: Head, model: MockServer, batch: Path) -> None:
    files = ["--videos", str(batch / "my_batch/videos"), "--profile", str(batch / "my_batch/me.json")]
    words = ["--run-id=own", *files, *SMALL[1:]]
    code, out, err = submitted(head, *words)
    assert code == 0, out + err
    assert "Analyze videos: done, 2/2" in out
    assert len(kept(head, "own")["results"]) == 3
    calls = model.stats()["calls"]
    code, out, err = submitted(head, *words, "--json")
    assert json.loads(out) == {"run_id": "own", "job_id": "own-2", "exit_code": 0}
    assert "completed before" in err
    assert submitted(head, "--run-id=own", *SMALL)[0] == 2
    assert model.stats()["calls"] == calls
    assert jobs(head, "own") == {"own": "SUCCEEDED", "own-2": "SUCCEEDED", "own-3": "FAILED"}


def test_a_mistake_is_told_here_and_starts_no_job(head: Head) -> None:
    assert submitted(head, "--run-id=mistake", "--videos=/nowhere")[0] == 2
    assert submitted(head, "--run-id=Mistake")[0] == 2
    assert jobs(head, "mistake") == {}


def test_of_two_at_a_time_one_pays(head: Head, model: MockServer) -> None:
    with submitting(head, "--run-id=both", *SMALL) as one, submitting(head, "--run-id=both", *SMALL) as other:
        said = [process.communicate(timeout=PATIENCE_S) for process in (one, other)]
        assert [one.returncode, other.returncode] == [0, 0], said
    assert model.stats()["calls"] == CALLS


def test_a_job_goes_on_without_who_submitted_it_and_again_once_it_was_stopped(head: Head, model: MockServer) -> None:
    model.configure(latency_s=2.0)
    words = ["--run-id=goes-on", "--max-in-flight=4", *SMALL]
    with submitting(head, *words) as process:
        until(lambda: model.stats()["ok"] >= 4)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert f"ray job logs --follow --address {head.dashboard} goes-on" in err
    assert jobs(head, "goes-on") == {"goes-on": "RUNNING"}
    assert ended([str(BIN / "ray"), "job", "stop", "--address", head.dashboard, "goes-on"])[0] == 0
    assert jobs(head, "goes-on") == {"goes-on": "STOPPED"}
    model.configure(latency_s=0.1)
    code, out, err = submitted(head, *words)
    assert code == 0, out + err
    assert model.stats()["repeated_prompts"] <= 4 + 4  # in flight, and just being recorded
