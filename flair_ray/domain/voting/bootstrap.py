"""How sure a ranking is: the same rule on panels drawn again from the one that voted.

Voters are drawn with replacement within each balanced order, so that every drawn panel is as balanced as the real one:
n - 1 of n, each counted n / (n - 1) times. Drawing n of n would understate the variance by 1 / n, a seventh for seven
voters. Orders with one voter are drawn together. Equal scores are placed by lot: what is tied is not resolved.

What it holds is how much other viewers of the same kind would have voted otherwise. That the viewers are simulated, and
what a position is worth to all of them alike, is not in it.

Source: P. J. McCarthy and C. B. Snowden, "The bootstrap and finite population sampling" (1985); J. N. K. Rao and
C. F. J. Wu, "Resampling inference with complex survey data", JASA 83 (1988).
"""

from __future__ import annotations

import numpy as np

from flair_ray.domain.voting.votes import Floats, Ints

DRAWS = 2000
LEVEL = 0.95
CELLS = 2_000_000
"""Of counts that are held at once: 16 MB."""


def drawn_ranks(points: Floats, strata: Ints, seed: int, draws: int = DRAWS) -> Ints:
    """D × N: the rank of each script, from 1, on each drawn panel. ``points`` V × N, weighted; V at least 2."""
    rng = np.random.default_rng(seed % 2**64)
    scores = np.zeros((draws, points.shape[1]))
    for members in _groups(strata):
        n = len(members)
        step = max(1, CELLS // n)
        for begin in range(0, draws, step):
            part = scores[begin : begin + step]
            picks = rng.integers(n, size=(len(part), n - 1)) + n * np.arange(len(part))[:, None]
            counts = np.bincount(picks.ravel(), minlength=n * len(part)).reshape(len(part), n)
            part += counts @ points[members] * (n / (n - 1))
    lots = rng.random(scores.shape) * 1e-6
    best_first = np.argsort(lots - scores.round(6), axis=1)
    return np.argsort(best_first, axis=1) + 1


def _groups(strata: Ints) -> list[Ints]:
    """Row numbers of each stratum, of two rows at least."""
    groups = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    alone = [group for group in groups if len(group) == 1]
    groups = [group for group in groups if len(group) > 1]
    if len(alone) == 1 and groups:
        groups[0] = np.sort(np.concatenate((groups[0], *alone)))
    elif alone:
        groups.append(np.concatenate(alone))
    return groups


def intervals(ranks: Ints) -> Ints:
    """N × 2: between which ranks a script lies in ``LEVEL`` of the draws."""
    tail = 50 * (1 - LEVEL)
    low = np.percentile(ranks, tail, axis=0, method="lower")
    high = np.percentile(ranks, 100 - tail, axis=0, method="higher")
    return np.stack((low, high), axis=1)


def above(ranks: Ints) -> Floats:
    """N × N: in which share of the draws the row's script is ranked above the column's."""
    return np.stack([(ranks[:, [i]] < ranks).mean(axis=0) for i in range(ranks.shape[1])])
