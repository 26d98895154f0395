"""S2 over any collection: complete, deterministic, and modest about small numbers."""

from __future__ import annotations

import math
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from flair_ray.domain.codec import decode, encode
from flair_ray.domain.ids import VideoId
from flair_ray.domain.patterns import EmotionalArc, HookType, Pacing, Pattern, PatternLibrary, Trigger
from flair_ray.domain.videos import Engagement, Video
from flair_ray.stages.s2_aggregate import COMMON_TRIGGERS, EXEMPLARS, aggregate

LONE = Pattern(
    VideoId("v"), HookType.SHOCK, Pacing.STEADY, EmotionalArc.CURIOSITY_GAP, (), "hook", ("opens", "ends"), 0, "why"
)
count = st.none() | st.integers(0, 10**9)


@st.composite
def collections(draw: st.DrawFn) -> tuple[list[Pattern], list[Video]]:
    size = draw(st.integers(1, 25))
    patterns, videos = [], []
    for n in range(size):
        video_id = VideoId(f"v{n}")
        patterns.append(
            Pattern(
                video_id,
                draw(st.sampled_from(HookType)),
                draw(st.sampled_from(Pacing)),
                draw(st.sampled_from(EmotionalArc)),
                tuple(draw(st.lists(st.sampled_from(Trigger), max_size=5, unique=True))),
                f"hook {n}",
                ("opens", f"ends {n}"),
                draw(st.integers(0, 30)),
                "why",
                draw(st.none() | st.floats(0.01, 9)),
            )
        )
        engagement = Engagement(draw(count), draw(count), draw(count), draw(count), draw(count))
        videos.append(Video(video_id, "words", engagement=engagement))
    return patterns, videos


@given(collections(), st.randoms(use_true_random=False))
def test_any_order_gives_the_same_library(collection: tuple[list[Pattern], list[Video]], rng: object) -> None:
    patterns, videos = collection
    shuffled = sorted(patterns, key=lambda _: rng.random()), sorted(videos, key=lambda _: rng.random())  # type: ignore[attr-defined]
    assert aggregate(*shuffled) == aggregate(patterns, videos)


@given(collections())
def test_every_pattern_is_in_one_entry(collection: tuple[list[Pattern], list[Video]]) -> None:
    patterns, videos = collection
    library = aggregate(patterns, videos)
    groups = Counter((p.hook_type, p.pacing, p.emotional_arc) for p in patterns)
    assert {(e.hook_type, e.pacing, e.emotional_arc): e.support for e in library.entries} == groups
    assert library.videos == len(patterns)
    assert [e.pattern_id for e in library.entries] == [f"P{n:02d}" for n in range(1, len(groups) + 1)]


@given(collections())
def test_weights_are_shares(collection: tuple[list[Pattern], list[Video]]) -> None:
    weights = [e.weight for e in aggregate(*collection).entries]
    assert all(w >= 0 and math.isfinite(w) for w in weights)
    assert math.isclose(sum(weights), 1.0)
    assert weights == sorted(weights, reverse=True)


@given(collections())
def test_an_entry_is_bounded_and_drawn_from_its_own_videos(collection: tuple[list[Pattern], list[Video]]) -> None:
    patterns, videos = collection
    for entry in aggregate(patterns, videos).entries:
        own = [p for p in patterns if (p.hook_type, p.pacing, p.emotional_arc) == (entry.hook_type, entry.pacing, entry.emotional_arc)]  # fmt: skip  # noqa: E501
        assert len(entry.exemplars) == len(entry.structures) == min(EXEMPLARS, len(own))
        assert {e.video_id for e in entry.exemplars} <= {p.video_id for p in own}
        assert len(entry.triggers) <= COMMON_TRIGGERS
        assert set(entry.triggers) <= {t for p in own for t in p.triggers}


@given(collections())
def test_a_library_comes_back_from_json(collection: tuple[list[Pattern], list[Video]]) -> None:
    library = aggregate(*collection)
    assert decode(PatternLibrary, encode(library)) == library


def test_a_video_without_views_has_no_rate() -> None:
    """Zero views are no measurement, and no division."""
    for engagement in (Engagement(0, 5), Engagement(None, 5), Engagement(100)):
        assert engagement.rate() is None
        assert aggregate([LONE], [Video(VideoId("v"), "w", engagement=engagement)]).entries[0].lift is None


def test_a_collection_that_nobody_liked_is_no_division_by_zero() -> None:
    library = aggregate([LONE], [Video(VideoId("v"), "w", engagement=Engagement(100, 0))])
    assert (library.median_engagement, library.entries[0].lift, library.entries[0].weight) == (0.0, None, 1.0)
