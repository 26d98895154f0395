"""Posts of scripts, made up for tests."""

from __future__ import annotations

from typing import Any

from flair_ray.domain.ids import RunId, ScriptId
from flair_ray.domain.posts import Post

PATTERNS = (
    "question hook, escalating, curiosity gap",
    "shock hook, steady, surprise reveal",
    "story hook, staccato, tension release",
)
RUN = RunId("00000000-0000-4000-8000-000000000001")


def post(number: int, **changes: Any) -> Post:
    """The post of script ``number``, which the panel had in that place: the better, the more likes."""
    facts: dict[str, Any] = {
        "run_id": RUN,
        "script_id": ScriptId(f"S{number:02d}"),
        "session_id": "ada",
        "platform": "tiktok",
        "post_url": f"https://example.org/{number}",
        "views": 1_000,
        "likes": max(0, 300 - 10 * number),
        "comments": 5,
        "shares": 2,
        "posted_at_ms": number,
        "rank": number,
        "pattern_used": PATTERNS[number % 3],
    }
    return Post(**facts | changes)


def posts(count: int, **changes: Any) -> list[Post]:
    """One each of scripts 1 to ``count``."""
    return [post(number, **changes) for number in range(1, count + 1)]
