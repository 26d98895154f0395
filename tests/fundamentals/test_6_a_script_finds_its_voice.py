"""S6: the best scripts in the creator's own words, and how to film them."""

from __future__ import annotations

import pytest

from flair_ray.data import sample_profiles
from flair_ray.domain.answers import ShotDraft
from flair_ray.domain.ids import ScriptId
from flair_ray.domain.ranking import RankedScript
from flair_ray.domain.scripts import CandidateScript
from flair_ray.domain.work import Placed, VoiceBrief
from flair_ray.providers.offline import OfflineProvider
from flair_ray.stages.s6_personalize import Personalize, original, timed_shots, work

PROFILE = sample_profiles()[0].profile
SCRIPTS = tuple(
    CandidateScript(
        ScriptId(f"S0{n}"),
        "question hook, steady, curiosity gap",
        "What do you do with one egg?",
        "Heat the pan. Crack it in. Do not touch it. Wait until the edge is brown.",
        "Now it is dinner.",
        20.0,
        "The wait is the interrupt.",
    )
    for n in (1, 2, 3)
)
TOP = (RankedScript(ScriptId("S03"), 1, 12.0, 2, 3, 2), RankedScript(ScriptId("S01"), 2, 9.0, 1, 3, 1))


def test_only_the_best_are_worked_on_the_winner_first() -> None:
    assert [item_id for item_id, _ in work(TOP, SCRIPTS, PROFILE, seed=7).items] == ["S03", "S01"]


async def test_a_final_script_keeps_what_it_was_and_where_it_stood() -> None:
    todo = work(TOP, SCRIPTS, PROFILE, seed=7)
    _, placed = todo.items[0]
    request = Personalize().request(todo.shared, placed)
    completion = await OfflineProvider().complete(request, timeout_s=5)
    final = Personalize().parse(todo.shared, placed, request.answer.model_validate_json(completion.text))
    assert final.original_script == SCRIPTS[2]
    assert (final.rank, final.vote_score) == (1, 12.0)
    assert final.video_prompt
    assert final.personalized


def test_shots_fill_the_script_exactly() -> None:
    """A model's seconds add up to anything; 6 + 3 + 3 here, for a script of 20 s."""
    drafts = [ShotDraft(seconds=s, visual="a pan", on_screen_text="") for s in (6, 3, 3)]
    shots = timed_shots(drafts, 20.0)
    assert [(s.start_s, s.end_s) for s in shots] == [(0.0, 10.0), (10.0, 15.0), (15.0, 20.0)]


@pytest.mark.parametrize("reason", ["the provider gave up"])
def test_a_script_that_was_voted_for_is_never_lost(reason: str) -> None:
    final = original(VoiceBrief(PROFILE, 7), Placed(SCRIPTS[0], rank=2, score=9.0), reason)
    assert final.personalized_script == SCRIPTS[0].text
    assert (final.personalized, final.notes) == (False, ("Not personalized: the provider gave up",))
