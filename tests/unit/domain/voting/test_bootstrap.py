"""Intervals that hold what they promise, on elections whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.voting.planted import covered, planted
from flair_ray.domain.voting.bootstrap import above, drawn_ranks, intervals
from flair_ray.stages.s4_vote import BLOCKS
from flair_ray.stages.s5_rank import rank

ELECTIONS = 200


@pytest.mark.parametrize("bias", [0.0, 1.0], ids=["no position bias", "planted position bias"])
def test_the_truth_lies_within_nine_times_in_ten_and_the_order_finds_it(bias: float) -> None:
    inside, correlation = [], []
    for seed in range(ELECTIONS):
        ballots, scripts, truth = planted(seed, bias=bias)
        ranking = rank(ballots, scripts, seed=seed)
        inside.append(covered(ranking, truth))
        correlation.append(np.corrcoef([row.rank for row in ranking.rows], [truth[r.script_id] for r in ranking.rows]))
    assert np.mean(inside) >= 0.90
    assert np.mean([c[0, 1] for c in correlation]) > 0.85


def test_intervals_are_no_wider_than_the_spread_of_rankings_by_other_voters() -> None:
    """The same scripts judged by 300 fresh panels: the bootstrap of one panel says how far those spread."""
    fresh, told = [], []
    quality = np.linspace(1.5, -1.5, 12)
    for seed in range(300):
        rng = np.random.default_rng(seed)
        likes = quality + rng.normal(0, 1, (42, 12))
        points = np.maximum(5 - np.argsort(np.argsort(-likes, axis=1), axis=1), 0).astype(float)
        fresh.append(np.argsort(np.argsort(-points.sum(axis=0))) + 1)
        if seed < 20:
            told.append(np.diff(intervals(drawn_ranks(points, np.arange(42) % BLOCKS, seed)))[:, 0])
    spread = np.diff(intervals(np.array(fresh)))[:, 0]
    assert np.mean(told) == pytest.approx(spread.mean(), abs=0.75)


def test_drawn_scores_vary_as_much_as_sums_of_those_voters_do() -> None:
    """A script against a fixed mark one standard error above it: passed in 16 % of draws, 14 if n of n were drawn."""
    passed = []
    strata = np.arange(42) % BLOCKS
    for seed in range(6):
        own = np.random.default_rng(seed).integers(0, 6, 42).astype(float)
        error = np.sqrt(sum(own[strata == s].var(ddof=1) * 7 for s in range(BLOCKS)))
        both = np.stack([own, np.full(42, (own.sum() + error) / 42)], axis=1)
        passed.append((drawn_ranks(both, strata, seed=1, draws=5_000)[:, 0] == 1).mean())
    assert np.mean(passed) == pytest.approx(0.159, abs=0.01)


@pytest.mark.parametrize("strata", [[0, 1], [0, 0], [0, 1, 2], [0, 0, 1], [0, 1, 1, 2, 3]])
def test_small_and_lonely_strata_are_drawn_too(strata: list[int]) -> None:
    rng = np.random.default_rng(1)
    ranks = drawn_ranks(rng.integers(0, 6, (len(strata), 3)).astype(float), np.array(strata), seed=2, draws=200)
    assert ranks.shape == (200, 3)
    assert (np.sort(ranks, axis=1) == [1, 2, 3]).all()
    assert len(np.unique(ranks, axis=0)) > 1
    agreed = drawn_ranks(np.tile([3.0, 5.0, 0.0], (len(strata), 1)), np.array(strata), seed=2, draws=200)
    assert (agreed == [2, 1, 3]).all()
    alone = np.array(strata) == strata[-1]
    one_more = drawn_ranks(np.stack([alone * 5.0, np.zeros(len(strata))], axis=1), np.array(strata), 2, draws=200)
    assert (one_more[:, 0] == 1).any(), "whoever is alone in a stratum is drawn as well"


def test_small_strata_weigh_as_much_as_they_have_voters() -> None:
    """Ten points from two voters against nine from forty: whoever is drawn, ten is more."""
    strata = np.array([0] * 2 + [1] * 40)
    points = np.stack([np.where(strata == 0, 5.0, 0.0), np.where(strata == 1, 9 / 40, 0.0)], axis=1)
    assert (drawn_ranks(points, strata, seed=1, draws=100) == [1, 2]).all()


def test_what_is_tied_is_not_resolved() -> None:
    ranks = drawn_ranks(np.full((6, 2), 3.0), np.zeros(6, int), seed=3)
    assert above(ranks)[0, 1] == pytest.approx(0.5, abs=0.05)
    assert intervals(ranks).tolist() == [[1, 2], [1, 2]]
    share = above(ranks)
    assert share[0, 1] + share[1, 0] == 1
