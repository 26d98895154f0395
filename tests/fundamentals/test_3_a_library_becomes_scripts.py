"""S3: candidate scripts for one creator. First the slots are dealt, then one call fills each."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from flair_ray.data import sample_profiles
from flair_ray.domain.ids import ItemId, ScriptId
from flair_ray.domain.patterns import Emotion, EmotionalArc, HookType, Pacing, PatternEntry, PatternLibrary, Trigger
from flair_ray.domain.scripts import CandidateScript
from flair_ray.providers.offline import OfflineProvider
from flair_ray.stages.s3_generate import ANGLES, Generate, again, work

PROFILE = sample_profiles()[0].profile


def entry(number: int, hook: HookType, weight: float) -> PatternEntry:
    arc = EmotionalArc.CURIOSITY_GAP
    return PatternEntry(f"P0{number}", hook, Pacing.STEADY, arc, number, None, weight, (), (("opens", "ends"),), ())


LIBRARY = PatternLibrary(
    (entry(1, HookType.QUESTION, 0.5), entry(2, HookType.STORY, 0.3), entry(3, HookType.SHOCK, 0.2)), 10, None, None
)


def test_slots_are_dealt_by_weight_and_always_add_up() -> None:
    slots = [slot for _, slot in work(LIBRARY, PROFILE, 7, seed=1).items]
    assert Counter(slot.pattern.pattern_id for slot in slots) == {"P01": 4, "P02": 2, "P03": 1}


def test_a_scripts_id_is_its_slots() -> None:
    assert [item_id for item_id, _ in work(LIBRARY, PROFILE, 3, seed=1).items] == ["S01", "S02", "S03"]


def test_no_theme_meets_an_angle_twice_while_there_are_others() -> None:
    every = len(PROFILE.content_themes) * len(ANGLES)
    pairs = [(slot.theme, slot.angle) for _, slot in work(LIBRARY, PROFILE, every, seed=1).items]
    assert len(set(pairs)) == every


def test_emotions_are_those_that_the_videos_work_on() -> None:
    """Three quarters of the library make people curious and one quarter makes them laugh: six scripts and two."""
    curious, funny, _ = LIBRARY.entries
    curious = replace(curious, triggers=(Trigger.CURIOSITY,), weight=0.75)
    library = replace(LIBRARY, entries=(curious, replace(funny, triggers=(Trigger.HUMOR,), weight=0.25)))
    slots = [slot for _, slot in work(library, PROFILE, 8, seed=1).items]
    assert Counter((slot.pattern.pattern_id, slot.emotion) for slot in slots) == {
        ("P01", Emotion.CURIOSITY): 6,
        ("P02", Emotion.AMUSEMENT): 2,
    }


def test_a_theme_that_is_to_be_avoided_is_none() -> None:
    profile = replace(PROFILE, content_themes=("diets for busy people", "one pan"), topics_to_avoid=("diet",))
    assert {slot.theme for _, slot in work(LIBRARY, profile, 4, seed=1).items} == {"one pan"}


def test_what_failed_or_came_too_close_is_asked_for_again_from_another_angle() -> None:
    todo = work(LIBRARY, PROFILE, 8, seed=1)
    slots = dict(todo.items)
    draft = CandidateScript(ScriptId("S02"), "p", "A hook that exists already.", "B.", "P.", 20.0, "n")
    more = again(todo.items, {ItemId("S02"): draft}, [ItemId("S02"), ItemId("S05"), ItemId("S07")])
    assert [item_id for item_id, _ in more] == ["S09", "S10"]  # a quarter of eight
    for (_, slot), replaced in zip(more, ("S02", "S05"), strict=True):
        before = slots[ItemId(replaced)]
        assert (slot.pattern, slot.theme, slot.emotion) == (before.pattern, before.theme, before.emotion)
        assert slot.angle != before.angle
    asked = [Generate().request(todo.shared, slot).varying for _, slot in more]
    assert "A hook that exists already." in asked[0]
    assert "<draft>" not in asked[1]


def test_another_seed_deals_other_angles() -> None:
    angles = {tuple(slot.angle for _, slot in work(LIBRARY, PROFILE, 5, seed).items) for seed in range(5)}
    assert len(angles) > 1


def test_the_question_says_for_whom_and_what_to_keep_away_from() -> None:
    todo = work(LIBRARY, PROFILE, 3, seed=1)
    asked = Generate().request(todo.shared, todo.items[0][1])
    assert PROFILE.tone in asked.shared
    assert PROFILE.topics_to_avoid[0] in asked.shared
    assert "question hook" in asked.varying


async def test_a_slot_filled_is_a_candidate() -> None:
    todo = work(LIBRARY, PROFILE, 3, seed=1)
    item_id, slot = todo.items[2]
    request = Generate().request(todo.shared, slot)
    completion = await OfflineProvider().complete(request, timeout_s=5)
    script = Generate().parse(todo.shared, slot, request.answer.model_validate_json(completion.text))
    assert ItemId(script.script_id) == item_id
    assert script.pattern_used == slot.pattern.label
    assert 15 <= script.estimated_duration <= 45
    assert script.text == f"{script.hook}\n\n{script.body}\n\n{script.payoff}"
