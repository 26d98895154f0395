"""How far voters agree, and on which scripts they part.

Ballots are short: what one does not list is tied behind what it lists, at the mean of the places left. W is corrected
for those ties; tau is tau-b, which leaves tied pairs out of its denominator. All pairs of voters together need no loop
over pairs: per two scripts, the square of the summed preferences less each voter's own.

Sources: M. G. Kendall, "Rank correlation methods", 4th ed. (1970), chapters 3, 6; E. B. Wilson and M. M. Hilferty,
"The distribution of chi-square", PNAS 17 (1931).
"""

from __future__ import annotations

import numpy as np

from flair_ray.domain.ballots import BALLOT_LENGTH
from flair_ray.domain.evidence import Agreement
from flair_ray.domain.voting.votes import Floats, Votes


def agreement(votes: Votes) -> Agreement:
    """V ballots, at least 2, over N scripts, at least 2. Each voter counts once."""
    voters, scripts = votes.places.shape
    k = votes.listed.sum(axis=1)
    ranks = np.where(votes.listed, votes.places + 1, ((k + 1 + scripts) / 2)[:, None])
    tied = scripts - k
    spread = voters**2 * (scripts**3 - scripts) - voters * float((tied**3 - tied).sum())
    totals = ranks.sum(axis=0)
    w = 12 * float(((totals - totals.mean()) ** 2).sum()) / spread if spread else 0.0
    by_chance = min(1.0, _chi_square_95(scripts - 1) / (voters * (scripts - 1)))
    return Agreement(round(w, 4), round(by_chance, 4), round(_mean_tau(votes), 4))


def _chi_square_95(df: int) -> float:
    return float(df * (1 - 2 / (9 * df) + 1.645 * (2 / (9 * df)) ** 0.5) ** 3)


def _mean_tau(votes: Votes) -> float:
    voters, scripts = votes.places.shape
    k = votes.listed.sum(axis=1)
    decided = k * (k - 1) / 2 + k * (scripts - k)  # pairs that a ballot does not leave tied
    share = 1 / np.sqrt(np.maximum(decided, 1))
    ahead = preferred(votes, share)
    own = preferred(votes, share**2)
    both = ((ahead - ahead.T) ** 2).sum() / 2 - own.sum()
    return float(both / (voters * (voters - 1)))


def preferred(votes: Votes, weights: Floats) -> Floats:
    """N × N: the summed weight of voters who prefer the row's script to the column's."""
    total = np.zeros((votes.places.shape[1],) * 2)
    for place in range(int(votes.listed.sum(axis=1).max(initial=0))):
        total += ((votes.places == place) * weights[:, None]).T @ (votes.places > place).astype(np.float64)
    return total


def polarisation(points: Floats) -> Floats:
    """N: how far each script is from equal points by all, 0, to full points or none, 1.

    Its variance, as a share of the most that one of the same mean can have: m (5 - m).
    """
    mean = points.mean(axis=0)
    most = mean * (BALLOT_LENGTH - mean)
    return np.asarray(np.divide(points.var(axis=0), most, out=np.zeros_like(most), where=most > 0))
