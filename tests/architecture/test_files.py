"""What holds for every file, and for what importing one does."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MOST_LINES = 500
FORBIDDEN_NAMES = {"utils.py", "common.py", "helpers.py", "manager.py"}
REGISTRIES = re.compile(
    r"pypi\.(org|python)|pythonhosted\.(org)|registry\.(npmjs|yarnpkg)|crates\.(io)|anaconda\.(org|com)"
)
MACHINE_PATHS = re.compile(r"(?<![\w.~*-])/(work|root|home|Users|tmp)/\w")
LONGEST_PAUSE_S = 0.05
"""A test may poll for a condition; it may not wait for time to pass."""
MAY_PRINT = {"cli.py", "testing"}

IMPORT_EVERYTHING = """
import importlib, pkgutil, sys
reached, current = [], "flair_ray"
network = {"socket.connect", "socket.getaddrinfo", "socket.sendto"}  # a bind may be a probe of IPv6
sys.addaudithook(lambda event, args: reached.append((current, event, args[1:])) if event in network else None)
import flair_ray
for module in pkgutil.walk_packages(flair_ray.__path__, "flair_ray."):
    current = module.name
    importlib.import_module(current)
sys.exit(str(reached) if reached else 0)
"""


@cache
def project_files() -> tuple[Path, ...]:
    """Every file that is, or would be, in the repository."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout, so it cannot be told which files are the project's")
    listed = subprocess.run(
        [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True
    )
    paths = (ROOT / name for name in listed.stdout.decode().split("\0") if name)
    return tuple(path for path in paths if path.is_file())


def python_files(top: str = "") -> list[Path]:
    return [path for path in project_files() if path.suffix == ".py" and path.is_relative_to(ROOT / top)]


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Every call in a file, with the dotted name of what is called."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def where(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)


def test_no_python_file_is_long() -> None:
    lines = {path: path.read_text(encoding="utf-8").count("\n") for path in python_files()}
    assert {where(path, n) for path, n in lines.items() if n > MOST_LINES} == set()


def test_no_file_has_a_name_that_says_nothing() -> None:
    assert [path for path in python_files() if path.name in FORBIDDEN_NAMES] == []


@pytest.mark.parametrize("pattern", [REGISTRIES, MACHINE_PATHS], ids=["package registries", "machine paths"])
def test_no_file_names(pattern: re.Pattern[str]) -> None:
    found = []
    for path in project_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture
        found += [where(path, text.count("\n", 0, m.start()) + 1) for m in pattern.finditer(text)]
    assert found == []


def test_no_test_waits_for_time_to_pass() -> None:
    def seconds(call: ast.Call) -> float:
        constant = call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else 0
        return float(constant) if isinstance(constant, int | float) else 0

    slept = [
        where(path, call.lineno)
        for path in python_files("tests")
        for name, call in calls(path)
        if name in ("time.sleep", "asyncio.sleep") and seconds(call) > LONGEST_PAUSE_S
    ]
    assert slept == []


def test_the_library_does_not_print() -> None:
    library = ROOT / "flair_ray"
    silent = [path for path in python_files("flair_ray") if path.relative_to(library).parts[0] not in MAY_PRINT]
    assert [where(path, call.lineno) for path in silent for name, call in calls(path) if name == "print"] == []


def test_importing_flair_ray_loads_nothing_heavy() -> None:
    done = python("import sys, flair_ray; sys.exit(str(sorted({'ray', 'redis', 'boto3'} & set(sys.modules)) or ''))")
    assert done.stderr.strip() == ""


def test_help_does_not_load_ray() -> None:
    done = python(
        "import sys; sys.argv = ['flair', '--help']; from flair_ray.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print(sorted({'ray', 'redis', 'openai', 'pandas'} & set(sys.modules)))"
    )
    assert "Start with" in done.stdout, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_importing_any_module_opens_no_connection() -> None:
    done = python(IMPORT_EVERYTHING)
    assert done.returncode == 0, done.stderr
