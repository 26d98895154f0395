"""Seats from shares: worked by hand, and what holds for every input."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flair_ray.domain.allocation import largest_remainder

sizes = st.lists(st.one_of(st.integers(0, 10**6), st.floats(0, 1e6)), min_size=1, max_size=40).filter(any)
seats = st.integers(0, 500)


def test_hamilton_by_hand() -> None:
    """7 seats over 50, 30, 20: exact shares 3.5, 2.1, 1.4, so 3, 2, 1 and the last seat to the .5."""
    assert largest_remainder([50, 30, 20], 7) == (4, 2, 1)


def test_equal_fractions_go_to_the_earlier_weight() -> None:
    assert largest_remainder([1, 1, 1], 2) == (1, 1, 0)


def test_fractions_are_compared_exactly() -> None:
    """0.1 + 0.2 is a little more than 0.3, and 3 of 9 a third to the last digit."""
    assert largest_remainder([0.3, 0.1 + 0.2], 1) == (0, 1)
    assert largest_remainder([3, 3, 3], 4) == (2, 1, 1)


def test_nobody_to_seat() -> None:
    assert largest_remainder([], 5) == ()


def test_weights_that_say_nothing_are_refused() -> None:
    with pytest.raises(ZeroDivisionError):
        largest_remainder([0, 0], 3)


@given(sizes, seats)
def test_the_counts_sum_to_the_seats_and_each_is_within_one_of_its_share(weights: list[float], seats: int) -> None:
    counts = largest_remainder(weights, seats)
    assert sum(counts) == seats
    for weight, count in zip(weights, counts, strict=True):
        assert abs(count - seats * weight / sum(weights)) < 1 + 1e-6


@given(sizes, seats)
def test_a_heavier_group_never_gets_fewer(weights: list[float], seats: int) -> None:
    pairs = sorted(zip(weights, largest_remainder(weights, seats), strict=True))
    assert all(a[1] <= b[1] for a, b in pairwise(pairs) if a[0] < b[0])
