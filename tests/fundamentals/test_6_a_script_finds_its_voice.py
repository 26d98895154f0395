"""S6: the best scripts in the creator's own words, and how to film them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from flair_ray.api import make_order
from flair_ray.config import Settings
from flair_ray.data import sample_profiles
from flair_ray.domain.answers import PersonalizedDraft, ShotDraft
from flair_ray.domain.ids import ScriptId
from flair_ray.domain.people import VOICE_CHARS, VOICES, CreatorProfile
from flair_ray.domain.ranking import RankedScript
from flair_ray.domain.scripts import CandidateScript, FinalScript
from flair_ray.domain.work import Placed, VoiceBrief
from flair_ray.errors import Flawed
from flair_ray.options import RunOptions
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


DRAFT = PersonalizedDraft(
    hook="One egg. Now what?",
    body="Heat the pan, crack it in, hands off.",
    payoff="And it's dinner.",
    shots=[ShotDraft(seconds=s, visual=f"The pan, minute {s}", on_screen_text="") for s in (1, 2)],
    look="A small kitchen in morning light.",
    video_prompt="Vertical 9:16, an egg becomes dinner.",
)


def parsed(profile: CreatorProfile, **said: object) -> FinalScript:
    brief, placed = VoiceBrief(profile, 7), Placed(SCRIPTS[0], rank=1, score=9.0)
    final: FinalScript = Personalize().parse(brief, placed, DRAFT.model_copy(update=said))
    return final


def test_there_is_a_prompt_for_the_whole_video_and_one_for_each_shot() -> None:
    """Clips that are made one by one fit together, for the look is the same in each, word for word."""
    final = parsed(PROFILE)
    assert final.video_prompt == DRAFT.video_prompt
    assert [shot.video_prompt for shot in final.shots] == [
        "Vertical 9:16, about 7 s. A small kitchen in morning light. The pan, minute 1. No text in the picture.",
        "Vertical 9:16, about 13 s. A small kitchen in morning light. The pan, minute 2. No text in the picture.",
    ]


@pytest.mark.parametrize(
    "said",
    [
        {"body": "Heat the pan. DIETS are over."},
        {"video_prompt": "A diet book burns."},
        {"look": "A diet poster on the wall."},
        {"shots": [DRAFT.shots[0], DRAFT.shots[1].model_copy(update={"on_screen_text": "No diet!"})]},
    ],
    ids=lambda said: next(iter(said)),
)
def test_a_topic_to_avoid_is_looked_for_in_everything_that_comes_back(said: dict[str, object]) -> None:
    profile = replace(PROFILE, topics_to_avoid=("diets",))
    with pytest.raises(Flawed) as caught:
        parsed(profile, **said)
    output = caught.value.output
    assert isinstance(output, FinalScript)
    assert output.notes[0].lower() in ("mentions a topic to avoid: diets.", "mentions a topic to avoid: diet.")
    assert "diet" not in str(caught.value)  # the model is not told words from outside in our voice


def test_two_catchphrases_are_enough() -> None:
    profile = replace(PROFILE, catchphrases=("There it is.", "Trust the pan!"))
    assert parsed(profile, hook="There it is!", payoff="Trust the pan. Dinner.").notes == ()
    with pytest.raises(Flawed) as caught:
        parsed(profile, hook="There it is!", body="Trust the pan, trust the pan.")
    assert caught.value.output.notes == ("Says 3 catchphrases; two are enough.",)  # type: ignore[attr-defined]


def test_the_creators_own_words_show_how_they_sound() -> None:
    said = ("Right. So I burnt it. </said> Again!", *(f"Transcript {n}. " + "word " * 400 for n in range(9)))
    placed = Placed(SCRIPTS[0], rank=1, score=9.0)
    shared = Personalize().request(VoiceBrief(replace(PROFILE, own_transcripts=said), 7), placed).shared
    assert "So I burnt it. ‹/said›" in shared
    assert shared.count("<said>") == shared.count("</said>") == VOICES
    assert len(shared) < VOICES * VOICE_CHARS + 3000
    assert "<said>" not in Personalize().request(VoiceBrief(PROFILE, 7), placed).shared


def test_an_original_that_stands_in_is_flagged_too() -> None:
    profile = replace(PROFILE, topics_to_avoid=("egg",))
    final = original(VoiceBrief(profile, 7), Placed(SCRIPTS[0], rank=2, score=9.0), "why")
    assert final.notes == ("Not personalized: why", "Mentions a topic to avoid: egg.")


@pytest.mark.parametrize("reason", ["the provider gave up"])
def test_a_script_that_was_voted_for_is_never_lost(reason: str) -> None:
    final = original(VoiceBrief(PROFILE, 7), Placed(SCRIPTS[0], rank=2, score=9.0), reason)
    assert final.personalized_script == SCRIPTS[0].text
    assert (final.personalized, final.notes) == (False, ("Not personalized: the provider gave up",))


def test_videos_of_ones_own_are_read_like_any_others(settings: Settings, tmp_path: Path) -> None:
    for n in range(7):
        (tmp_path / f"{n}.txt").write_text(f"This is how I say number {n}. " * 200)
    options = RunOptions(provider="offline", profile=PROFILE, own_videos=tmp_path)
    _, order = make_order(options, settings)
    assert [text[:25] for text in order.profile.own_transcripts] == [
        f"This is how I say number {n}"[:25] for n in range(5)
    ]
    assert {len(text) for text in order.profile.own_transcripts} == {VOICE_CHARS}
    assert replace(order.profile, own_transcripts=()) == PROFILE
