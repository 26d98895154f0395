"""The image and the workflows, as far as they can be read without a registry."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.conftest import ROOT, tool

IMAGE = ROOT / "cluster/image"
DOCKERFILE = (IMAGE / "Dockerfile").read_text(encoding="utf-8")
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_hadolint_finds_nothing() -> None:
    found = subprocess.run([tool("hadolint"), str(IMAGE / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


def test_all_that_is_copied_is_there_and_let_through() -> None:
    copied = [word for words in re.findall(r"^COPY --chown=\S+ (.+) \S+$", DOCKERFILE, re.M) for word in words.split()]
    let_through = {line[1:] for line in (IMAGE / "Dockerfile.dockerignore").read_text().split() if line[0] == "!"}
    assert set(copied) == let_through
    assert [name for name in copied if not (ROOT / name).exists()] == []


def test_what_makes_the_package_is_pinned_too() -> None:
    requires = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    assert all("==" in one for one in requires)


def test_what_is_tried_and_what_is_pushed_are_from_one_digest_of_the_base() -> None:
    steps = load(ROOT / ".github/workflows/image.yml")["jobs"]["image"]["steps"]
    builds = [step["with"] for step in steps if "build-push-action" in step.get("uses", "")]
    assert len(builds) == 2
    for build in builds:
        assert build["build-contexts"] == "${{ steps.base.outputs.pinned }}"
        assert build["labels"] == "org.opencontainers.image.base.digest=${{ steps.base.outputs.digest }}"
    [base] = [step["run"] for step in steps if step.get("id") == "base"]
    [tag] = re.findall(r"^FROM (\S+)$", DOCKERFILE, re.MULTILINE)
    asked = "docker() { echo sha256:0; }; GITHUB_OUTPUT=/dev/null; " + base
    said = subprocess.run(["bash", "-ec", asked], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == ["digest=sha256:0", f"pinned={tag}=docker-image://{tag}@sha256:0"]


def test_actionlint_finds_nothing() -> None:
    found = subprocess.run([tool("actionlint"), *map(str, WORKFLOWS)], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_trusts_little(path: Path) -> None:
    """Actions by commit, rights named job by job, no token left in the checkout, no input pasted into a script."""
    text, workflow = path.read_text(encoding="utf-8"), load(path)
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"]
        for step in job["steps"]:
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step.get("uses", f"a/b@{'0' * 40}"))
            assert "checkout@" not in step.get("uses", "") or step["with"]["persist-credentials"] is False
            assert "${{" not in step.get("run", "")
    assert len(re.findall(r"uses: ", text)) == len(re.findall(r"uses: \S+ # v[\d.]+$", text, re.M))


DEPLOYS = ("kuberay", "ecs")


def test_only_what_was_approved_has_an_identity() -> None:
    jobs = {f"{path.stem}/{name}": job for path in WORKFLOWS for name, job in load(path)["jobs"].items()}
    may_write = {name: job for name, job in jobs.items() if "write" in job.get("permissions", {}).values()}
    assert set(may_write) == {f"deploy/{name}" for name in DEPLOYS}
    for job in may_write.values():
        assert job["permissions"] == {"contents": "read", "id-token": "write"}
        assert job["environment"] == "production"


@pytest.mark.parametrize("where", DEPLOYS)
def test_a_deployment_is_seen_to_work_or_is_taken_back(where: str) -> None:
    workflow = load(ROOT / ".github/workflows/deploy.yml")
    assert workflow[True]["workflow_dispatch"]["inputs"]["to"]["options"] == list(DEPLOYS)  # YAML's own "on"
    job = workflow["jobs"][where]
    assert (job["needs"], job["if"]) == ("plan", f"inputs.to == '{where}'")
    keep, apply, seen, back = job["steps"][-4:]
    assert (keep["name"], apply["id"], back["name"]) == ("Keep what runs now", "apply", "Put back what ran before")
    assert "$URL/api/health" in seen["run"]
    assert back["if"] == "(failure() || cancelled()) && steps.apply.outcome != 'skipped'"
    kept = set(re.findall(r"> (before\.\w+)", keep["run"]))
    assert kept
    assert kept == set(re.findall(r"before\.\w+", back["run"]))
