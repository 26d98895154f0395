from __future__ import annotations

import json
from itertools import permutations

import pytest
from pydantic import ValidationError

from flair_ray.domain.answers import BallotForm, VideoAnalysis, ballot_form


def _ballot(form: type[BallotForm], top: object) -> list[str]:
    return form.model_validate_json(json.dumps({"reaction": "Fine.", "top": top})).top


@pytest.mark.parametrize("labels", [("BD",), ("BD", "FG"), ("BD", "FG", "KL"), ("BD", "FG", "KL", "MN")])
def test_a_small_ballot_is_one_of_its_orders(labels: tuple[str, ...]) -> None:
    form = ballot_form(labels)
    asked = form.model_json_schema()["properties"]["top"]
    assert asked["type"] == "string"
    orders = list(permutations(labels))
    assert len(asked["enum"]) == len(orders)
    assert [_ballot(form, text) for text in asked["enum"]] == [list(order) for order in orders]


def test_a_larger_ballot_is_a_list_of_five_labels() -> None:
    asked = ballot_form(tuple("BCDFGH")).model_json_schema()["properties"]["top"]
    assert (asked["type"], asked["minItems"], asked["maxItems"]) == ("array", 5, 5)
    assert asked["items"]["enum"] == list("BCDFGH")


def test_a_small_ballot_may_come_as_a_list_or_without_spaces() -> None:
    form = ballot_form(("BD", "FG", "KL"))
    for top in ("KL > BD > FG", "KL>BD>FG", ["KL", "BD", "FG"]):
        assert _ballot(form, top) == ["KL", "BD", "FG"]


@pytest.mark.parametrize("top", ["KL > BD", "KL > BD > XX", "KL > BD > FG > KL", "", 3, ["KL"], {"KL": 1}, None])
def test_any_other_ballot_is_refused(top: object) -> None:
    with pytest.raises(ValidationError):
        _ballot(ballot_form(("BD", "FG", "KL")), top)


@pytest.mark.parametrize("spelling", ["fast-slow-fast", "Fast Slow Fast", "FAST_SLOW_FAST", "fast-slow  fast"])
def test_categories_are_read_however_they_are_spelled(spelling: str) -> None:
    answer = {
        "hook": "Stop.",
        "hook_type": "Direct-Address",
        "pacing": spelling,
        "emotional_arc": "curiosity gap",
        "triggers": ["Social Proof"],
        "structure": ["one", "two"],
        "pattern_interrupts": 1,
        "loops": [],
        "engagement_driver": "It is short.",
        "engagement_quote": "Stop.",
    }
    read = VideoAnalysis.model_validate(answer)
    assert (read.pacing, read.hook_type, read.triggers) == ("fast_slow_fast", "direct_address", ["social_proof"])
