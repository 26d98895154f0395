from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flair_ray.testing.mock_options import MockOptions, Tail
from flair_ray.testing.mock_traffic import Gate, Luck, Tally, TokenBucket


def _admitted(gate: Gate, now_s: float, tries: int) -> int:
    """How many of ``tries`` calls at one moment are let in; they end at once."""
    entered = sum(gate.enter(now_s) is None for _ in range(tries))
    for _ in range(entered):
        gate.leave()
    return entered


def test_a_bucket_gives_one_second_at_once_and_then_its_rate() -> None:
    gate = Gate(MockOptions(rpm=600), now_s=0.0)
    assert _admitted(gate, 0.0, 50) == 10
    assert _admitted(gate, 0.25, 50) == 2
    assert _admitted(gate, 60.0, 50) == 10


def test_a_rate_below_one_a_second_still_lets_one_in() -> None:
    gate = Gate(MockOptions(rpm=6), now_s=0.0)
    assert _admitted(gate, 0.0, 5) == 1
    refusal = gate.enter(4.0)
    assert refusal is not None
    assert refusal.retry_after_s == pytest.approx(6.0)
    assert _admitted(gate, 10.0, 5) == 1


@given(
    rpm=st.integers(1, 6_000),
    steps=st.lists(st.tuples(st.floats(0, 3), st.integers(1, 40)), min_size=1, max_size=30),
)
def test_no_window_admits_more_than_its_rate_and_one_burst(rpm: int, steps: list[tuple[float, int]]) -> None:
    gate, now_s, admitted = Gate(MockOptions(rpm=rpm), 0.0), 0.0, []
    for pause_s, tries in steps:
        now_s += pause_s
        admitted.append((now_s, _admitted(gate, now_s, tries)))
    for i, j in itertools.combinations_with_replacement(range(len(admitted)), 2):
        window_s = admitted[j][0] - admitted[i][0]
        assert sum(n for _, n in admitted[i : j + 1]) <= rpm / 60 * window_s + max(1.0, rpm / 60) + 1e-6


@given(rpm=st.integers(1, 6_000), start_s=st.floats(0, 1e6))
def test_who_waits_as_long_as_told_is_let_in(rpm: int, start_s: float) -> None:
    bucket = TokenBucket(rpm, start_s)
    while not (wait_s := bucket.wait_s(start_s)):
        bucket.take()
    assert bucket.wait_s(start_s + wait_s) <= 1e-6


def test_calls_over_the_limit_in_flight_are_refused_until_one_leaves() -> None:
    gate = Gate(MockOptions(max_in_flight=2, latency_s=1.0), 0.0)
    assert [gate.enter(0.0) is None for _ in range(3)] == [True, True, False]
    refusal = gate.enter(0.0)
    assert refusal is not None
    assert refusal.retry_after_s == 0.5
    gate.leave()
    assert gate.enter(0.0) is None


def test_a_refusal_in_flight_takes_no_token() -> None:
    gate = Gate(MockOptions(max_in_flight=1, rpm=120), 0.0)
    assert gate.enter(0.0) is None
    assert gate.enter(0.0) is not None
    gate.leave()
    assert gate.enter(0.0) is None


def test_a_lower_limit_gives_no_new_tokens_and_keeps_who_is_in() -> None:
    gate = Gate(MockOptions(rpm=600), 0.0)
    assert [gate.enter(0.0) for _ in range(8)] == [None] * 8
    gate.change(MockOptions(rpm=300, max_in_flight=5), 0.0)
    assert gate.in_flight == 8
    for _ in range(8):
        gate.leave()
    assert _admitted(gate, 0.0, 50) == 2
    assert _admitted(gate, 100.0, 50) == 5


def test_a_limit_that_is_lifted_is_gone() -> None:
    gate = Gate(MockOptions(rpm=60), 0.0)
    gate.change(MockOptions(), 0.0)
    assert _admitted(gate, 0.0, 1_000) == 1_000


def test_latency_sways_evenly_within_its_jitter() -> None:
    luck, options = Luck(seed=1), MockOptions(latency_s=2.0, jitter=0.25)
    drawn = [luck.draw(options)[0] for _ in range(2_000)]
    assert 1.5 <= min(drawn) < 1.55
    assert 2.45 < max(drawn) <= 2.5
    assert sum(drawn) / len(drawn) == pytest.approx(2.0, rel=0.02)


def test_the_tail_takes_its_share_of_calls_and_its_factor_of_time() -> None:
    luck, options = Luck(seed=1), MockOptions(tail=Tail(0.05, 10))
    drawn = [luck.draw(options)[0] for _ in range(4_000)]
    assert set(drawn) == {1.0, 10.0}
    assert drawn.count(10.0) / 4_000 == pytest.approx(0.05, abs=0.01)


def test_fates_come_in_their_shares() -> None:
    luck, options = Luck(seed=1), MockOptions(fail=0.1, malformed=0.3)
    drawn = [luck.draw(options)[1].kind for _ in range(4_000)]
    assert drawn.count("500") / 4_000 == pytest.approx(0.1, abs=0.015)
    assert drawn.count("malformed") / 4_000 == pytest.approx(0.3, abs=0.025)


def test_the_same_seed_meets_the_same_luck_whatever_else_is_set() -> None:
    plain, failing = MockOptions(tail=Tail(0.2, 10)), MockOptions(tail=Tail(0.2, 10), fail=0.5)
    one, two, other = Luck(7), Luck(7), Luck(8)
    latencies = [one.draw(plain)[0] for _ in range(200)]
    assert [two.draw(failing)[0] for _ in range(200)] == latencies
    assert [other.draw(plain)[0] for _ in range(200)] != latencies


def test_a_prompt_is_repeated_while_it_is_asked_and_once_it_is_answered_but_not_when_it_failed() -> None:
    tally = Tally()
    tally.ask(b"a")
    assert tally.repeated_prompts == 0
    tally.ask(b"a")
    assert tally.repeated_prompts == 1
    tally.fail(b"a")
    tally.fail(b"a")
    tally.ask(b"a")
    assert tally.repeated_prompts == 1
    tally.ask(b"a")
    assert tally.repeated_prompts == 2
