"""What may be reported of a post, and what may not."""

from __future__ import annotations

from typing import Any

import pytest

from flair_ray.errors import InputError
from flair_ray.inputs.posts import parse_post

BODY = {
    "run_id": "r", "script_id": "S01", "platform": "tiktok", "post_url": "https://example.org/1",
    "views": 1_000, "likes": 50, "comments": 5, "shares": 2,
}  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value", "kept"),
    [
        ("platform", " TikTok ", "tiktok"),
        ("platform", "x.com", "x.com"),
        ("script_id", " S01\n", "S01"),
        ("post_url", " http://[::1]:80/a?b=ü#c ", "http://[::1]:80/a?b=ü#c"),
        ("views", 10**12, 10**12),
        ("views", 0, 0),
        ("completion_rate", 1, 1.0),
        ("watch_time_avg", None, None),
    ],
)
def test_what_is_kept(field: str, value: object, kept: object) -> None:
    body: dict[str, Any] = {**BODY, field: value, "rank": 1, "session_id": "somebody's"}
    post = parse_post(body)
    assert getattr(post, field) == kept
    assert not post.facts().keys() & {"rank", "session_id", "run_id", "script_id"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("run_id", 7),
        ("script_id", "x" * 5_000),
        ("script_id", ""),
        ("platform", "tik tok"),
        ("platform", "<script>"),
        ("platform", ""),
        ("platform", "x" * 33),
        ("platform", "tiktok\n\x00"),
        ("post_url", "javascript:alert(1)"),
        ("post_url", "example.org/1"),
        ("post_url", "https://"),
        ("post_url", "https://[/"),
        ("post_url", "https://example.org/\r\nSet-Cookie: a=b"),
        ("post_url", "https://example.org/a b"),
        ("post_url", "https://example.org/a\u202eb"),
        ("post_url", "https://example.org/\ud800"),
        ("post_url", "https://example.org/" + "x" * 2_000),
        ("post_url", None),
        ("views", -1),
        ("views", 10**12 + 1),
        ("views", 10**400),
        ("views", 1.5),
        ("views", True),
        ("views", "1000"),
        ("likes", None),
        ("completion_rate", 1.01),
        ("completion_rate", "0.5"),
        ("completion_rate", float("nan")),
        ("watch_time_avg", -0.1),
        ("watch_time_avg", 1e300),
        ("watch_time_avg", float("inf")),
    ],
)
def test_what_is_refused_names_its_field(field: str, value: object) -> None:
    with pytest.raises(InputError, match=field):
        parse_post({**BODY, field: value})


@pytest.mark.parametrize("field", BODY)
def test_nothing_may_be_missing(field: str) -> None:
    with pytest.raises(InputError, match=f"missing {field}"):
        parse_post({name: value for name, value in BODY.items() if name != field})


@pytest.mark.parametrize("body", [None, [], "post", 7])
def test_what_is_no_post_at_all(body: object) -> None:
    with pytest.raises(InputError, match="cannot be used"):
        parse_post(body)
