"""Counts and durations as people write them."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flair_ray.inputs.quantities import parse_count, parse_seconds

counts = st.integers(0, 10**12)


@pytest.mark.parametrize(
    ("written", "count"),
    [
        (1200, 1200),
        (1200.0, 1200),
        (Decimal("1200"), 1200),
        ("1200", 1200),
        (" 3,400 ", 3400),
        ("1 200", 1200),
        ("1\u202f234\u202f567", 1234567),
        ("1'234", 1234),
        ("1.234.567", 1234567),
        ("12.345", 12345),
        ("3400.0", 3400),
        ("12,34,567", 1234567),
        ("1.2M", 1200000),
        ("1,2 Mio", 1200000),
        ("12.5k", 12500),
        ("1.234K", 1234),
        ("2b", 2 * 10**9),
        ("10K+", 10000),
        ("3.4E+06", 3400000),
        ("0", 0),
    ],
)
def test_counts(written: object, count: int) -> None:
    assert parse_count(written) == count


@pytest.mark.parametrize(
    "written",
    [
        *("", " ", "-", "N/A", "none", "-5", "abc", "1.2.3", "1 2", "NaN", "1e", "1" * 41, "9" * 30, "1e99999999"),
        *(-1, float("nan"), float("inf"), True, None, [], {}, 10**400),
    ],
)
def test_what_is_no_count_is_none(written: object) -> None:
    assert parse_count(written) is None


@given(counts, st.sampled_from([",", " ", "'", "\u00a0", "."]))
def test_grouped_counts_round_trip(count: int, separator: str) -> None:
    assert parse_count(f"{count:,}".replace(",", separator)) == count


@given(st.integers(0, 9999), st.integers(0, 9), st.sampled_from([("K", 10**3), ("m", 10**6), ("B", 10**9)]))
def test_scaled_counts_round_trip(whole: int, tenth: int, scale: tuple[str, int]) -> None:
    letter, factor = scale
    assert parse_count(f"{whole}.{tenth}{letter}") == whole * factor + tenth * factor // 10


@given(st.text(max_size=50) | st.floats() | st.integers() | st.none() | st.booleans())
def test_nothing_makes_it_fail(value: object) -> None:
    count, seconds = parse_count(value), parse_seconds(value)
    assert count is None or count >= 0
    assert seconds is None or seconds > 0


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (42, 42.0),
        (42.5, 42.5),
        ("42", 42.0),
        ("42.5", 42.5),
        ("42,5", 42.5),
        ("42s", 42.0),
        ("42 sec", 42.0),
        ("0:42", 42.0),
        ("00:42.5", 42.5),
        ("1:02:03", 3723.0),
        ("1m 42s", 102.0),
        ("2 min", 120.0),
        ("PT42S", 42.0),
        ("PT1M42S", 102.0),
        ("P1DT1H", 90000.0),
        (timedelta(seconds=7), 7.0),
    ],
)
def test_durations(written: object, seconds: float) -> None:
    assert parse_seconds(written) == seconds


@pytest.mark.parametrize(
    "written", [0, 0.0, "0", "0:00", "PT0S", "", "pt", -3, "-3", float("nan"), True, None, "soon", 1e12]
)
def test_an_unknown_duration_is_none(written: object) -> None:
    assert parse_seconds(written) is None


@given(st.integers(1, 86_399))
def test_clock_times_round_trip(total: int) -> None:
    minutes, seconds = divmod(total, 60)
    hours, minutes = divmod(minutes, 60)
    assert parse_seconds(f"{hours}:{minutes:02}:{seconds:02}") == total
    assert parse_seconds(f"PT{hours}H{minutes}M{seconds}S") == total
