"""S5, a reduce: all ballots → one ranking of all scripts. The rule itself is ``domain/ranking.py``."""

from __future__ import annotations

from collections.abc import Sequence

from flair_ray.domain.ballots import Ballot
from flair_ray.domain.ranking import Ranking
from flair_ray.domain.ranking import rank as rank_by_rule
from flair_ray.domain.scripts import CandidateScript


def rank(ballots: Sequence[Ballot], scripts: Sequence[CandidateScript], asked: int) -> Ranking:
    """M ballots from ``asked`` voters over N scripts → N rows; what is missing from M is spoiled."""
    return rank_by_rule(ballots, scripts, spoiled=asked - len(ballots))
