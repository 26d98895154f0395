"""An election as arrays: a row per voter, a column per script, in an order that no arrival decides.

Columns are scripts as the declared rule ranked them, rows voters by id. Everything in this package is computed from
these, so that equal ballots and seed give equal bytes. Sums of points are sums of whole numbers, which floats hold
exactly in any order; what is not whole is combined element by element, in a fixed order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from flair_ray.domain.ballots import BALLOT_LENGTH, Ballot
from flair_ray.domain.ids import PersonaId, ScriptId
from flair_ray.domain.ranking import Weights

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Votes:
    """V ballots over N scripts."""

    voters: tuple[PersonaId, ...]
    places: Ints
    """V × N: 0 for a first choice, 1 for a second, …, N where a script is not listed."""
    shown: Ints
    """V × N: the place in which a voter was shown a script, 0 first."""
    weights: Floats
    """V: how much a voter counts."""
    strata: Ints
    """V: which of the balanced orders a voter was shown."""

    @property
    def points(self) -> Floats:
        """V × N: 5-4-3-2-1, as the declared rule gives them, unweighted."""
        return np.maximum(BALLOT_LENGTH - self.places, 0).astype(np.float64)

    @property
    def listed(self) -> NDArray[np.bool_]:
        return np.asarray(self.places < self.places.shape[1])


def votes(ballots: Sequence[Ballot], ids: Sequence[ScriptId], weights: Weights = MappingProxyType({})) -> Votes:
    """The ballots over these scripts, a column each in this order. Voters without a weight count once."""
    column = {script_id: n for n, script_id in enumerate(ids)}
    rows = sorted(ballots, key=lambda ballot: (ballot.persona_id, ballot.top))
    places = np.full((len(rows), len(ids)), len(ids))
    shown = np.zeros((len(rows), len(ids)), np.int64)
    for voter, ballot in enumerate(rows):
        places[voter, [column[i] for i in ballot.top]] = range(len(ballot.top))
        seen = [(column[i], place) for place, i in enumerate(ballot.order) if i in column]  # controls have no column
        shown[voter, [n for n, _ in seen]] = [place for _, place in seen]
    return Votes(
        tuple(ballot.persona_id for ballot in rows),
        places,
        shown,
        np.array([weights.get(ballot.persona_id, 1.0) for ballot in rows]),
        np.array([ballot.block for ballot in rows], np.int64),
    )
