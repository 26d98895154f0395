"""The `flair` command as people and scripts meet it: a process of its own, judged by what it prints and leaves."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import jsonschema
import pytest

from flair_ray.outputs import result_schema
from flair_ray.stores.embedded import stop_embedded
from flair_ray.testing.mock_llm import MockOptions, MockServer

SMALL = ["--num-videos=12", "--num-scripts=6", "--num-personas=9", "--top-n=3"]
PATIENCE_S = 90.0


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data directory for the whole module; what a killed command left running in it is stopped at the end."""
    folder = tmp_path_factory.mktemp("home")
    yield folder
    stop_embedded(folder)


def start(home: Path, *words: str) -> subprocess.Popen[str]:
    environ = {**os.environ, "FLAIR_DATA_DIR": str(home), "FLAIR_OPENAI_API_KEY": "made-up", "COLUMNS": "100"}
    command = [sys.executable, "-m", "flair_ray.cli", *words]
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def flair(home: Path, *words: str) -> tuple[int, str, str]:
    process = start(home, *words)
    out, err = process.communicate(timeout=PATIENCE_S)
    return process.returncode, out, err


def documents(home: Path, *words: str) -> dict[str, Any]:
    code, out, err = flair(home, *words, "--json")
    assert code == 0, err
    document: dict[str, Any] = json.loads(out)
    return document


@pytest.fixture(scope="module")
def finished(home: Path) -> dict[str, Any]:
    """A small offline run, made once."""
    return documents(home, "run", "--provider=offline", *SMALL)


def test_a_run_prints_one_document_that_fits_the_published_schema(finished: dict[str, Any]) -> None:
    assert finished["status"] == "completed"
    assert [row["rank"] for row in finished["results"]] == [1, 2, 3]
    assert finished["calls"]["total"] == 12 + 6 + 9 + 3
    assert finished["timing"]["startup_s"] > 0
    written = json.loads((Path(finished["out_dir"]) / "result.json").read_text())
    jsonschema.validate(written, json.loads(result_schema()))


def test_what_it_wrote_is_all_in_the_zip(finished: dict[str, Any]) -> None:
    folder = Path(finished["out_dir"])
    here = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} - {"run.zip"}
    with ZipFile(folder / "run.zip") as archive:
        assert {name.rstrip("/") for name in archive.namelist()} == here
    assert {"result.json", "report.html", "scripts.md", "ranking.csv", "ballots.jsonl"} <= here


def test_runs_tail_export_and_resume_agree_about_it(home: Path, finished: dict[str, Any], tmp_path: Path) -> None:
    run_id = finished["run_id"]
    listed = {run["run_id"]: run["status"] for run in documents(home, "runs")["runs"]}
    assert listed[run_id] == "completed"
    code, out, _ = flair(home, "tail", run_id, "--json")
    events = [json.loads(line) for line in out.splitlines()]
    assert (code, events[0]["event"], events[-1]["event"]) == (0, "pipeline_started", "pipeline_complete")
    exported = documents(home, "export", run_id, "--out", str(tmp_path / "again"))
    assert (Path(exported["out_dir"]) / "report.html").exists()
    again = documents(home, "resume", run_id)
    assert [r["script_id"] for r in again["results"]] == [r["script_id"] for r in finished["results"]]
    assert again["calls"]["total"] == finished["calls"]["total"]


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_video_is_made_once_and_found_again(home: Path, finished: dict[str, Any]) -> None:
    job = documents(home, "video", finished["run_id"])
    assert (job["script_id"], job["status"]) == (finished["results"][0]["script_id"], "complete")
    assert Path(job["path"]).read_bytes()[4:8] == b"ftyp"
    begun_s = time.monotonic()
    assert flair(home, "video", finished["run_id"], job["script_id"]) == (0, job["path"] + "\n", "")
    assert time.monotonic() - begun_s < PATIENCE_S / 4
    Path(job["path"]).unlink()
    assert documents(home, "video", finished["run_id"])["job_id"] != job["job_id"]


def test_what_redis_has_forgotten_is_still_listed_and_exported(
    home: Path, finished: dict[str, Any], tmp_path: Path
) -> None:
    elsewhere = tmp_path / "home"
    shutil.copytree(home / "runs", elsewhere / "runs")
    shutil.copy(home / "records.sqlite3", elsewhere)
    listed = {run["run_id"]: run for run in documents(elsewhere, "runs")["runs"]}
    assert listed == {run["run_id"]: run for run in documents(home, "runs")["runs"] if run["status"] == "completed"}
    exported = documents(elsewhere, "export", finished["run_id"], "--out", str(tmp_path / "again"))
    assert exported["status"] == "completed"
    report = Path("runs", finished["run_id"], "report.html")
    assert (tmp_path / "again" / "report.html").read_bytes() == (home / report).read_bytes()
    stop_embedded(elsewhere)


