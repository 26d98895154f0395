"""S2: what many videos have in common. A pure function: no model is asked."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest

from flair_ray.domain.ids import VideoId
from flair_ray.domain.patterns import EmotionalArc, HookType, Loop, Pacing, Pattern, Quote, Trigger
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


def test_what_is_known_per_follower_is_compared_apart() -> None:
    """A reach of .5, .5 and 4 interactions per follower says something where nobody counted views."""
    counted = [
        Video(VideoId(name), "words", engagement=Engagement(likes=likes, followers=20))
        for name, likes in (("a", 10), ("b", 10), ("c", 80))
    ]
    library = aggregate(PATTERNS, counted)
    story = library.entries[0]
    assert (library.median_engagement, library.median_per_follower) == (None, 0.5)
    assert (story.hook_type, story.lift, story.rated) == (HookType.STORY, None, 0)
    assert story.lift_per_follower == pytest.approx(1 + 1 / 4 * (8 - 1))


def test_mechanics_that_meet_more_often_than_chance_are_named() -> None:
    """Four of eight are questions, four pull curiosity, and they are the same four: twice what chance gives, shrunk."""
    same = [pattern(f"q{n}", HookType.QUESTION, Trigger.CURIOSITY) for n in range(4)]
    others = [pattern(f"s{n}", HookType.STORY, Trigger.HUMOR) for n in range(4)]
    together = aggregate(same + others, []).together
    assert [(t.first, t.second, t.support) for t in together] == [
        ("question hook", "curiosity", 4),
        ("story hook", "humor", 4),
    ]
    assert together[0].times_chance == pytest.approx((4 + 3) / (2 + 3))


def test_evidence_goes_along_and_what_was_made_up_is_counted() -> None:
    loop = Loop(Quote("But why?", 0.1), Quote("That is why.", 0.8))
    shown = replace(PATTERNS[2], engagement_quote=Quote("mine", 0.5), loops=(loop, Loop(Quote("And?", 0.3), None)))
    library = aggregate([*PATTERNS[:2], replace(shown, quotes=5, quotes_dropped=2)], [])
    story = library.entries[1]
    assert (story.exemplars[0].quote, story.loop_opens, story.loop_closes) == ("mine", 0.2, 0.8)
    assert (library.quotes, library.quotes_dropped) == (5, 2)


def test_the_weights_share_out_the_attention() -> None:
    library = aggregate(PATTERNS, [video("a", 10), video("b", 70), video("c", 30)])
    assert sum(e.weight for e in library.entries) == pytest.approx(1)
    assert [e.weight for e in library.entries] == sorted((e.weight for e in library.entries), reverse=True)


def test_the_order_in_which_patterns_come_plays_no_part() -> None:
    """Shards end in any order."""
    videos = [video("a", 10), video("b", 70), video("c", 30)]
    assert len({repr(aggregate(order, videos)) for order in permutations(PATTERNS)}) == 1
