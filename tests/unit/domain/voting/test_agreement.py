"""Agreement against its definitions, voter by voter and pair by pair."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import kendalltau, rankdata

from experiments.voting.planted import planted
from flair_ray.domain.voting.agreement import agreement, polarisation
from flair_ray.domain.voting.votes import Votes, votes


def election(seed: int, scripts: int = 12, voters: int = 10, *, quality: float = 0.8, bias: float = 1.0) -> Votes:
    ballots, written, _ = planted(seed, scripts, voters, quality=quality, bias=bias)
    return votes(ballots, [script.script_id for script in written])


@pytest.mark.parametrize("seed", range(5))
def test_w_and_tau_are_what_their_definitions_say(seed: int) -> None:
    held = election(seed)
    found = agreement(held)
    taus = [kendalltau(a, b).statistic for a, b in combinations(held.places, 2)]
    assert found.mean_tau == pytest.approx(np.mean(taus), abs=1e-4)
    ranks = np.array([rankdata(row) for row in held.places])  # W, from the mean of Spearman's rho over pairs
    rhos = [np.corrcoef(a, b)[0, 1] for a, b in combinations(ranks, 2)]
    assert found.kendalls_w == pytest.approx((1 + 9 * np.mean(rhos)) / 10, abs=1e-4)


def test_voters_without_opinions_pass_for_chance_nineteen_times_in_twenty() -> None:
    found = [agreement(election(seed, 20, 42, quality=0, bias=0)) for seed in range(400)]
    past = np.mean([a.kendalls_w > a.w_by_chance for a in found])
    assert 0.02 <= past <= 0.08  # 0.05, give or take 2.7 standard errors


def test_one_opinion_is_one() -> None:
    one = election(1, 8, 1)
    many = Votes(("",) * 9, one.places.repeat(9, 0), one.shown.repeat(9, 0), np.ones(9), np.arange(9) % 3)
    assert (agreement(many).kendalls_w, agreement(many).mean_tau) == (1, 1)


def test_polarisation_tells_love_or_nothing_from_lukewarm() -> None:
    points = np.array([[5, 2, 0, 5], [5, 3, 0, 0], [0, 2, 0, 3], [0, 3, 0, 2]], float)
    everyone_alike, all_or_nothing = 0, 1
    split = polarisation(points)
    assert split[0] == all_or_nothing
    assert split[2] == everyone_alike
    assert split[1] < 0.1 < split[3] < 1
