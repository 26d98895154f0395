"""The fenced code of the documentation's pages.

    ```sh                           is run, in the order of the page
    ```sh background: READY         is started, and stays until the page ends; READY is what it prints when it is up
    ```sh no-run: REASON            is not run: it would need something that a test cannot have

Markdown shows the first word only. Everything else about a page, what its placeholders stand for, is in conftest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "notebooks").glob("*.md")])
_FENCE = re.compile(r"^( *)```(\w+)(?: +([^\n]*))?\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
_MARK = re.compile(r"(no-run|background): (\S.*)")
RUN, NO_RUN, BACKGROUND = "run", "no-run", "background"


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block; its text without the indentation of the page."""

    page: Path
    line: int
    """Of the first line of its text."""
    language: str
    kind: str
    said: str
    """The reason, or what a server prints when it is ready; empty for a block that is simply run."""
    text: str

    @property
    def where(self) -> str:
        return f"{name(self.page)}:{self.line}"


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str | None = None) -> Iterator[Block]:
    """All blocks of a page, or those of one language. Raises ValueError for a mark that is none."""
    content = page.read_text(encoding="utf-8")
    for found in _FENCE.finditer(content):
        indent, spoken, mark, code = found.groups()
        line = content.count("\n", 0, found.start(4)) + 1
        kind, said = RUN, ""
        if mark:
            known = _MARK.fullmatch(mark)
            if known is None:
                raise ValueError(f"{name(page)}:{line}: {mark!r} is neither `no-run: REASON` nor `background: READY`")
            kind, said = known.groups()
        if language in (None, spoken):
            yield Block(page, line, spoken, kind, said, re.sub(f"^{indent}", "", code, flags=re.MULTILINE))
