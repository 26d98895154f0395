"""The pool of viewers: a hundred different people, whose interests can tell scripts apart."""

from __future__ import annotations

import json
import re
from collections import Counter
from importlib.resources import files
from typing import Any

from flair_ray.data import sample_personas
from flair_ray.domain.panel import age_band, attention

STYLES = {"impatient", "patient", "skeptical", "curious", "background", "completionist"}


def test_there_are_100_numbered_from_p001_with_their_own_names() -> None:
    people = sample_personas()
    assert [p.persona_id for p in people] == [f"p{i:03d}" for i in range(1, 101)]
    for texts in ([p.name for p in people], [p.occupation for p in people], [p.description for p in people]):
        assert len(set(texts)) == 100


def test_the_file_says_that_they_are_synthetic() -> None:
    raw = json.loads(files("flair_ray.data").joinpath("personas.json").read_text(encoding="utf-8"))
    assert raw["synthetic"] is True
    assert "real person" in raw["note"]


def test_ages_run_from_16_to_74_with_every_band_well_filled() -> None:
    ages = [p.age for p in sample_personas()]
    assert (min(ages), max(ages)) == (16, 74)
    assert min(Counter(map(age_band, ages)).values()) >= 15


def test_they_live_in_more_than_fifty_countries() -> None:
    countries = Counter(p.location.rpartition(", ")[2] for p in sample_personas())
    assert len(countries) > 50
    assert max(countries.values()) <= 10


def test_every_attention_style_opens_with_one_of_six_words_and_says_more() -> None:
    people = sample_personas()
    counts = Counter(map(attention, people))
    assert set(counts) == STYLES
    assert min(counts.values()) >= 10
    assert all(len(p.attention_style.split()) > 3 for p in people)


def test_interests_are_three_to_six_and_cover_the_niches(video_records: list[dict[str, Any]]) -> None:
    people = sample_personas()
    niches = {r["niche"] for r in video_records}
    fans = Counter(i for p in people for i in p.interests)
    assert all(3 <= len(p.interests) == len(set(p.interests)) <= 6 for p in people)
    assert all(niches & set(p.interests) for p in people)
    assert all(3 <= fans[niche] <= 30 for niche in niches)


def test_each_is_described_in_two_sentences_and_by_habits() -> None:
    for person in sample_personas():
        assert len(re.findall(r"[.!?](?:\s|$)", person.description)) == 2, person.persona_id
        assert len(person.platform_behavior.split()) >= 8, person.persona_id
