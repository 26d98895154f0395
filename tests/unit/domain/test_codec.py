"""Values to JSON and back: everything that is stored comes back as it was, and nothing else is let in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from flair_ray.data import sample_personas, sample_profiles, sample_videos
from flair_ray.domain.ballots import Ballot
from flair_ray.domain.codec import adapter, decode, encode, plain
from flair_ray.domain.ids import PersonaId, ScriptId, VideoId
from flair_ray.domain.patterns import EmotionalArc, HookType, Pacing, Pattern, Trigger
from flair_ray.domain.runs import ModelChoice, RunInputs, RunSpec
from flair_ray.domain.scripts import CandidateScript, FinalScript, Shot
from flair_ray.domain.videos import Video

st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))  # JSON has no others
STORED = [Video, Pattern, CandidateScript, Ballot, FinalScript, RunSpec, RunInputs]


@pytest.mark.parametrize("kind", STORED, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_what_is_stored_comes_back(kind: Any, data: st.DataObject) -> None:
    """Any value of a stored type, drawn from its own annotations."""
    value = data.draw(st.from_type(kind))
    assert decode(kind, encode(value)) == value


def test_containers_name_their_type() -> None:
    people = sample_personas()[:3]
    stored = encode(people, tuple[type(people[0]), ...])
    assert decode(tuple[type(people[0]), ...], stored) == people


def test_plain_values_are_ready_for_any_writer() -> None:
    pattern = Pattern(
        VideoId("v"), HookType.STORY, Pacing.STEADY, EmotionalArc.TENSION_RELEASE, (Trigger.HUMOR,), "h", ("a",), 1, "w"
    )
    assert json.loads(json.dumps(plain(pattern)))["hook_type"] == "story"
    assert plain(pattern)["triggers"] == ["humor"]


@pytest.mark.parametrize(
    "wrong",
    ["", "{", "[]", "null", '{"script_id": "S01"}', '{"start_s": "x", "end_s": 1, "visual": "", "on_screen_text": ""}'],
)
def test_what_does_not_fit_is_refused(wrong: str) -> None:
    with pytest.raises(ValidationError):
        decode(Shot, wrong)


def test_an_adapter_is_built_once() -> None:
    assert adapter(Video) is adapter(Video)


def test_a_type_may_be_local() -> None:
    @dataclass(frozen=True, slots=True)
    class Local:
        a: int

    assert decode(Local, encode(Local(3))) == Local(3)


def test_the_samples_pass_through() -> None:
    inputs = RunInputs(sample_videos(), sample_personas())
    assert decode(RunInputs, encode(inputs)) == inputs
    profile = sample_profiles()[0].profile
    spec = RunSpec(profile, ModelChoice("offline", "m"), 1, 1, 1, 1, 7, "key", "fingerprint")
    assert decode(RunSpec, encode(spec)) == spec


def test_ballots_keep_their_order() -> None:
    ballot = Ballot(PersonaId("p"), (ScriptId("S02"), ScriptId("S01")), (ScriptId("S01"), ScriptId("S02")), 1)
    assert json.loads(encode(ballot))["top"] == ["S02", "S01"]
