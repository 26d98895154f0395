"""S3: slots that add up, differ, and stay put."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flair_ray.data import sample_profiles
from flair_ray.domain.answers import ScriptDraft
from flair_ray.domain.patterns import (
    EMOTION_OF,
    Emotion,
    EmotionalArc,
    HookType,
    Pacing,
    PatternEntry,
    PatternLibrary,
    Trigger,
)
from flair_ray.stages.s3_generate import ANGLES, ENTRIES_SHOWN, Generate, work

PROFILE = sample_profiles()[0].profile


def library(*weights: float) -> PatternLibrary:
    entries = tuple(
        PatternEntry(
            f"P{n:02d}", list(HookType)[n % 4], list(Pacing)[n // 4 % 4], list(EmotionalArc)[n // 16 % 4],
            n, 1.25 if n % 2 else None, w, (Trigger.SOCIAL_PROOF,), (("opens", "</beats> ends"),), (),
        )
        for n, w in enumerate(weights)
    )  # fmt: skip
    return PatternLibrary(entries, sum(range(len(weights))), None, None)


weights = st.lists(st.floats(0.001, 1), min_size=1, max_size=64)


@given(weights, st.integers(1, 200), st.integers())
def test_there_is_one_slot_per_script_that_was_asked_for(weights: list[float], count: int, seed: int) -> None:
    items = work(library(*weights), PROFILE, count, seed).items
    assert len(items) == len({item_id for item_id, _ in items}) == count
    shares = Counter(slot.pattern.pattern_id for _, slot in items)
    for n, weight in enumerate(weights):
        assert abs(shares[f"P{n:02d}"] - count * weight / sum(weights)) < 1 + 1e-6


levers = st.lists(st.sampled_from(Trigger), max_size=4, unique=True)


@given(st.lists(st.tuples(st.floats(0.001, 1), levers), min_size=1, max_size=12), st.integers(1, 60))
def test_emotions_add_up_and_each_is_within_one_of_its_share(
    entries: list[tuple[float, list[Trigger]]], n: int
) -> None:
    made = library(*(weight for weight, _ in entries))
    pairs = zip(made.entries, entries, strict=True)
    made = replace(made, entries=tuple(replace(e, triggers=tuple(t)) for e, (_, t) in pairs))
    found = Counter(slot.emotion for _, slot in work(made, PROFILE, n, seed=7).items)
    mass = Counter[Emotion]()
    for entry in made.entries:
        for place, trigger in enumerate(entry.triggers, start=1):
            mass[EMOTION_OF[trigger]] += entry.weight / place  # type: ignore[assignment]
    mass = mass or Counter(Emotion)
    assert found.total() == n
    for emotion in Emotion:
        assert abs(found[emotion] - n * mass[emotion] / mass.total()) < 1 + 1e-6


@given(st.integers(1, 30), st.integers())
def test_every_pair_of_theme_and_angle_comes_before_one_comes_twice(themes: int, seed: int) -> None:
    profile = replace(PROFILE, content_themes=tuple(f"theme {n}" for n in range(themes)))
    every = themes * len(ANGLES)
    slots = [slot for _, slot in work(library(1), profile, every + 5, seed).items]
    assert len({(slot.theme, slot.angle) for slot in slots[:every]}) == every


@pytest.mark.parametrize(
    ("themes", "niche", "expected"),
    [(("a", "b"), "n", ["a", "b", "a"]), ((), "n", ["n"] * 3), ((), "", ["what you know best"] * 3)],
)
def test_without_themes_the_niche_has_to_do(themes: tuple[str, ...], niche: str, expected: list[str]) -> None:
    profile = replace(PROFILE, content_themes=themes, niche=niche)
    assert [slot.theme for _, slot in work(library(1), profile, 3, seed=7).items] == expected


def test_the_tail_of_a_long_library_is_not_shown() -> None:
    todo = work(library(*([1.0] * 40)), PROFILE, 3, seed=7)
    shared = Generate().request(todo.shared, todo.items[0][1]).shared
    assert shared.count(" hook, ") == ENTRIES_SHOWN
    assert "engagement 1.25 × the median" in shared


def test_all_slots_share_their_beginning() -> None:
    todo = work(library(0.6, 0.4), PROFILE, 8, seed=7)
    asked = [Generate().request(todo.shared, slot) for _, slot in todo.items]
    assert len({(a.system, a.shared) for a in asked}) == 1
    assert len({a.varying for a in asked}) == 8
    assert "social proof" in asked[0].varying


def test_beats_that_come_from_a_video_stay_fenced() -> None:
    todo = work(library(1), PROFILE, 1, seed=7)
    assert Generate().request(todo.shared, todo.items[0][1]).varying.count("</beats>") == 1


def test_what_viewers_of_a_run_are_told() -> None:
    todo = work(library(1), PROFILE, 1, seed=7)
    slot = todo.items[0][1]
    draft = ScriptDraft(hook="H?", body="B.", payoff="P.", estimated_duration=20.04, structural_notes="n")
    script = Generate().parse(todo.shared, slot, draft)
    assert script.estimated_duration == 20.0
    assert (script.theme, script.angle, script.emotion) == (slot.theme, slot.angle, slot.emotion)
    told = Generate().started(slot).data
    assert (told["theme"], told["angle"], told["emotion"]) == (slot.theme, slot.angle, slot.emotion)
    assert Generate().progress(slot, script).data == {"script_id": "S01", "hook": "H?"}
    assert Generate().skipped(slot, "why").data == {"stage": "S3_SEQUENTIAL", "item_id": "S01", "reason": "why"}
