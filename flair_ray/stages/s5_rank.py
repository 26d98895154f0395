"""S5, a reduce: all ballots → one ranking of all scripts, and what it rests on.

The rule itself is ``domain/ranking.py``, the evidence ``domain/voting``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from flair_ray.domain.ballots import Ballot
from flair_ray.domain.people import Persona
from flair_ray.domain.ranking import Ranking, weights_of
from flair_ray.domain.ranking import rank as rank_by_rule
from flair_ray.domain.scripts import CandidateScript


def rank(
    ballots: Sequence[Ballot],
    scripts: Sequence[CandidateScript],
    spoiled: int = 0,
    late: int = 0,
    *,
    personas: Sequence[Persona] = (),
    top_n: int = 10,
    seed: int = 0,
    careful: Sequence[Ballot] = (),
) -> Ranking:
    """M ballots over N scripts → N rows. ``spoiled`` ballots could not be used, ``late`` ones had not come.

    ``careful``: of a careful run all ballots as cast, of which ``ballots`` are those that count.
    """
    from flair_ray.domain.voting.gather import evidence  # brings numpy

    ranking = rank_by_rule(ballots, scripts, spoiled, late, weights_of(personas))
    return replace(ranking, evidence=evidence(ranking, ballots, scripts, personas, top_n, seed, careful))
