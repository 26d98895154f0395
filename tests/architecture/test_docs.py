"""What the documentation says is so: its tables, its commands, its links, its code."""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import typer

from flair_ray.cli import app
from flair_ray.config import KEY_NAMES
from flair_ray.wiring import DEFAULT_MODELS
from tests.docs.blocks import PAGES, ROOT
from tests.docs.blocks import blocks as blocks_of

LINK = re.compile(r"\]\(([^)\s]+)\)")
STAGE_FILES = re.compile(r"flair_ray/stages/s[1-6]_\w+\.py")


def blocks(page: Path, language: str) -> list[str]:
    """The fenced code of one language, in order, without its indentation."""
    return [block.text for block in blocks_of(page, language)]


def shell_lines() -> Iterator[tuple[str, list[str]]]:
    """Every command in the pages, as its words without comments and leading assignments; and what a job runs."""
    for page in PAGES:
        for line in "".join(blocks(page, "sh")).replace("\\\n", "").splitlines():
            words = shlex.split(line, comments=True)
            while words and re.match(r"[A-Z_]+=", words[0]):
                words.pop(0)
            if words:
                yield f"{page.relative_to(ROOT)}: {line}", words
            if "--" in words:
                yield f"{page.relative_to(ROOT)}: {line}", words[words.index("--") + 1 :]


def shell(program: str) -> list[Any]:
    return [pytest.param(words[1:], id=line) for line, words in shell_lines() if words[0] == program]


def test_tables_say_what_the_code_says() -> None:
    stale: Callable[[], dict[Path, str]] = runpy.run_path(str(ROOT / "docs" / "reference.py"))["stale"]
    assert [str(page.relative_to(ROOT)) for page in stale()] == [], "run python docs/reference.py"


@pytest.mark.parametrize("words", shell("flair"))
def test_flair_takes_the_commands_that_are_shown(words: list[str]) -> None:
    group: Any = typer.main.get_command(app)
    command = group.commands[words[0]]
    with command.make_context(f"flair {words[0]}", words[1:]):
        pass  # parsed: unknown options and values of the wrong type raise


@pytest.mark.parametrize("words", shell("make"))
def test_make_has_the_targets_that_are_shown(words: list[str]) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert all(re.search(rf"^{word}:", makefile, re.MULTILINE) for word in words)


@pytest.mark.parametrize(
    "page", [*PAGES, *sorted((ROOT / "experiments").rglob("*.md"))], ids=lambda page: str(page.relative_to(ROOT))
)
def test_links_lead_to_files(page: Path) -> None:
    targets = [target.split("#")[0] for target in LINK.findall(page.read_text(encoding="utf-8"))]
    inside = [target for target in targets if target and "://" not in target]
    assert [target for target in inside if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_json_is_json(page: Path) -> None:
    for text in blocks(page, "json"):
        json.loads(text)


def test_readme_code_runs_offline_whatever_keys_are_exported(tmp_path: Path) -> None:
    """In a process of its own, in the order of the page. A call to a model would fail: the keys are made up."""
    code = "\n".join(blocks(ROOT / "README.md", "python"))
    keys = {name: "made-up" for names in KEY_NAMES.values() for name in names}
    environ = {**os.environ, **keys, "FLAIR_DATA_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ, check=False)
    assert done.returncode == 0, done.stderr
    assert "1. " in done.stdout
    assert "never predicted views" in done.stdout


def test_readme_begins_with_the_two_commands() -> None:
    commands = [line.split("#")[0].strip() for line in blocks(ROOT / "README.md", "sh")[0].splitlines()]
    assert commands == ["make run", "make test"]


def test_readme_links_the_stages_in_order() -> None:
    linked = STAGE_FILES.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    assert linked == sorted(str(p.relative_to(ROOT)) for p in (ROOT / "flair_ray" / "stages").glob("s[1-6]_*.py"))


def test_readme_says_why_each_dependency_is_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    tools = extras.pop("dev")
    names = {re.split(r"[^\w-]", text)[0] for text in [*project["dependencies"], *chain.from_iterable(extras.values())]}
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("## Dependencies")[1].split("\n## ")[0]
    assert tools
    assert {name for name in names | extras.keys() | {"dev"} if f"`{name}`" not in section} == set()


def test_readme_names_each_provider() -> None:
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("## Providers")[1].split("\n## ")[0]
    assert {name for name in DEFAULT_MODELS if f"`{name}`" not in section} == set()


def test_decisions_are_short_and_whole() -> None:
    decisions = [path for path in (ROOT / "docs" / "adr").glob("*.md") if path.name != "README.md"]
    assert decisions
    for path in decisions:
        text = path.read_text(encoding="utf-8")
        assert text.count("\n") < 60, path.name
        headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
        assert [headings[0], headings[1], headings[-1]] == ["Context", "Decision", "Consequences"], path.name
        assert "Rejected" in headings, path.name
