"""The creator profiles: complete, different, and true to their own rules."""

from __future__ import annotations

import json
from dataclasses import fields
from importlib.resources import files

import pytest

from flair_ray.data import SampleProfile, sample_profiles
from flair_ray.domain.people import CreatorProfile

NINE = {field.name for field in fields(CreatorProfile)} - {"own_transcripts"}


def test_there_are_eight_with_their_own_ids_niches_and_voices() -> None:
    samples = sample_profiles()
    assert len(samples) == 8
    for texts in ([s.id for s in samples], [s.profile.niche for s in samples], [s.profile.tone for s in samples]):
        assert len(set(texts)) == 8


def test_each_record_says_that_it_is_synthetic() -> None:
    raw = json.loads(files("flair_ray.data").joinpath("profiles.json").read_text(encoding="utf-8"))
    assert all(record["synthetic"] is True for record in raw)
    assert all(set(record["profile"]) == NINE for record in raw)


@pytest.mark.parametrize("sample", sample_profiles(), ids=lambda s: s.id)
def test_all_nine_fields_are_filled(sample: SampleProfile) -> None:
    profile = sample.profile
    assert all(getattr(profile, name) for name in NINE)
    assert 2 <= len(profile.catchphrases) <= 4
    assert 4 <= len(profile.content_themes) <= 8
    assert 3 <= len(profile.example_hooks) <= 5
    assert sample.label
    assert sample.description


@pytest.mark.parametrize("sample", sample_profiles(), ids=lambda s: s.id)
def test_no_profile_speaks_of_what_it_avoids(sample: SampleProfile) -> None:
    profile = sample.profile
    lists = (profile.vocabulary, profile.catchphrases, profile.content_themes, profile.example_hooks)
    said = " / ".join(line for lines in (*lists, profile.recent_topics) for line in lines).lower()
    assert [topic for topic in profile.topics_to_avoid if topic in said] == []