@pytest.mark.long
def test_the_same_seed_gives_the_same_ranking(home: Path, finished: dict[str, Any]) -> None:
    again = documents(home, "run", "--provider=offline", *SMALL)
    assert again["ranking"] == finished["ranking"]
    assert again["results"] == finished["results"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["run", "--videos=/nowhere"], 2, "/nowhere"),
        (["run", "--provider=nobody"], 2, "nobody"),
        (["run", "--provider=offline", "--num-scripts=0"], 2, "--num-scripts"),
        (["run", "--provider=offline", "--num-videos=-3"], 2, "--num-videos"),
        (["run", "--provider=gemini"], 3, "GEMINI_API_KEY"),
        (["run", "--provider=local", "--model=/nowhere.gguf"], 2, "/nowhere.gguf"),
        (["run", "--provider=offline", "--address=127.0.0.1:9"], 4, "127.0.0.1:9"),
        (["resume", "no-such-run"], 2, "no-such-run"),
        (["cancel", "no-such-run"], 2, "no-such-run"),
        (["ingest", "/nowhere"], 2, "/nowhere"),
        (["video", "no-such-run"], 2, "no-such-run"),
        (["serve", "--host=0.0.0.0"], 2, "FLAIR_API_TOKENS"),
        (["token", "a/b"], 2, "a/b"),
    ],
)
def test_a_mistake_gets_one_message_and_its_exit_code(home: Path, words: list[str], code: int, said: str) -> None:
    answered, out, err = flair(home, *words)
    assert answered == code
    assert out == ""
    assert said in err
    assert "Traceback" not in err


def test_a_mistake_with_json_is_a_document_too(home: Path) -> None:
    code, out, _ = flair(home, "run", "--videos=/nowhere", "--json")
    assert code == json.loads(out)["exit_code"] == 2


def test_fewer_than_asked_for_is_said_and_no_failure(home: Path) -> None:
    document = documents(home, "run", "--provider=offline", "--num-videos=500", "--num-scripts=5", "--num-personas=7")
    assert len(document["results"]) == 5
    assert len(document["warnings"]) == 2


def test_the_doctor_finds_this_machine_fit(home: Path) -> None:
    assert documents(home, "doctor")["ok"] is True


def test_an_estimate_starts_nothing_and_costs_nothing(tmp_path: Path) -> None:
    found = documents(tmp_path, "estimate", "--provider=kimi", *SMALL)
    assert {stage: s["calls"] for stage, s in found["stages"].items()} == {
        "S1_MAP": 12, "S3_SEQUENTIAL": 6, "S4_MAP": 9, "S6_PERSONALIZE": 3,
    }  # fmt: skip
    assert 0 < found["usd"]["low"] < found["usd"]["expected"] < found["usd"]["high"]
    assert found["price"]["as_of"]
    assert list(tmp_path.iterdir()) == []


def test_a_cap_without_a_price_is_refused_before_anything_starts(tmp_path: Path) -> None:
    code, _, err = flair(tmp_path, "run", "--base-url=http://127.0.0.1:9/v1", "--max-usd=1")
    assert (code, list(tmp_path.iterdir())) == (2, [])
    assert "--price" in err


def test_a_run_that_is_killed_goes_on_where_it_was(home: Path) -> None:
    """kill -9 of the command, in the middle of the first stage: only what was not recorded yet is asked again.

    That is at most the four calls in flight and the four answers that were just being recorded.
    """
    with MockServer(MockOptions(latency_s=0.3, max_in_flight=4)) as mock:
        process = start(home, "run", f"--base-url={mock.base_url}", "--max-in-flight=4", "--num-videos=40", *SMALL[1:])
        until(lambda: mock.stats()["ok"] >= 12)
        process.kill()
        process.communicate()
        run_id = documents(home, "runs")["runs"][-1]["run_id"]
        document = documents(home, "resume", run_id)
        stats = mock.stats()
    assert document["status"] == "completed"
    assert document["calls"]["by_stage"]["S1_MAP"]["calls"] in range(40, 45)
    assert stats["repeated_prompts"] <= 4 + 4


@pytest.mark.long
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_says_how_to_go_on(home: Path, how: signal.Signals) -> None:
    with MockServer(MockOptions(latency_s=0.5)) as mock:
        process = start(home, "run", f"--base-url={mock.base_url}", "--max-in-flight=4", "--num-videos=40", *SMALL[1:])
        until(lambda: mock.stats()["ok"] >= 4)
        process.send_signal(how)
        _, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 130
        run_id = re.findall(r"flair resume ([0-9a-f-]{36})", err)[-1]
        assert documents(home, "resume", run_id)["status"] == "completed"


@pytest.mark.long
def test_a_cancelled_run_keeps_what_it_has(home: Path) -> None:
    with MockServer(MockOptions(latency_s=0.5)) as mock:
        process = start(home, "run", f"--base-url={mock.base_url}", "--max-in-flight=4", "--num-videos=40", *SMALL[1:])
        until(lambda: mock.stats()["ok"] >= 8)
        run_id = documents(home, "runs")["runs"][-1]["run_id"]
        assert documents(home, "cancel", run_id)["status"] == "cancelled"
        process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    run = next(r for r in documents(home, "runs")["runs"] if r["run_id"] == run_id)
    assert run["status"] == "cancelled"
    assert run["calls"] >= 8


def until(condition: Any) -> None:
    """Wait for a condition outside this process; there is no clock to inject there."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
