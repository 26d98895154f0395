"""Whole seats from fractional shares: Hamilton's method, the largest remainder.

Each group gets the whole part of its exact share at once; what seats are left go to the largest fractions.
Fractions are compared exactly (``fractions.Fraction``), so that equal ones are found equal and fall to the order
the groups are given in: whoever wants another tie-break sorts first. The known flaw of the method: with one seat
more a group may lose one.

Source: A. Hamilton's apportionment of 1792, in M. Balinski and H. P. Young, "Fair Representation" (1982).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import floor


def largest_remainder(weights: Sequence[float], seats: int) -> tuple[int, ...]:
    """One count per weight, summing to ``seats`` exactly; each within one of its exact share.

    Ties go to the earlier weight. Weights are finite, not negative and not all zero; no weights, no counts.
    """
    total = sum(map(Fraction, weights))
    exact = [seats * Fraction(w) / total for w in weights]
    counts = [floor(share) for share in exact]
    by_fraction = sorted(range(len(weights)), key=lambda i: (counts[i] - exact[i], i))
    for i in by_fraction[: seats - sum(counts)]:
        counts[i] += 1
    return tuple(counts)
