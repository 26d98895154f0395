"""What posts teach: by hand, by brute force, and what holds for any posts."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import combinations
from math import exp, log, sqrt
from statistics import fmean, median
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flair_ray.domain.ids import RunId, ScriptId
from flair_ray.domain.insights import (
    LEAST_POSTS,
    Outcome,
    agreement,
    ballot_agreement,
    comparable,
    insights,
    outcomes,
    wilson,
)
from flair_ray.domain.posts import Post
from tests.posting import PATTERNS, RUN, post, posts

counts = st.sampled_from([0, 1, 3, 10, 999, 10**12])
any_post = st.builds(
    lambda number, run, platform, rank, **numbers: post(
        number, run_id=RunId(run), platform=platform, rank=rank, **numbers
    ),
    st.integers(1, 8),
    run=st.sampled_from(["r1", "r2", "r3"]),
    platform=st.sampled_from(["tiktok", "youtube"]),
    rank=st.none() | st.integers(1, 8),
    post_url=st.sampled_from(["https://a", "https://b"]),
    views=counts,
    likes=counts,
    comments=counts,
    shares=counts,
    pattern_used=st.sampled_from([*PATTERNS, ""]),
)
some_posts = st.lists(any_post, max_size=40)


@given(some_posts, st.randoms(use_true_random=False))
def test_the_order_of_posts_plays_no_part(some: list[Post], rng: random.Random) -> None:
    assert insights(rng.sample(some, len(some))) == insights(some)


@given(some_posts)
def test_what_is_claimed_lies_in_its_interval(some: list[Post]) -> None:
    found = insights(some)
    assert found.total_videos_tracked == len(some)
    for row in (*found.top_patterns, *found.hook_types):
        assert row.interval[0] <= row.lift <= row.interval[1]
        assert row.n >= 1
    if found.prediction_accuracy is not None:
        assert found.interval is not None
        assert 0 <= found.interval[0] <= found.prediction_accuracy <= found.interval[1] <= 1
        assert found.interval[1] - found.interval[0] > 0.05  # it never closes: n scripts are few
    assert found.note.endswith(".")


@given(st.lists(any_post, max_size=LEAST_POSTS - 1), st.lists(any_post.map(lambda p: replace(p, views=0))))
def test_under_ten_posts_with_views_nothing_is_claimed(few: list[Post], unseen: list[Post]) -> None:
    found = insights([*few, *unseen])
    assert (found.top_patterns, found.hook_types) == ((), ())
    assert (found.prediction_accuracy, found.interval) == (None, None)
    assert "10 posts" in found.note


@given(some_posts)
def test_the_agreement_is_the_share_of_pairs_in_order(some: list[Post]) -> None:
    """Against pairs counted in the plainest way."""
    rates: dict[tuple[str, str, str], list[float]] = {}
    ranks: dict[tuple[str, str, str], list[int]] = {}
    for p in some:
        if p.views:
            key = p.run_id, p.platform, p.script_id
            rates.setdefault(key, []).append((p.likes + p.comments + p.shares) / p.views)
            ranks.setdefault(key, []).extend([p.rank] if p.rank else [])
    credits = []
    for a, b in combinations([key for key in rates if ranks[key]], 2):
        if a[:2] == b[:2]:
            by_panel = min(ranks[b]) - min(ranks[a])
            by_viewers = median(rates[a]) - median(rates[b])
            right = by_panel * by_viewers
            credits.append(0.5 if right == 0 else float(right > 0))
    share, pairs, _ = agreement(comparable(outcomes(some)))
    assert pairs == len(credits)
    assert share == (pytest.approx(fmean(credits)) if credits else None)


def test_a_panel_that_was_right_about_all_of_ten_is_not_called_certain() -> None:
    found = insights(posts(10))
    assert (found.prediction_accuracy, found.n, found.pairs) == (1.0, 10, 45)
    low, high = found.interval or (0, 0)
    assert high == 1
    assert low == pytest.approx(1 / (1 + 1.96**2 / 5))  # Wilson, five of five: ten scripts are five pairs


@pytest.mark.parametrize(("likes", "accuracy"), [(lambda n: n, 0.0), (lambda _: 50, 0.5), (lambda n: -n % 2, 0.5)])
def test_wrong_tied_and_alternating_outcomes(likes: Any, accuracy: float) -> None:
    found = insights([post(n, likes=likes(n) + 10) for n in range(1, 13)])
    assert found.prediction_accuracy == pytest.approx(accuracy, abs=0.06)


def test_runs_and_platforms_are_not_compared_with_one_another() -> None:
    """Six runs of two scripts, the panel right in each; everything of a later run did better than anything before."""
    some = [post(n, run_id=RunId(f"r{run}"), likes=100 * run + 10 - n) for run in range(6) for n in (1, 2)]
    found = insights(some)
    assert (found.prediction_accuracy, found.n, found.pairs) == (1.0, 12, 6)
    low, _ = found.interval or (0, 0)
    assert low == pytest.approx(wilson(1.0, 6)[0])  # here pairs share no script: each counts in full
    apart = insights([replace(p, platform=f"p{n}") for n, p in enumerate(some)])
    assert (apart.prediction_accuracy, apart.pairs) == (None, 0)
    assert "platform" in apart.note
    few = insights([*posts(9), *(post(1, run_id=RunId(f"r{n}")) for n in range(3))])
    assert (few.prediction_accuracy, few.interval) == (None, None)
    assert "there are 9." in few.note
    assert apart.top_patterns  # these are against what is usual on each platform


def test_several_posts_of_one_script_are_one() -> None:
    again = [post(1, post_url=f"https://example.org/again/{n}", likes=likes) for n, likes in enumerate((0, 290, 999))]
    once, thrice = insights(posts(10)), insights([*again, *posts(10)[1:]])
    assert (thrice.n, thrice.pairs, thrice.prediction_accuracy) == (once.n, once.pairs, once.prediction_accuracy)
    assert thrice.total_videos_tracked == 12
    twelve_of_one = insights([post(1, post_url=f"https://example.org/{n}") for n in range(12)])
    assert twelve_of_one.prediction_accuracy is None


def test_a_pattern_by_hand() -> None:
    """Two patterns of six, the one with four times the other's engagement; what is usual lies in the middle."""
    some = [post(n, pattern_used=PATTERNS[n % 2], likes=(400, 100)[n % 2], comments=0, shares=0) for n in range(1, 13)]
    best, worst = insights(some).top_patterns
    half = (log(400.5) - log(100.5)) / 2
    assert (best.pattern, best.n, best.engagement_rate) == (PATTERNS[0], 6, 0.4)
    assert best.lift == pytest.approx(exp(half * 6 / 9))
    assert worst.lift == pytest.approx(1 / best.lift)
    assert best.interval == pytest.approx((best.lift / exp(1.96 * half / 3), best.lift * exp(1.96 * half / 3)))
    assert [row.pattern for row in insights(some).hook_types] == ["question hook", "shock hook"]


