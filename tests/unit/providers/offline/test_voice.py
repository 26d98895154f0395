from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flair_ray.domain.answers import PersonalizedDraft
from flair_ray.domain.ids import ScriptId
from flair_ray.domain.people import CreatorProfile
from flair_ray.domain.scripts import CandidateScript
from flair_ray.domain.topics import topic_pattern
from flair_ray.domain.work import Placed, VoiceBrief
from flair_ray.providers.offline.text import clean
from flair_ray.providers.offline.voice import personalize


def rewritten(profile: CreatorProfile, script: CandidateScript, rank: int = 1, seed: int = 1) -> PersonalizedDraft:
    return personalize(VoiceBrief(profile, seed), Placed(script, rank, 10.0), 0)


def everything(draft: PersonalizedDraft) -> list[str]:
    shots = [text for shot in draft.shots for text in (shot.visual, shot.on_screen_text)]
    return [draft.hook, draft.body, draft.payoff, draft.look, draft.video_prompt, *shots]


def spoken(draft: PersonalizedDraft) -> str:
    return f"{draft.hook} {draft.body} {draft.payoff}"


def test_the_voice_is_the_creators(profile: CreatorProfile, scripts: tuple[CandidateScript, ...]) -> None:
    drafts = [rewritten(profile, s, rank) for rank, s in enumerate(scripts[:10], start=1)]
    for draft, script in zip(drafts, scripts, strict=False):
        phrases = sum(spoken(draft).count(p.rstrip(".?")) for p in profile.catchphrases)
        assert 1 <= phrases <= 2
        assert spoken(draft) != script.text.replace("\n\n", " ")
    used = {w for w in profile.vocabulary for d in drafts if w in spoken(d).lower() or w[4:] in spoken(d).lower()}
    assert len(used) >= 3
    assert sum("!" in spoken(d) for d in drafts) >= 8  # energetic


def test_tones_sound_different(profile: CreatorProfile, scripts: tuple[CandidateScript, ...]) -> None:
    tones = ("energetic", "calm and gentle", "dry, deadpan", "warm", "professional", "playful", "blunt", "")
    texts = {tone: spoken(rewritten(replace(profile, tone=tone), scripts[0], 2)) for tone in tones}
    assert len(set(texts.values())) == len(tones)
    assert "!" not in texts["calm and gentle"] + texts["dry, deadpan"]


def test_a_sentence_on_a_topic_to_avoid_is_dropped(profile: CreatorProfile) -> None:
    script = CandidateScript(
        ScriptId("S1"),
        "x",
        "Calories are a lie.",
        "I count CALORIES. I cook rice. My diets failed.",
        "Eat. No diet.",
        20.0,
        "n",
    )
    draft = rewritten(profile, script)
    assert "I cook rice" in draft.body
    assert not re.search(r"calorie|diet", " ".join(everything(draft)), re.IGNORECASE)
    assert draft.hook


def test_a_niche_that_is_itself_to_be_avoided_still_gives_a_prompt(scripts: tuple[CandidateScript, ...]) -> None:
    who = CreatorProfile("calm", ("video",), ("Vertical video.",), ("video", "light", "watch"), niche="video")
    draft = rewritten(who, scripts[0])
    assert not any(topic_pattern(who.topics_to_avoid).search(text) for text in everything(draft))
    assert draft.video_prompt


def test_shots_fill_the_script(profile: CreatorProfile, scripts: tuple[CandidateScript, ...]) -> None:
    for rank, script in enumerate(scripts, start=1):
        draft = rewritten(profile, script, rank)
        assert 4 <= len(draft.shots) <= 7
        assert sum(s.seconds for s in draft.shots) == pytest.approx(script.estimated_duration, abs=0.05)
        assert all(len(s.on_screen_text) <= 60 for s in draft.shots)
        assert len({s.visual for s in draft.shots}) >= 3


def test_the_video_prompt_says_what_a_model_needs(
    profile: CreatorProfile, scripts: tuple[CandidateScript, ...]
) -> None:
    prompt = rewritten(profile, scripts[0]).video_prompt
    assert "Vertical 9:16" in prompt
    assert "home cooking" in prompt
    assert all(word in prompt for word in ("Light:", "Subject:", "No logos"))


def test_the_same_rewrite_every_time(profile: CreatorProfile, scripts: tuple[CandidateScript, ...]) -> None:
    assert rewritten(profile, scripts[0]) == rewritten(profile, scripts[0])
    assert rewritten(profile, scripts[0]) != rewritten(profile, scripts[0], rank=3)


words = st.text(st.characters(codec="utf-8", categories=("L", "N", "Zs", "P")), max_size=30)


@settings(max_examples=80)
@given(st.text(max_size=200), words, words, st.lists(words, max_size=3), st.floats(15, 45), st.integers(1, 30))
def test_any_script_and_profile_give_a_valid_clean_draft(
    text: str, tone: str, word: str, avoid: list[str], duration: float, rank: int
) -> None:
    script = CandidateScript(ScriptId("S"), "x", text[:300], text, text[::-1], duration, "n")
    who = CreatorProfile(tone, (word, tone), (word,), tuple(avoid), word, "", (tone,))
    draft = rewritten(who, script, rank)
    assert PersonalizedDraft.model_validate_json(draft.model_dump_json()) == draft
    assert sum(s.seconds for s in draft.shots) == pytest.approx(duration, abs=0.11)
    unwanted = topic_pattern([t for t in avoid if len(clean(t)) > 1])
    assert not any(unwanted.search(out) for out in everything(draft))
