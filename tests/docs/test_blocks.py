"""Which blocks are not run, so that their number cannot grow unseen; and that a page's Python runs."""

from __future__ import annotations

from collections import Counter

from tests.docs.blocks import NO_RUN, PAGES, blocks, name

NOT_RUN = {
    "docs/how-to/a-model.md": 2,
    "docs/how-to/a-ray-cluster.md": 1,
    "docs/how-to/ecs.md": 3,
    "docs/how-to/kuberay.md": 7,
    "docs/how-to/open-it-to-others.md": 1,
    "docs/how-to/serve.md": 2,
    "docs/how-to/videos.md": 1,
    "docs/how-to/your-own-videos.md": 1,
    "notebooks/README.md": 1,
}
"""Blocks that need an account, a cluster or the network. Whoever adds one says so here, too."""
LANGUAGES = {"sh", "python", "json", "text", "mermaid"}


def test_what_is_not_run_is_counted() -> None:
    marked = Counter(name(block.page) for page in PAGES for block in blocks(page) if block.kind == NO_RUN)
    assert marked == NOT_RUN


def test_every_block_is_of_a_language_that_is_looked_after() -> None:
    """Commands, code, and data are executed or read; text is output, mermaid a picture."""
    assert {block.language for page in PAGES for block in blocks(page)} <= LANGUAGES
