"""A batch on a cluster that grows: its first stage is spread over the nodes that come for it.

`BATCH=10000 pytest -s tests/system/test_a_batch.py` is the large one; it prints what it took.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from ray.util.state import list_nodes, list_tasks

from flair_ray.data import sample_videos
from flair_ray.domain.codec import plain
from flair_ray.testing.mock_options import MockOptions
from flair_ray.testing.mock_server import MockServer
from tests.system.growing import ROOT, Head, growing

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]
VIDEOS = int(os.environ.get("BATCH", "3000"))
FLOOR_S = 75
IN_FLIGHT = VIDEOS // FLOOR_S
"""Calls of a second each: long enough for nodes to come while the first shards are at work."""
NODES = 3
OTHERS = ["--num-scripts=8", "--num-personas=9", "--top-n=3"]


def write_videos(path: Path, count: int) -> None:
    """So many, each of its own id and text."""
    known = sample_videos()
    with path.open("w", encoding="utf-8") as file:
        for n in range(count):
            video = plain(known[n % len(known)])
            row = {
                "video_id": f"v{n}",
                "transcript": f"{video['transcript']} Take {n}.",
                "duration": video["duration_s"],
            }
            file.write(json.dumps(row) + "\n")


def submit(head: Head, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flair_ray.cli", "submit", "--address", head.dashboard, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=500, check=False, cwd=ROOT)


@contextmanager
def peaks() -> Iterator[dict[str, float]]:
    """The largest memory, MB, of the driver and of a shard's process while this is open."""
    found: dict[str, float] = defaultdict(float)
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.5):
            for process in psutil.process_iter(["cmdline", "memory_info"]):
                words = " ".join(process.info["cmdline"] or ())
                kind = "driver" if "/flair run" in words else "shard" if words.startswith("ray::S1_MAP") else ""
                if kind and process.info["memory_info"]:
                    found[kind] = max(found[kind], process.info["memory_info"].rss / 2**20)

    watcher = threading.Thread(target=look)
    watcher.start()
    yield found
    over.set()
    watcher.join()


def test_a_batch_is_spread_over_the_nodes_that_come_for_it(redis_url: str, tmp_path: Path) -> None:
    """A node carries two shards of five hundred at a time; the others are demand, and all nodes come that may."""
    write_videos(tmp_path / "videos.jsonl", VIDEOS)
    with MockServer(MockOptions(latency_s=1.0, max_in_flight=IN_FLIGHT)) as model:
        environ = {
            "FLAIR_DATA_DIR": str(tmp_path / "data"),
            "FLAIR_REDIS_URL": redis_url,
            "FLAIR_OPENAI_BASE_URL": model.base_url,
            "OPENAI_API_KEY": "made-up",
            "FLAIR_QUORUM": "1",
            "FLAIR_HEDGED_SHARE": "0",
        }
        with growing(tmp_path, environ, head_cpus=0, node_cpus=1, most=NODES) as head, peaks() as peak:
            begun_s = time.monotonic()
            done = submit(
                *(head, "--run-id=batch", "--videos", str(tmp_path / "videos.jsonl"), f"--num-videos={VIDEOS}"),
                *(f"--max-in-flight={IN_FLIGHT}", "--no-cache", *OTHERS),
            )
            took_s = time.monotonic() - begun_s
            assert done.returncode == 0, done.stdout + done.stderr + head.said()
            tasks = list_tasks(head.dashboard, filters=[("type", "=", "NORMAL_TASK")], limit=1000)
            nodes = {node.node_id for node in list_nodes(head.dashboard) if not node.is_head_node}
        stats = model.stats()
    shards = [task for task in tasks if re.fullmatch(r"S1_MAP \d+/\d+", task.name)]
    spread = Counter(task.node_id for task in shards)
    s1 = re.search(r"Analyze videos: done, .*", done.stdout)
    print(f"{VIDEOS} videos: {took_s:.0f} s; {s1 and s1[0]}; shards by node {sorted(spread.values())}; {dict(peak)} MB")
    assert len(shards) == -(-VIDEOS // 500)
    assert len(nodes) == NODES
    assert set(spread) == nodes
    result = json.loads((tmp_path / "data/runs/batch/result.json").read_text())
    assert result["calls"]["by_stage"]["S1_MAP"]["calls"] == VIDEOS
    assert (stats["repeated_prompts"], stats["rejected_429"]) == (0, 0)
    assert peak["driver"] < 700


def test_a_cluster_without_a_node_that_works_fails_the_run_and_says_why(redis_url: str, tmp_path: Path) -> None:
    environ = {
        "FLAIR_DATA_DIR": str(tmp_path / "data"),
        "FLAIR_REDIS_URL": redis_url,
        "FLAIR_NODE_WAIT_S": "4",
    }
    with growing(tmp_path, environ, head_cpus=0) as head:
        done = submit(head, "--provider=offline", "--run-id=deserted", "--num-videos=12", *OTHERS)
    assert done.returncode == 4, done.stdout + done.stderr
    assert "No node of the cluster" in done.stdout
