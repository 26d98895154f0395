"""Waits: within their bounds, spread, and never shorter than a server asked for."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flair_ray.flow.backoff import BASE_S, CAP_S, full_jitter

rngs = st.randoms(use_true_random=False)


@given(st.integers(1, 10_000), rngs)
def test_a_wait_lies_between_nothing_and_its_cap(failures: int, rng: random.Random) -> None:
    assert 0 <= full_jitter(failures, rng) <= min(CAP_S, BASE_S * 2.0 ** min(failures - 1, 60))


@given(st.integers(1, 100), rngs, st.floats(1e-3, 1e4))
def test_a_server_is_given_what_it_asks_for_and_a_quarter_more_at_most(
    failures: int, rng: random.Random, asked_s: float
) -> None:
    assert asked_s <= full_jitter(failures, rng, asked_s) <= 1.25 * asked_s


@pytest.mark.parametrize(("failures", "cap_s"), [(1, 0.5), (2, 1.0), (4, 4.0), (7, 30.0), (99, 30.0)])
def test_caps_double_up_to_half_a_minute(failures: int, cap_s: float) -> None:
    draws = [full_jitter(failures, random.Random(seed)) for seed in range(400)]  # noqa: S311  # repeatable
    assert 0.97 * cap_s < max(draws) <= cap_s
    assert min(draws) < 0.03 * cap_s


def test_retry_after_nothing_says_nothing() -> None:
    rng = random.Random(1)  # noqa: S311  # repeatable
    assert max(full_jitter(5, rng, 0.0) for _ in range(50)) > 1
