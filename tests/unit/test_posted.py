"""`flair posted` and `flair insights`: from a data directory's posts to what they teach."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from flair_ray.cli import app
from flair_ray.config import Settings
from flair_ray.domain.posts import RunRecord
from flair_ray.domain.runs import RunStatus
from flair_ray.errors import InputError, RunNotFound, ScriptNotFound
from flair_ray.wiring import open_archive
from tests.posting import PATTERNS, RUN, posts

Flair = Callable[..., Result]
NUMBERS = ("--views=1000", "--likes=900", "--comments=5", "--shares=2")
POST = ("--platform=tiktok", "--url=https://example.org/1", *NUMBERS)


@pytest.fixture
def flair(settings: Settings, redis_url: str) -> Flair:
    """The command, over a data directory that has a run of 12 scripts which Redis has forgotten."""
    document = {
        "scripts": [{"script_id": f"S{n:02d}", "pattern_used": PATTERNS[n % 3]} for n in range(1, 13)],
        "ranking": {"rows": [{"script_id": f"S{n:02d}", "rank": n} for n in range(1, 13)]},
    }
    record = RunRecord(RUN, "anonymous", RunStatus.COMPLETED, 1, 2, {"status": "completed", "session_id": "anonymous"})
    asyncio.run(open_archive(settings).keep(record, {"result.json": json.dumps(document).encode()}))
    env = {"FLAIR_DATA_DIR": str(settings.data_dir), "FLAIR_REDIS_URL": redis_url, "COLUMNS": "100"}
    return lambda *words: CliRunner().invoke(app, list(words), env=env)


def printed(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.exception
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def test_what_is_reported_is_kept_and_counted(flair: Flair, settings: Settings) -> None:
    kept = printed(flair("posted", RUN, "S01", *POST, "--completion=0.5", "--json"))
    assert (kept["rank"], kept["pattern_used"], kept["completion_rate"]) == (1, PATTERNS[1], 0.5)
    assert "Kept." in flair("posted", RUN, "S01", *POST).stdout
    found = printed(flair("insights", "--json"))
    assert (found["total_videos_tracked"], found["prediction_accuracy"]) == (1, None)
    assert "there is 1. Posts: 1." in flair("insights").stdout


def test_what_was_learned_is_shown_as_a_table(flair: Flair, settings: Settings) -> None:
    async def keep() -> None:
        for post in posts(12, session_id="anonymous"):
            await open_archive(settings).records.keep_post(post)

    asyncio.run(keep())
    shown = " ".join(flair("insights").stdout.split())
    assert "question hook" in shown
    assert "in 100% of cases" in shown
    assert "Posts: 12." in shown
    assert printed(flair("insights", "--session=bob", "--json"))["total_videos_tracked"] == 0


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        (("00000000-0000-4000-8000-00000000000f", "S01", *POST), RunNotFound, "no run"),
        (("../../etc", "S01", *POST), RunNotFound, "no run"),
        ((RUN, "S99", *POST), ScriptNotFound, "S99"),
        ((RUN, "S01", "--platform=tiktok", "--url=ftp://x", *NUMBERS), InputError, "http://"),
        ((RUN, "S01", *POST, "--views=-1"), InputError, "views"),
        ((RUN, "S01", *POST, "--completion=2"), InputError, "completion_rate"),
    ],
)
def test_what_cannot_be_kept_says_why(flair: Flair, words: tuple[str, ...], error: type[Exception], said: str) -> None:
    result = flair("posted", *words)
    assert isinstance(result.exception, error)
    assert said in str(result.exception)
    assert printed(flair("insights", "--json"))["total_videos_tracked"] == 0
