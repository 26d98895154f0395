"""A reader's machine: a folder with their files, `flair` on PATH, a studio that is served, a model's server.

Pages say RUN for a run's id and name servers by example addresses. What these stand for here is in ``Desk.filled``.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import boto3
import httpx2
import psutil
import pytest

from flair_ray.data import sample_personas, sample_videos
from flair_ray.domain.people import Persona
from flair_ray.testing.mock_options import MockOptions
from flair_ray.testing.mock_server import MockServer
from tests.conftest import serving_redis
from tests.docs.blocks import ROOT, blocks
from tests.ports import free_ports

SMALL = ("--num-videos", "6", "--num-scripts", "4", "--num-personas", "6", "--top-n", "2")


@dataclass(frozen=True, slots=True)
class Desk:
    """Where the pages' blocks are run."""

    folder: Path
    env: dict[str, str]
    words: dict[str, str]
    """What a page says → what it stands for here, the longest first."""
    open_run: str
    """A run that nobody drives and that has not ended."""

    def filled(self, text: str) -> str:
        """A block with what its placeholders stand for: nothing else is changed."""
        words = self.words | ({"RUN": self.open_run} if "flair cancel" in text else {})
        pattern = "|".join(rf"\b{word}\b" if word.isalnum() else re.escape(word) for word in words)
        return re.sub(pattern, lambda found: words[found[0]], text)


def flair(env: dict[str, str], *words: str) -> str:
    command = [sys.executable, "-m", "flair_ray.cli", *words]
    done = subprocess.run(command, env=env, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def serving(env: dict[str, str], folder: Path) -> Iterator[tuple[str, str]]:
    """`flair serve`: its address, and that of the Ray it started."""
    command = [sys.executable, "-m", "flair_ray.cli", "serve", "--port", str(*free_ports(1))]
    said = folder / "serve.txt"
    with said.open("wb") as told:
        process = psutil.Popen(command, env=env, stdout=told, stderr=told)
    try:
        while (found := re.search(r"the API is at (http://\S+)/api", said.read_text())) is None:
            assert process.poll() is None, said.read_text()
            time.sleep(0.05)
        raylet = next(child for child in process.children(recursive=True) if child.name() == "raylet")
        flag = "--gcs-address="
        yield found[1], next(word.removeprefix(flag) for word in raylet.cmdline() if word.startswith(flag))
    finally:
        process.terminate()
        process.wait(60)


def lay_out(folder: Path) -> None:
    """The files that the pages take to be there."""
    (folder / "my_videos").mkdir(parents=True)
    for video in sample_videos()[:12]:
        (folder / "my_videos" / f"{video.video_id}.txt").write_text(video.transcript, encoding="utf-8")
    profile = next(blocks(ROOT / "docs" / "how-to" / "your-own-videos.md", "json")).text
    (folder / "me.json").write_text(profile, encoding="utf-8")
    shutil.copytree(folder / "my_videos", folder / "my_batch" / "videos")
    shutil.copy(folder / "me.json", folder / "my_batch")
    order = {"reasoning_model": "offline", "creator_profile": json.loads(profile)}
    (folder / "order.json").write_text(json.dumps(order), encoding="utf-8")
    with (folder / "my_audience.csv").open("w", encoding="utf-8", newline="") as file:
        sheet = csv.DictWriter(file, [field.name for field in fields(Persona)])
        sheet.writeheader()
        for persona in sample_personas():
            sheet.writerow(asdict(persona) | {"interests": "; ".join(persona.interests)})


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, aws: str) -> Iterator[Desk]:
    """With a Redis of its own: the studio's hosts would take up the runs of other tests."""
    with serving_redis(tmp_path_factory.mktemp("redis")) as redis_url:
        yield from _laid_out(tmp_path_factory.mktemp("desk"), redis_url)


def _laid_out(folder: Path, redis_url: str) -> Iterator[Desk]:
    stand_ins = folder / "bin"
    stand_ins.mkdir()
    (stand_ins / "make").write_text(f'#!/bin/sh\nexec {shutil.which("make")} --dry-run -C "{ROOT}" "$@"\n')
    (stand_ins / "make").chmod(0o755)
    (folder / ".curlrc").write_text("fail\nsilent\n")  # a refusal is a failure
    path = os.pathsep.join((str(stand_ins), str(Path(sys.executable).parent), os.environ["PATH"]))
    ours = {"PATH": path, "CURL_HOME": str(folder), "PIP_NO_INDEX": "1", "FLAIR_REDIS_URL": redis_url}
    env = {**os.environ, **ours, "FLAIR_DATA_DIR": str(folder / "data"), "NO_COLOR": "1"}
    boto3.client("s3").create_bucket(
        Bucket="my-studio", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    with MockServer(MockOptions(latency_s=0)) as mock, serving(env, folder) as (studio, cluster):
        env |= {
            "RAY_ADDRESS": cluster,
            "FLAIR_OPENAI_BASE_URL": mock.base_url,
            "FLAIR_GEMINI_BASE_URL": mock.gemini_url,
        }
        done = json.loads(flair(env, "run", "--provider", "offline", "--json", *SMALL))
        run_id, script_id = done["run_id"], done["results"][0]["script_id"]
        video = {"run_id": run_id, "script_id": script_id}
        job_id = httpx2.post(f"{studio}/api/video/generate", json=video).raise_for_status().json()["job_id"]
        port = str(*free_ports(1))
        words = {
            "rediss://user:password@redis.internal:6379/0": redis_url,
            "http://localhost:11434/v1": mock.base_url,
            "http://localhost:8000/v1": mock.base_url,
            "https://studio.example": studio,
            "http://127.0.0.1:8000": studio,
            "10.0.0.5:6379": cluster,
            "8089": port,
            "RUN": run_id,
            "S07": script_id,
            "JOB": job_id,
        }
        yield Desk(folder, env, words, _left_open(env, mock, run_id))


def _left_open(env: dict[str, str], mock: MockServer, other: str) -> str:
    """A run that was stopped on its way, as by Ctrl-C."""
    mock.configure(latency_s=60)
    command = [sys.executable, "-m", "flair_ray.cli", "run", "--base-url", mock.base_url, *SMALL]
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = ""
        while (found := re.search(r"run ([0-9a-f-]{36})", said)) is None or "started" not in said:
            line = process.stderr.readline()
            assert line, said
            said += line
        process.terminate()
        process.communicate()
    mock.configure(latency_s=0)
    assert found[1] != other
    return found[1]