def test_one_outlier_does_not_make_its_pattern_the_best() -> None:
    """A post with a trillion likes, among scripts of a pattern that does worse than the others."""
    steady = {PATTERNS[0]: 200, PATTERNS[1]: 100, PATTERNS[2]: 150}
    some = [post(n, likes=steady[PATTERNS[n % 3]] + n) for n in range(1, 31)]
    some[0] = replace(some[0], likes=10**12)
    assert some[0].pattern_used == PATTERNS[1]
    assert insights(some).top_patterns[0].pattern == PATTERNS[0]


def test_one_outlier_among_equals_is_believed_little() -> None:
    some = [post(n, likes=50, pattern_used=PATTERNS[0]) for n in range(1, 20)]
    outlier = post(20, likes=10**12, pattern_used=PATTERNS[1])
    assert 1 < insights([*some, outlier]).top_patterns[0].lift < 1.25


def test_the_interval_covers_the_truth() -> None:
    """400 panels that know something of how 12 scripts will do: the long-run share lies inside 19 times of 20."""
    rng = random.Random(5)  # noqa: S311

    def draw(count: int) -> list[list[Outcome]]:
        real = [rng.gauss(0, 1) for _ in range(count)]
        seen = sorted(range(count), key=lambda i: -(real[i] + rng.gauss(0, 1)))
        rank = {script: place for place, script in enumerate(seen, start=1)}
        facts = (RUN, "tiktok")
        return [[Outcome(*facts, ScriptId(str(i)), rank[i], "", 1, real[i], 0.0) for i in range(count)]]

    truth = 0.5 + 0.25  # the chance that two differences of correlation 1/√2 have one sign: 1/2 + asin(1/√2)/π
    assert agreement(draw(400))[0] == pytest.approx(truth, abs=0.06)
    covered = 0
    for _ in range(400):
        *_, interval = agreement(draw(12))
        assert interval is not None
        covered += interval[0] <= truth <= interval[1]
    assert covered >= 380


def test_what_one_voter_had_foreseen() -> None:
    seen = {o.script_id: o for o in outcomes(posts(6))}  # the lower the number, the better it did

    def of(top: list[str], script: str, *others: str) -> float | None:
        return ballot_agreement([ScriptId(i) for i in top], seen[ScriptId(script)], [seen[ScriptId(o)] for o in others])

    assert of(["S01", "S02"], "S01", "S02", "S03") == 1.0
    assert of(["S02", "S01"], "S01", "S02", "S03") == 0.5
    assert of(["S06"], "S06", "S01", "S02") == 0.0
    assert of(["S06"], "S01", "S02", "S03") is None  # it says nothing of these
    assert of(["S01"], "S01") is None
    assert of(["S01", "S02"], "S01", "S01") is None


@given(st.floats(0, 1), st.floats(0.5, 1e6))
def test_wilson_against_its_definition(share: float, trials: float) -> None:
    low, high = wilson(share, trials)
    assert 0 <= low <= share <= high <= 1
    for end in (low, high):
        if end not in (0.0, 1.0, share):
            assert abs(share - end) == pytest.approx(1.96 * sqrt(end * (1 - end) / trials), abs=1e-6)
