"""Which blocks are not run, so that their number cannot grow unseen; and that data is what it is said to be."""

from __future__ import annotations

import json
from collections import Counter

import yaml

from flair_ray.domain.events import Event, EventName
from flair_ray.inputs.profile import ProfileBody
from tests.docs.blocks import NO_RUN, PAGES, ROOT, blocks, name

NOT_RUN = {
    "docs/how-to/a-model.md": 2,
    "docs/how-to/a-ray-cluster.md": 2,
    "docs/how-to/ecs.md": 3,
    "docs/how-to/kuberay.md": 12,
    "docs/how-to/open-it-to-others.md": 1,
    "docs/how-to/serve.md": 2,
    "docs/how-to/videos.md": 1,
    "docs/how-to/watch-it.md": 1,
    "docs/how-to/your-own-videos.md": 1,
    "notebooks/README.md": 1,
}
"""Blocks that need an account, a cluster or the network. Whoever adds one says so here, too."""
LANGUAGES = {"sh", "python", "json", "yaml", "text", "mermaid"}


def test_what_is_not_run_is_counted() -> None:
    marked = Counter(name(block.page) for page in PAGES for block in blocks(page) if block.kind == NO_RUN)
    assert marked == NOT_RUN


def test_every_block_is_of_a_language_that_is_looked_after() -> None:
    """Commands, code, and data are executed or read; text is output, mermaid a picture."""
    assert {block.language for page in PAGES for block in blocks(page)} <= LANGUAGES


def test_the_profile_that_is_shown_is_one() -> None:
    (block,) = blocks(ROOT / "docs" / "how-to" / "your-own-videos.md", "json")
    assert ProfileBody.model_validate_json(block.text).niche


def test_the_event_that_is_shown_is_one() -> None:
    (block,) = blocks(ROOT / "docs" / "reference" / "events.md", "json")
    message = json.loads(block.text)
    event = Event(message["id"], EventName(message["event"]).value, message["data"])
    assert event.envelope() == message


def test_the_scrape_that_is_shown_is_one() -> None:
    (block,) = blocks(ROOT / "docs" / "how-to" / "watch-it.md", "yaml")
    assert all(job["job_name"] for job in yaml.safe_load(block.text)["scrape_configs"])
