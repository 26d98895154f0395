"""The image and the workflows, as far as they can be read without a registry."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.cluster.conftest import ROOT, tool

IMAGE = ROOT / "cluster/image"
DOCKERFILE = (IMAGE / "Dockerfile").read_text(encoding="utf-8")
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


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


def test_actionlint_finds_nothing() -> None:
    found = subprocess.run([tool("actionlint"), *map(str, WORKFLOWS)], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_trusts_little(path: Path) -> None:
    """Actions by commit, rights named job by job, no token left in the checkout, no input pasted into a script."""
    text = path.read_text(encoding="utf-8")
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"]
        for step in job["steps"]:
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step.get("uses", f"a/b@{'0' * 40}"))
            assert "checkout@" not in step.get("uses", "") or step["with"]["persist-credentials"] is False
            assert "${{" not in step.get("run", "")
    assert len(re.findall(r"uses: ", text)) == len(re.findall(r"uses: \S+ # v[\d.]+$", text, re.M))


def test_the_one_job_with_an_identity_waits_for_approval() -> None:
    jobs = [job for path in WORKFLOWS for job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values()]
    (deploy,) = [job for job in jobs if "id-token" in job.get("permissions", {})]
    assert deploy["environment"] == "production"
    assert [job for job in jobs if "write" in job.get("permissions", {}).values()] == [deploy]
