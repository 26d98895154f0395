"""S6: shots that fill a script whatever a model adds up to."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flair_ray.data import sample_profiles
from flair_ray.domain.answers import PersonalizedDraft, ShotDraft
from flair_ray.domain.codec import decode, encode
from flair_ray.domain.ids import ScriptId
from flair_ray.domain.scripts import CandidateScript, FinalScript
from flair_ray.domain.work import Placed, VoiceBrief
from flair_ray.stages.s6_personalize import Personalize, original, timed_shots

SCRIPT = CandidateScript(ScriptId("S01"), "p", "Hook?", "Body.", "Payoff.", 30.0, "n")
PLACED = Placed(SCRIPT, rank=3, score=7.0)
BRIEF = VoiceBrief(sample_profiles()[0].profile, seed=7)


@given(st.lists(st.floats(0, 45, exclude_min=True), min_size=2, max_size=12), st.floats(15, 45))
def test_shots_stand_end_to_end_from_nought_to_the_end(seconds: list[float], duration_s: float) -> None:
    shots = timed_shots([ShotDraft(seconds=s, visual="v", on_screen_text="") for s in seconds], duration_s)
    assert shots[0].start_s == 0.0
    assert shots[-1].end_s == pytest.approx(duration_s, abs=0.051)
    assert all(a.end_s == b.start_s for a, b in pairwise(shots))
    assert all(0 <= s.start_s <= s.end_s for s in shots)


def test_a_draft_becomes_a_final_script_that_comes_back_from_json() -> None:
    shots = [ShotDraft(seconds=s, visual="v", on_screen_text="t") for s in (5e-324, 1e-323, 4)]
    draft = PersonalizedDraft(hook="H?", body="B.", payoff="P.", shots=shots, look="A kitchen.", video_prompt="A pan.")
    final = Personalize().parse(BRIEF, PLACED, draft)
    assert (final.rank, final.vote_score, final.original_script) == (3, 7.0, SCRIPT)
    assert decode(FinalScript, encode(final)) == final


def test_the_question_names_the_length_and_the_place() -> None:
    asked = Personalize().request(BRIEF, PLACED)
    assert "about 30 seconds" in asked.varying
    assert "rank 3" in asked.varying
    assert asked.shared == Personalize().request(BRIEF, Placed(SCRIPT, 1, 9.0)).shared


def test_what_viewers_of_a_run_are_told() -> None:
    final = original(BRIEF, PLACED, "why")
    assert Personalize().started(PLACED).data == {"script_id": "S01", "rank": 3}
    assert Personalize().progress(PLACED, final).data == {"script_id": "S01"}
    assert Personalize().skipped(PLACED, "why").data["stage"] == "S6_PERSONALIZE"
