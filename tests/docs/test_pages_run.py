"""Every block that can run does: a page's commands in one shell, its Python in one process, in order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.docs.blocks import BACKGROUND, NO_RUN, PAGES, Block, blocks, name
from tests.docs.conftest import Desk, lay_out

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]
LAST = "docs/how-to/a-ray-cluster.md"
"""It ends what the studio of the other pages runs on."""
DEADLINE_S = 240


def pages(language: str) -> list[Path]:
    found = [page for page in PAGES if any(block.kind != NO_RUN for block in blocks(page, language))]
    return sorted(found, key=lambda page: (name(page) == LAST, page))


def script(page: Path, desk: Desk) -> str:
    """The page's commands, each block announced, so that a failure has a place."""
    lines = ["set -eo pipefail"]
    for block in blocks(page, "sh"):
        if block.kind != NO_RUN:
            lines += [f"echo '== {block.where}'", _command(block, desk.filled(block.text))]
    return "\n".join(lines)


def _command(block: Block, text: str) -> str:
    if block.kind != BACKGROUND:
        return text
    said = f"background-{block.line}.txt"
    return f"{text.strip()} >{said} 2>&1 &\nuntil grep -q '{block.said}' {said}; do kill -0 $!; sleep 0.05; done"


@pytest.mark.parametrize("page", pages("sh"), ids=name)
def test_commands_run(page: Path, desk: Desk, tmp_path: Path) -> None:
    lay_out(tmp_path / "reader")
    said = tmp_path / "said.txt"
    with said.open("wb") as told:
        process = subprocess.Popen(
            ["bash", "-c", script(page, desk)],
            cwd=tmp_path / "reader", env=desk.env, stdin=subprocess.DEVNULL, stdout=told, stderr=told,
            start_new_session=True,
        )  # fmt: skip
    try:
        assert process.wait(DEADLINE_S) == 0, said.read_text()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)  # with what the page has left running


@pytest.mark.parametrize("page", pages("python"), ids=name)
def test_python_runs(page: Path, desk: Desk, tmp_path: Path) -> None:
    lay_out(tmp_path / "reader")
    (tmp_path / "reader" / "videos").symlink_to("my_videos")  # as the tutorial calls them
    code = "\n".join(block.text for block in blocks(page, "python") if block.kind != NO_RUN)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "reader", env=desk.env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
