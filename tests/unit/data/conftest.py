from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import pytest


@pytest.fixture(scope="session")
def video_records() -> list[dict[str, Any]]:
    """The sample videos as they stand in the file, with the fields that ``Video`` does not keep."""
    text = files("flair_ray.data").joinpath("videos.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]
