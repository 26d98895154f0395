from __future__ import annotations

import re
from collections.abc import Callable
from difflib import SequenceMatcher
from itertools import combinations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flair_ray.domain.answers import ScriptDraft
from flair_ray.domain.ids import ScriptId
from flair_ray.domain.patterns import EmotionalArc, HookType, Pacing, PatternEntry
from flair_ray.domain.people import CreatorProfile
from flair_ray.domain.scripts import CandidateScript, ScriptSlot
from flair_ray.domain.work import WritingBrief
from flair_ray.providers.offline.fields import fields
from flair_ray.providers.offline.text import table
from flair_ray.providers.offline.theme import agreement, audience, subject
from flair_ray.providers.offline.write import write_script

Slots = Callable[[int, tuple[str, ...]], list[ScriptSlot]]
Brief = Callable[[CreatorProfile, int], WritingBrief]


def text_of(draft: ScriptDraft) -> str:
    return f"{draft.hook} {draft.body} {draft.payoff}"


def test_every_mechanic_gives_a_script_of_a_speakable_length(
    profile: CreatorProfile, nobody: CreatorProfile, entry: Callable[..., PatternEntry], brief: Brief
) -> None:
    for who, (hook, pacing, arc), turn in product(
        (profile, nobody), product(HookType, Pacing, EmotionalArc), (1, 6, 11, 16)
    ):
        theme = (*who.content_themes, "what you know best")[0]
        slot = ScriptSlot(ScriptId(f"S{turn:02d}"), entry(hook, pacing, arc), theme, "a mistake nearly everyone makes")
        draft = write_script(brief(who, 1), slot, 0)
        words = len(text_of(draft).split())
        assert 45 <= words <= 112, (slot, words)
        assert draft.estimated_duration == pytest.approx(min(45, max(15, words / 2.6)), abs=0.1)
        assert not re.search(r"[{}\[\]<>|*_]", text_of(draft))
        assert "Pattern interrupt about" in draft.structural_notes


def test_twenty_scripts_of_a_run_are_not_one_template(profile: CreatorProfile, slots: Slots, brief: Brief) -> None:
    drafts = [write_script(brief(profile, 1), s, 0) for s in slots(20, profile.content_themes)]
    assert len({d.hook for d in drafts}) == 20
    assert len({d.body for d in drafts}) == 20
    alike = [SequenceMatcher(None, text_of(a), text_of(b), autojunk=False).ratio() for a, b in combinations(drafts, 2)]
    assert max(alike) < 0.7
    assert sum(alike) / len(alike) < 0.35


def test_the_creators_ground_shows(profile: CreatorProfile, slots: Slots, brief: Brief) -> None:
    texts = [text_of(write_script(brief(profile, 1), s, 0)) for s in slots(20, profile.content_themes)]
    cooking = [tip.fix for tip in fields()["cooking"].tips]
    assert sum(any(fix in text.lower() for fix in cooking) for text in texts) >= 16
    themed = ("budget meal prep", "one-pan dinners", "pantry recipes")
    assert sum(any(theme in text.lower() for theme in themed) for text in texts) >= 6
    assert any("Busy parents" in text for text in texts)


def test_topics_to_avoid_and_recent_ones_stay_out(profile: CreatorProfile, slots: Slots, brief: Brief) -> None:
    for seed in range(4):
        for slot in slots(24, profile.content_themes):
            text = text_of(write_script(brief(profile, seed), slot, 0)).lower()
            assert not re.search(r"\b(diets?|calories?|lemons?)\b", text)


def test_no_number_is_stated_as_a_fact(scripts: tuple[CandidateScript, ...]) -> None:
    assert not any(re.search(r"\d|percent|studies|research shows", s.text) for s in scripts)


def test_seed_and_slot_decide_and_nothing_else(profile: CreatorProfile, slots: Slots, brief: Brief) -> None:
    slot = slots(3, profile.content_themes)[2]
    assert write_script(brief(profile, 1), slot, 0) == write_script(brief(profile, 1), slot, 0)
    assert write_script(brief(profile, 1), slot, 0) != write_script(brief(profile, 2), slot, 0)
    assert write_script(brief(profile, 1), slot, 0) != write_script(brief(profile, 1), slot, 9)


@pytest.mark.parametrize("field", sorted(fields()))
def test_every_tip_fits_every_sentence(field: str) -> None:
    for tip in fields()[field].tips:
        slip, fix, why, win = tip.said(False, "the theme")
        assert slip.split()[0].endswith("ing"), slip
        assert not any(part.endswith((".", "!", " ")) or part[0].isspace() for part in (slip, fix, why, win))
        assert "{" not in tip.text + "".join(tip.said(True))
        assert not re.search(r"\b(your|you)\b", slip), slip


@pytest.mark.parametrize("kind", ["hooks", "bodies", "payoffs"])
def test_there_are_plans_enough(kind: str) -> None:
    for plans in table("plans")[kind].values():
        assert len(plans) == len(set(plans)) >= 8
        assert all(plan.count("*") == (2 if kind == "bodies" else 0) for plan in plans)


@pytest.mark.parametrize(
    ("theme", "expected"),
    [
        ("Budget meal prep", "budget meal prep"),
        ("Honest skincare reviews (weekly)", "skincare reviews"),
        ("#kitchen hacks", "kitchen"),
        ("How to save money", "figuring out how to save money"),
        ("Python tips", "Python"),
        ("tools I wish I had met sooner", "tools"),
        ("sleep, stress and more", "sleep"),
        ("  ", "learning something new"),
    ],
)
def test_a_theme_becomes_a_noun_phrase(theme: str, expected: str) -> None:
    assert subject(theme, CreatorProfile("", (), (), (), niche="x", content_themes=(theme,))) == expected


@pytest.mark.parametrize(
    ("theme", "verb"),
    [
        ("one-pan dinners", "do"),
        ("budget meal prep", "does"),
        ("plants for dark flats", "do"),
        ("talking about money with family", "does"),
        ("cheap cuts and tins", "do"),
        ("skincare basics", "do"),
        ("fitness", "does"),
        ("customers worth keeping", "do"),
    ],
)
def test_verbs_agree_with_the_theme(theme: str, verb: str) -> None:
    assert agreement(theme)["does"] == verb


@pytest.mark.parametrize(
    ("described", "called"),
    [
        ("Busy parents who cook after seven", "busy parents"),
        ("Career changers of 28 to 50 and anxious juniors", "career changers"),
        ("People of 22 to 45 who get home hungry", ""),
        ("anyone, really", ""),
        ("", ""),
    ],
)
def test_the_audience_is_called_by_name_when_it_has_one(described: str, called: str) -> None:
    assert audience(CreatorProfile("", (), (), (), audience_description=described)) == called


@settings(max_examples=60)
@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60), st.sampled_from(list(Pacing)))
def test_any_profile_gives_a_valid_script(
    entry: Callable[..., PatternEntry], brief: Brief, theme: str, other: str, name: str, pacing: Pacing
) -> None:
    who = CreatorProfile(other, (other,), (theme,), (name,), name, other, (theme,), (other,), (name,))
    slot = ScriptSlot(ScriptId(name), entry(HookType.SHOCK, pacing, EmotionalArc.SURPRISE_REVEAL), theme, other)
    draft = write_script(brief(who, 1), slot, 0)
    assert ScriptDraft.model_validate_json(draft.model_dump_json()) == draft
