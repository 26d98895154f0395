"""What the manifests promise of a pod, seen in one: it works confined as it is, and answers nobody without a token."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.conftest import ROOT, Rendered, cluster_spec, of_kind, ray_groups

SCRATCH = "/tmp"
CONFINED = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /mnt
mkdir /mnt/code
mount --bind "$1" /mnt/code
mount -t tmpfs tmpfs "$2"
mount -t tmpfs tmpfs /dev/shm
mkdir -p "$1"
mount --bind /mnt/code "$1"
mount -o remount,ro,bind "$1"
mount -o remount,ro,bind /
ip link set lo up
if touch "$1/written" /usr/written 2>/dev/null; then echo "this is not confined" >&2; exit 1; fi
shift 2
exec "$@"
"""
NAMESPACES = ("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def seen(rendered: Rendered) -> dict[str, Any]:
    objects = rendered["kind-batch"]
    (service,), (job,) = of_kind(objects, "RayService"), of_kind(objects, "RayJob")
    (valkey,) = of_kind(objects, "StatefulSet")
    (_, head), (_, worker) = ray_groups(service)
    containers = [group["template"]["spec"]["containers"][0] for group in (head, worker)]
    probes = [
        container[name]["httpGet"]
        for container in containers
        for name in ("startupProbe", "readinessProbe", "livenessProbe")
    ]
    urls = list(dict.fromkeys(f"http://127.0.0.1:{probe['port']}{probe['path']}" for probe in probes))
    facts = {
        "root": str(ROOT),
        "scratch": SCRATCH,
        "settings": of_kind(objects, "ConfigMap")[0]["data"],
        "valkey": valkey["spec"]["template"]["spec"]["containers"][0]["args"],
        "ray": cluster_spec(service)["headGroupSpec"]["rayStartParams"],
        "serve": yaml.safe_load(service["spec"]["serveConfigV2"]),
        "probes": [url for url in urls if ":8000" not in url],
        "ready": next(url for url in urls if ":8000" in url),
        "batch": shlex.split(job["spec"]["entrypoint"]),
    }
    inside = [sys.executable, str(Path(__file__).with_name("inside_a_pod.py"))]
    command = [*NAMESPACES, "bash", "-c", CONFINED, "confined", str(ROOT), SCRATCH, *inside]
    done = subprocess.run(command, input=json.dumps(facts), capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-8000:]
    sys.stderr.write(done.stderr)
    made: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return made


@pytest.mark.timeout(300)
def test_every_probe_answers_without_a_token(seen: dict[str, Any]) -> None:
    assert set(seen["probes"].values()) == {200}
    assert len(seen["probes"]) == 2
    assert seen["ready"] == 200


def test_the_dashboard_answers_nobody_without_the_token(seen: dict[str, Any]) -> None:
    assert (seen["deployed without a token"], seen["jobs without a token"]) == (401, 401)


def test_the_studio_and_a_batch_run_need_no_file_system_but_scratch(seen: dict[str, Any]) -> None:
    assert (seen["deployed"], seen["health"], seen["metrics"]) == (200, 200, [200, 200])
    assert (seen["batch"], seen["scripts"] > 0) == (0, True)
