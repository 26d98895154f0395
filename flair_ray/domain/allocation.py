"""Whole seats from fractional shares: Hamilton's method, the largest remainder."""

from __future__ import annotations

from collections.abc import Sequence


def largest_remainder(weights: Sequence[float], seats: int) -> tuple[int, ...]:
    """One count per weight, summing to ``seats`` exactly; each within one of its exact share.

    Ties go to the earlier weight. Weights are finite and not all zero.
    """
    total = sum(weights)
    exact = [seats * w / total for w in weights]
    counts = [int(x) for x in exact]
    by_remainder = sorted(range(len(weights)), key=lambda i: (counts[i] - exact[i], i))
    for i in by_remainder[: seats - sum(counts)]:
        counts[i] += 1
    return tuple(counts)
