"""What replicates and controls say of a panel: does it repeat itself, does it tell equal from unequal, does it read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from flair_ray.domain.ballots import Ballot
from flair_ray.domain.evidence import Caution, Reliability
from flair_ray.domain.ids import PersonaId, ScriptId
from flair_ray.domain.rigor import AGAIN, COPY, DULL
from flair_ray.domain.voting.diagnostics import effect
from flair_ray.domain.voting.votes import Ints, votes

MOST_APART = 0.25
"""Points a viewer between equal texts. Less may be a habit with ties: whoever lists both must list one first."""
LEAST_TAU = 0.3
"""Under this, what a voter said once tells little of what it says the next time."""


def reliability(ballots: Sequence[Ballot], ids: Sequence[ScriptId], copied: ScriptId) -> Reliability | None:
    """From all ballots as they were cast, controls and replicates included; None for fewer than two first ones."""
    cast = votes(ballots, (*ids, COPY, DULL))
    row = {voter: n for n, voter in enumerate(cast.voters)}
    second = {voter: PersonaId(voter + AGAIN) for voter in cast.voters}
    at, last = list(ids).index(copied), len(ids)
    texts = np.delete(cast.places, last, axis=1)  # a text that is there twice is one, at the better of its places
    texts[:, at] = cast.places[:, [at, last]].min(axis=1)
    pairs = [(texts[row[a]], texts[row[b]]) for a, b in second.items() if b in row]
    first = [n for voter, n in row.items() if voter not in second.values()]
    if len(first) < 2:
        return None
    points = cast.points[first]
    apart = points[:, last] - points[:, at]
    totals = points.sum(axis=0)
    return Reliability(
        asked_again=len(pairs),
        tau=_mean(_tau(a, b) for a, b in pairs),
        same_first=_mean(float(np.argmin(a) == np.argmin(b)) for a, b in pairs),
        copied=copied,
        copy=effect(float(apart.mean()), float(apart.std(ddof=1) / len(apart) ** 0.5), len(apart) - 1),
        dull_rank=int((totals > totals[-1]).sum()) + 1,
        scripts=len(ids) + 2,
    )


def _tau(a: Ints, b: Ints) -> float:
    """Kendall's tau-b of two ballots."""
    one, two = np.sign(a[:, None] - a), np.sign(b[:, None] - b)
    decided = np.sqrt((one**2).sum() * (two**2).sum())
    return float((one * two).sum() / decided) if decided else 0.0


def _mean(values: Iterable[float]) -> float | None:
    found = [*values]
    return round(sum(found) / len(found), 4) if found else None


def reliability_cautions(found: Reliability) -> Iterator[Caution]:
    """What to tell people of it."""
    if found.tau is not None and found.tau < LEAST_TAU:
        text = f"Viewers who were asked twice did not repeat themselves (tau {found.tau:.2f}, under {LEAST_TAU})."
        yield Caution("retest", text, found.tau, LEAST_TAU)
    if abs(found.copy.slope) > MOST_APART and found.copy.low * found.copy.high > 0:
        text = (
            f"Two scripts with the same words did not do alike: {abs(found.copy.slope):.1f} points a viewer apart "
            f"({found.copy.low:+.1f} to {found.copy.high:+.1f})."
        )
        yield Caution("copy", text, found.copy.slope, MOST_APART)
    half = found.scripts // 2
    if found.dull_rank <= half:
        text = f"A script made to be dull came {found.dull_rank} of {found.scripts}: the viewers may not have read."
        yield Caution("dull", text, float(found.dull_rank), float(half))
