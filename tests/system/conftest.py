"""What CDK makes of cluster/ecs. It has an environment of its own, `make cluster-tools`."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "cluster" / "ecs"
BIN = FOLDER / ".venv" / "bin"


def tool(name: str, *words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    if not (BIN / name).exists():
        pytest.fail("This part needs CDK, cfn-lint and checkov: make cluster-tools")
    return subprocess.run([BIN / name, *words], cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with what `python cluster/ecs/app.py` makes."""
    folder = tmp_path_factory.mktemp("ecs")
    done = tool("python", "app.py", str(folder), folder=FOLDER)
    assert done.returncode == 0, done.stderr
    return folder
