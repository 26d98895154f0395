"""The runbooks' commands, which need a cluster or an account: tried as far as both of them are not asked.

kubectl is the real one, before a server that nobody listens at: what it refuses by itself, a flag, a manifest, a word
too many, is a failure. Each call of AWS is compared with AWS' own description of it. All other programs only say yes.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from botocore import xform_name
from botocore.session import get_session

from tests.docs.blocks import NO_RUN, ROOT, blocks

RUNBOOKS = ("kuberay", "ecs")
SAY_YES = ("kind", "helm", "docker", "aws", "ray", "make", "openssl", "curl", "cluster/ecs/.venv/bin/python")
KUBECTL = """#!/bin/sh
{kubectl} "$@" 2>"$HOME/said" && exit
cat "$HOME/said" >&2
grep -q 'connection refused\\|was refused' "$HOME/said"
"""
NOBODY = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "nobody", "cluster": {"server": "http://127.0.0.1:9"}}],
    "contexts": [{"name": "nobody", "context": {"cluster": "nobody"}}],
    "current-context": "nobody",
}
ANYWHERE = {"query", "output", "region"}
OF_THE_COMMAND_LINE = {
    ("cloudformation", "deploy"): {"stack-name", "template-file", "parameter-overrides", "capabilities"}
    | {"no-fail-on-empty-changeset"},
    ("eks", "update-kubeconfig"): {"name"},
    ("ecr", "get-login-password"): set(),
}
"""What no service does, but the command."""


def program(path: Path, text: str = "#!/bin/sh\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


@pytest.mark.parametrize("page", RUNBOOKS)
def test_commands_are_such_that_kubectl_takes(page: str, tmp_path: Path) -> None:
    here, programs = tmp_path / "here", tmp_path / "bin"
    shutil.copytree(ROOT / "cluster", here / "cluster", ignore=shutil.ignore_patterns(".venv", "cdk.out"))
    (here / "secrets.env").write_text("MOONSHOT_API_KEY=made-up\nFLAIR_API_TOKENS=made-up\n")
    (tmp_path / "config").write_text(yaml.safe_dump(NOBODY))
    for name in SAY_YES:
        program(here / name if "/" in name else programs / name)
    program(programs / "kubectl", KUBECTL.format(kubectl=Path(sys.executable).with_name("kubectl")))
    code = [
        f"echo '== {b.where}' >&2\n{b.text}" for b in blocks(ROOT / f"docs/how-to/{page}.md", "sh") if b.kind == NO_RUN
    ]
    assert code
    env = {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(tmp_path), "KUBECONFIG": str(tmp_path / "config")}
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", "\n".join(code)],
        cwd=here, env=env | {"APP_AUTH": "a", "GCS_AUTH": "b"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def calls(text: str) -> list[list[str]]:
    """Each `aws …` of a script, as words."""
    one_line = text.replace("\\\n", " ")
    return [
        shlex.split(found)
        for found in re.findall(r"\baws ([a-z]+ [a-z-]+(?: (?:\"[^\"]*\"|'[^']*'|[^\n|;)>`\"'])*)?)", one_line)
    ]


def wrong(service: str, operation: str, *words: str) -> set[str]:
    """Options that the call has not, and those that it lacks."""
    given = {word[2:].partition("=")[0] for word in words if word.startswith("--")} - ANYWHERE
    if (service, operation) in OF_THE_COMMAND_LINE:
        return given - OF_THE_COMMAND_LINE[service, operation]
    session = get_session()
    model = session.get_service_model(service)
    if operation == "wait":
        waiters = session.get_component("data_loader").load_service_model(service, "waiters-2")["waiters"]
        name = next(w for w in waiters if xform_name(w, "-") == words[0])
        asked = model.operation_model(waiters[name]["operation"]).input_shape
    else:
        asked = model.operation_model(
            next(o for o in model.operation_names if xform_name(o, "-") == operation)
        ).input_shape
    has = {xform_name(member, "-") for member in asked.members}
    return (given - has) | ({xform_name(member, "-") for member in asked.required_members} - given)


@pytest.mark.parametrize("path", [*(f"docs/how-to/{page}.md" for page in RUNBOOKS), ".github/workflows/deploy.yml"])
def test_calls_of_aws_are_such_that_aws_takes(path: str) -> None:
    found = calls((ROOT / path).read_text(encoding="utf-8"))
    assert len(found) > 1
    assert {" ".join(words): wrong(*words) for words in found if wrong(*words)} == {}


def test_a_wrong_call_is_found() -> None:
    assert wrong("elasticache", "modify-user", "--usr-id", "x") == {"usr-id", "user-id"}
