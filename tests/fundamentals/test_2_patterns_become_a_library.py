"""S2: what many videos have in common. A pure function: no model is asked."""

from __future__ import annotations

from itertools import permutations

import pytest

from flair_ray.domain.ids import VideoId
from flair_ray.domain.patterns import EmotionalArc, HookType, Pacing, Pattern, Trigger
from flair_ray.domain.videos import Engagement, Video
from flair_ray.stages.s2_aggregate import aggregate


def pattern(name: str, hook: HookType, *triggers: Trigger) -> Pattern:
    arc = EmotionalArc.CURIOSITY_GAP
    return Pattern(VideoId(name), hook, Pacing.STEADY, arc, triggers, f"hook of {name}", ("opens", "ends"), 1, "why")


def video(name: str, likes: int) -> Video:
    return Video(VideoId(name), "words", engagement=Engagement(views=1000, likes=likes))


PATTERNS = (
    pattern("a", HookType.QUESTION, Trigger.CURIOSITY, Trigger.HUMOR),
    pattern("b", HookType.QUESTION, Trigger.CURIOSITY),
    pattern("c", HookType.STORY, Trigger.IDENTITY),
)


def test_equal_mechanics_are_counted_together() -> None:
    library = aggregate(PATTERNS, [])
    assert [(e.hook_type, e.support) for e in library.entries] == [(HookType.QUESTION, 2), (HookType.STORY, 1)]
    assert library.videos == 3


def test_an_entry_remembers_videos_that_show_it_well() -> None:
    question = aggregate(PATTERNS, [video("a", 10), video("b", 90)]).entries[0]
    assert [e.video_id for e in question.exemplars] == ["b", "a"]
    assert question.triggers == (Trigger.CURIOSITY, Trigger.HUMOR)


def test_lift_compares_with_the_collections_median() -> None:
    """Rates are .10, .10 and .02, the median is .10: questions are at it, the story is below."""
    library = aggregate(PATTERNS, [video("a", 100), video("b", 100), video("c", 20)])
    lifts = {e.hook_type: e.lift for e in library.entries}
    assert lifts[HookType.QUESTION] == 1.0
    assert lifts[HookType.STORY] == pytest.approx(1 + 1 / 4 * (0.2 - 1))


def test_one_lucky_video_proves_little() -> None:
    """Ten times the median, seen once, is believed by a quarter: 1 / (1 + 3)."""
    library = aggregate(PATTERNS, [video("a", 10), video("b", 10), video("c", 100)])
    story = next(e for e in library.entries if e.hook_type is HookType.STORY)
    assert story.lift == pytest.approx(1 + 1 / 4 * (10 - 1))


def test_without_numbers_there_is_no_lift() -> None:
    library = aggregate(PATTERNS, [Video(VideoId("a"), "words")])
    assert library.median_engagement is None
    assert all(e.lift is None for e in library.entries)


def test_the_weights_share_out_the_attention() -> None:
    library = aggregate(PATTERNS, [video("a", 10), video("b", 70), video("c", 30)])
    assert sum(e.weight for e in library.entries) == pytest.approx(1)
    assert [e.weight for e in library.entries] == sorted((e.weight for e in library.entries), reverse=True)


def test_the_order_in_which_patterns_come_plays_no_part() -> None:
    """Shards end in any order."""
    videos = [video("a", 10), video("b", 70), video("c", 30)]
    assert len({repr(aggregate(order, videos)) for order in permutations(PATTERNS)}) == 1
