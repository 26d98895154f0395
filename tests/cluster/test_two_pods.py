"""What the manifests promise of pods, seen in two: inside.py says how. On Linux alone: it is made of namespaces."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.conftest import ROOT, Rendered, of_kind, ray_groups
from tests.cluster.inside import NAMESPACES, PROGRAMS

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(300),
    pytest.mark.skipif(sys.platform != "linux", reason="pods are made of Linux's namespaces"),
]
SCRATCH = "/tmp"
ORDER = {
    "reasoning_model": "openai",
    "num_videos": 30,
    "num_scripts": 10,
    "num_personas": 12,
    "top_n": 3,
    "creator_profile": {"tone": "dry", "vocabulary": ["simmer"], "catchphrases": [], "topics_to_avoid": ["diets"]},
}
CONFINED = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /mnt
mkdir /mnt/code
mount --bind "$1" /mnt/code
mount -t tmpfs tmpfs "$2"
mkdir -p "$1"
mount --bind /mnt/code "$1"
mount -o remount,ro,bind /
ip link set lo up
shift 2
exec "$@"
"""


def probes(group: dict[str, Any]) -> list[str]:
    container = group["template"]["spec"]["containers"][0]
    asked = [container[name]["httpGet"] for name in ("startupProbe", "readinessProbe", "livenessProbe")]
    return list(dict.fromkeys(f"{one['port']}{one['path']}" for one in asked))


@pytest.fixture(scope="module")
def seen(rendered: Rendered) -> dict[str, Any]:
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        pytest.fail(f"This part needs {', '.join(missing)}: apt-get install util-linux iproute2 openssl redis-server")
    objects = rendered["kind-batch"]
    (service,), (job,) = of_kind(objects, "RayService"), of_kind(objects, "RayJob")
    (valkey,) = of_kind(objects, "StatefulSet")
    (_, head), (_, worker) = ray_groups(service)
    facts = {
        "root": str(ROOT),
        "scratch": SCRATCH,
        "order": ORDER,
        "settings": of_kind(objects, "ConfigMap")[0]["data"],
        "valkey": valkey["spec"]["template"]["spec"]["containers"][0]["args"],
        "head": head["rayStartParams"],
        "worker": worker["rayStartParams"],
        "head_probes": probes(head),
        "worker_probes": probes(worker),
        "serve": yaml.safe_load(service["spec"]["serveConfigV2"]),
        "batch": shlex.split(job["spec"]["entrypoint"]),
    }
    inside = [sys.executable, str(Path(__file__).with_name("inside.py"))]
    as_root = ["--map-root-user"] if os.geteuid() else []
    command = [*NAMESPACES, *as_root, "bash", "-c", CONFINED, "confined", str(ROOT), SCRATCH, *inside]
    done = subprocess.run(command, input=json.dumps(facts), capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-8000:]
    sys.stderr.write(done.stderr)
    made: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(json.dumps(made))
    return made


def test_every_probe_answers_without_a_token(seen: dict[str, Any]) -> None:
    assert set(seen["head"].values()) | set(seen["worker"].values()) == {True}
    assert (len(seen["head"]), len(seen["worker"])) == (2, 2)


def test_the_dashboard_answers_nobody_without_the_token(seen: dict[str, Any]) -> None:
    assert seen["closed"] == [401, 401]


def test_the_studio_and_a_batch_run_need_no_file_system_but_scratch(seen: dict[str, Any]) -> None:
    assert (seen["deployed"], seen["health"], seen["metrics"]) == (200, True, [True, True, True])
    assert seen["batch"]["code"] == 0
    assert seen["batch"]["scripts"] > 0


def test_the_studio_outlives_its_head_and_the_run_completes(seen: dict[str, Any]) -> None:
    assert seen["gone"]
    assert seen["meanwhile"] == [200] * 24
    assert seen["still"] == "running"
    assert seen["back"]
    assert seen["run"] == {"status": "completed"}
    assert seen["health again"]
