"""checkov over what is rendered, the image and the workflows: nothing but what is accepted here, with its reason."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.conftest import ROOT, Rendered

pytestmark = pytest.mark.long
CHECKOV = ROOT / "cluster/ecs/.venv/bin/checkov"
HEADS = {"Pod.flair.flair-head", "Pod.flair.flair-batch-head"}
RAY = HEADS | {"Pod.flair.flair-worker", "Pod.flair.flair-batch-worker"}
ALL = RAY | {"StatefulSet.flair.valkey"}

ACCEPTED = {
    # The deployment puts the digest in place of the tag. A laptop's own image is in no registry and has none.
    "CKV_K8S_43": ALL,
    # A tag is never pushed twice (and a digest cannot be), so a node may use what it has, and a registry may be away.
    "CKV_K8S_15": ALL,
    # Settings come from the environment alone. Secrets show in no repr and no log.
    "CKV_K8S_35": ALL,
    # 1000 is the user of Ray's own image, whose files are its.
    "CKV_K8S_40": RAY,
    # The autoscaler beside the head asks Kubernetes for pods.
    "CKV_K8S_38": HEADS,
    # The same container is the operator's: it takes no probes. When it ends, Kubernetes sees that.
    "CKV_K8S_8": HEADS,
    "CKV_K8S_9": HEADS,
    # A deployment has to be told of what; the input is checked to be an image with its digest.
    "CKV_GHA_7": {"on(deploy)"},
}


def failed(*words: str | Path) -> set[tuple[str, str]]:
    """(check, resource) of every finding. Fails when nothing was checked."""
    command = [str(CHECKOV), "--skip-download", "--output", "json", "--quiet", "--compact", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=110)
    made: Any = json.loads(done.stdout or "[]")
    reports = made if isinstance(made, list) else [made]
    assert sum(report["summary"]["passed"] for report in reports) > 20, done.stderr
    assert [report["summary"]["parsing_errors"] for report in reports] == [0] * len(reports)
    return {(one["check_id"], one["resource"]) for report in reports for one in report["results"]["failed_checks"]}


def accepted(*checks: str) -> set[tuple[str, str]]:
    return {(check, resource) for check, resources in ACCEPTED.items() if check[:7] in checks for resource in resources}


@pytest.fixture(autouse=True)
def installed() -> None:
    if not CHECKOV.exists():
        pytest.fail("This part needs checkov, in an environment of its own: make cluster-tools")


def test_the_manifests(rendered: Rendered, ray_pods: Rendered, tmp_path: Path) -> None:
    """The batch overlays hold the others. checkov knows no RayService, so each of its pods stands beside it."""
    found: set[tuple[str, str]] = set()
    for overlay in ("kind-batch", "prod-batch"):
        page = tmp_path / f"{overlay}.yaml"
        page.write_text(yaml.safe_dump_all([*rendered[overlay], *ray_pods[overlay]]), encoding="utf-8")
        found |= failed("--framework", "kubernetes", "--file", page)
    assert found == accepted("CKV_K8S")


def test_the_image() -> None:
    assert failed("--framework", "dockerfile", "--file", ROOT / "cluster/image/Dockerfile") == set()


def test_the_workflows(tmp_path: Path) -> None:
    shutil.copytree(ROOT / ".github", tmp_path / ".github")
    assert failed("--framework", "github_actions", "--directory", tmp_path) == accepted("CKV_GHA")
