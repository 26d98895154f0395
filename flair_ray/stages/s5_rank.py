"""S5, a reduce: all ballots → one ranking of all scripts. The rule itself is ``domain/ranking.py``."""

from __future__ import annotations

from collections.abc import Sequence

from flair_ray.domain.ballots import Ballot
from flair_ray.domain.ranking import Ranking
from flair_ray.domain.ranking import rank as rank_by_rule
from flair_ray.domain.scripts import CandidateScript


def rank(ballots: Sequence[Ballot], scripts: Sequence[CandidateScript], spoiled: int = 0, late: int = 0) -> Ranking:
    """M ballots over N scripts → N rows. ``spoiled`` ballots could not be used, ``late`` ones had not come."""
    return rank_by_rule(ballots, scripts, spoiled, late)
