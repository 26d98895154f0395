"""A profile is complete and bounded, or one message names the file and every fault."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from flair_ray.domain.people import CreatorProfile
from flair_ray.errors import InputError
from flair_ray.inputs import parse_profile, read_profile

Write = Callable[..., Path]

LEAST = {"tone": "dry", "vocabulary": ["crumb"], "catchphrases": ["Right then."], "topics_to_avoid": ["diets"]}


def test_the_required_fields_are_enough(write: Write) -> None:
    profile = read_profile(write("me.json", json.dumps(LEAST)))
    assert profile == CreatorProfile("dry", ("crumb",), ("Right then.",), ("diets",))


def test_all_fields_and_unknown_ones() -> None:
    more = {
        "niche": "bread",
        "audience_description": "bakers",
        "content_themes": ["sourdough"],
        "example_hooks": ["Stop."],
    }
    profile = parse_profile({**LEAST, **more, "recent_topics": ["rye"], "shoe_size": 43}, "body")
    assert (profile.niche, profile.content_themes, profile.recent_topics) == ("bread", ("sourdough",), ("rye",))


def test_text_is_cleaned_blank_items_dropped_and_null_is_not_sent() -> None:
    sent = {
        "tone": " dry\x00\n ",
        "vocabulary": ["", " crumb "],
        "catchphrases": [],
        "niche": None,
        "content_themes": None,
    }
    assert parse_profile({**LEAST, **sent}, "body") == CreatorProfile("dry", ("crumb",), (), ("diets",))


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        ({"tone": "dry"}, "missing vocabulary, catchphrases, topics_to_avoid"),
        ({**LEAST, "vocabulary": "crumb"}, "vocabulary: Input should be a valid list"),
        ({**LEAST, "tone": 5}, "tone: Input should be a valid string"),
        ({**LEAST, "tone": "  "}, "tone: String should have at least 1 character"),
        ({**LEAST, "tone": None}, "tone: Input should be a valid string"),
        ({**LEAST, "tone": "x" * 2001}, "tone: String should have at most 2000 characters"),
        ({**LEAST, "catchphrases": ["x"] * 51}, "catchphrases: List should have at most 50 items"),
        ({**LEAST, "catchphrases": ["fine", 5]}, "catchphrases.1: Input should be a valid string"),
        ({"vocabulary": 5}, "missing tone, catchphrases, topics_to_avoid; vocabulary: Input should be a valid list"),
        ([], "not an object. A profile has tone"),
        (None, "not an object"),
    ],
)
def test_faults_are_named_all_at_once(sent: object, says: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_profile(sent, "me.json")
    assert str(caught.value).startswith("me.json: ")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"tone": "dry",}', "broken JSON at line 1, column 16"),
        ("", "the file is empty"),
        (b'{"tone": "\xe9"}', "not UTF-8: byte 0xe9 at offset 10"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_files_that_hold_no_profile(write: Write, content: str | bytes, says: str) -> None:
    with pytest.raises(InputError, match=rf"me\.json: (JSON )?{says}.*topics_to_avoid"):
        read_profile(write("me.json", content))


def test_a_missing_profile_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"me\.json: No such file"):
        read_profile(tmp_path / "me.json")
    with pytest.raises(InputError, match="not a regular file"):
        read_profile(tmp_path)
