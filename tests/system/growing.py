"""A Ray cluster on this machine that grows: a head with dashboard, job server and autoscaler, and nodes that come when
there is demand for them, each a raylet of its own.

It is what ``ray.cluster_utils.AutoscalingCluster`` makes (whose example is not in the wheels), apart from whatever
other Ray runs on this machine: with ports and a folder of its own, ended by its processes' ids.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import psutil
from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID, FakeMultiNodeProvider

from tests.ports import free_ports

BIN, ROOT = Path(sys.executable).parent, Path(__file__).resolve().parents[2]
OBJECTS = 80 * 1024**2
NODE, HEAD = "node", "ray.head.default"
NO_COMMANDS = [
    *("initialization_commands", "setup_commands", "head_setup_commands", "worker_setup_commands"),
    *("head_start_ray_commands", "worker_start_ray_commands", "cluster_synced_files", "rsync_exclude", "rsync_filter"),
]
PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Head:
    """Where a cluster is reached, and with which environment."""

    address: str
    dashboard: str
    environ: Mapping[str, str]
    folder: Path
    """What its processes said is in it."""

    def said(self) -> str:
        return (self.folder / "said.txt").read_text(errors="replace")


@contextmanager
def growing(
    folder: Path, environ: Mapping[str, str], *, head_cpus: int, node_cpus: int = 1, most: int = 0
) -> Iterator[Head]:
    """At first only the head; then up to ``most`` nodes, each with ``node_cpus``."""
    port, dashboard, client = free_ports(3)
    kinds = {
        HEAD: {"resources": {"CPU": head_cpus}, "node_config": {}, "max_workers": 0},
        NODE: {
            "resources": {"CPU": node_cpus, "object_store_memory": OBJECTS},
            "node_config": {},
            "min_workers": 0,
            "max_workers": most,
        },
    }
    provider = {
        "type": "external",
        "module": f"{FakeMultiNodeProvider.__module__}.{FakeMultiNodeProvider.__name__}",
        "gcs_address": f"127.0.0.1:{port}",
        "head_node_id": FAKE_HEAD_NODE_ID,
        "launch_multiple": True,
    }
    config = {
        "cluster_name": "growing",
        "max_workers": most,
        "upscaling_speed": 100,
        "idle_timeout_minutes": 5,
        "provider": provider,
        "available_node_types": kinds,
        "head_node_type": HEAD,
        "auth": {},
        "file_mounts": {},
        **{name: [] for name in NO_COMMANDS},
    }
    (folder / "autoscaling.json").write_text(json.dumps(config))
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as place:  # short: it holds sockets
        around = {
            **os.environ,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "RAY_TMPDIR": place,
            "RAY_FAKE_CLUSTER": "1",
            "AUTOSCALER_UPDATE_INTERVAL_S": "1",
            "RAY_enable_autoscaler_v2": "1",
            "RAY_CLOUD_INSTANCE_ID": FAKE_HEAD_NODE_ID,
            "RAY_OVERRIDE_NODE_ID_FOR_TESTING": FAKE_HEAD_NODE_ID,
            **environ,
        }
        words = [
            *(
                "start",
                "--head",
                "--block",
                "--disable-usage-stats",
                "--node-ip-address=127.0.0.1",
                f"--port={port}",
                f"--num-cpus={head_cpus}",
            ),
            *(f"--dashboard-port={dashboard}", "--dashboard-agent-listen-port=0", f"--ray-client-server-port={client}"),
            *(f"--object-store-memory={OBJECTS}", f"--autoscaling-config={folder / 'autoscaling.json'}"),
        ]
        with (folder / "said.txt").open("wb") as said:
            process = subprocess.Popen([BIN / "ray", *words], env=around, stdout=said, stderr=said)
        try:
            url = f"http://127.0.0.1:{dashboard}"
            head = Head(f"127.0.0.1:{port}", url, around, folder)
            _wait(head, process)
            yield head
        finally:
            _end(process)


def _wait(head: Head, process: subprocess.Popen[bytes]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s and process.poll() is None:
        with suppress(OSError), urlopen(f"{head.dashboard}/api/jobs/", timeout=5):  # noqa: S310
            return
        time.sleep(0.05)
    raise AssertionError(head.said())


def _end(process: subprocess.Popen[bytes]) -> None:
    """All of it, by handle: the autoscaler's nodes outlive the head for a while."""
    everything: list[psutil.Process] = []
    if process.poll() is None:
        head = psutil.Process(process.pid)
        everything = [*head.children(recursive=True), head]
    for one in everything:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    psutil.wait_procs(everything, timeout=10)
    process.wait()
