"""What comes of a load is of one window: users are compared with their own pace while they keep it."""

from __future__ import annotations

from typing import Any

import pytest

from experiments.api_load.__main__ import SETTLE_S, came_of
from experiments.api_load.experiment import THINK_S

USERS, LATENCY_S, RAMP_S, STEADY_S = 20, 0.5, 4.0, 10.0
"""Four requests of each user fit the steady window."""


def noted() -> dict[str, Any]:
    """Users who come one after the other, ask at once, and again ``THINK_S`` after each answer until stopped."""
    there, stopping = 100 + RAMP_S, 100 + RAMP_S + SETTLE_S + STEADY_S
    requests = []
    for user in range(USERS):
        at = 100 + RAMP_S * user / USERS
        while (at := at + LATENCY_S) < stopping + 1:  # those who are stopped last still get an answer
            requests.append(["start", 200, 1000 * LATENCY_S, None, at])
            at += THINK_S
    return {"requests": requests, "accepted": [], "there_s": there, "stopping_s": stopping}


def test_users_keep_their_own_pace() -> None:
    load = came_of(noted())
    assert load.steady_s == pytest.approx(STEADY_S)
    assert load.pace(USERS, THINK_S) == pytest.approx(USERS / 2.5)
    assert load.rate == pytest.approx(load.pace(USERS, THINK_S))


def test_what_users_began_with_and_were_stopped_in_is_no_part_of_it() -> None:
    quiet = noted()
    first, last = quiet["there_s"] + SETTLE_S, quiet["stopping_s"]
    burst = [["start", 200, 9_000.0, None, at] for at in (100.1, first - 0.01, last, last + 0.5) for _ in range(USERS)]
    load = came_of({**quiet, "requests": [*quiet["requests"], *burst]})
    assert load.rate == pytest.approx(came_of(quiet).rate)
    assert max(load.starts_ms) == pytest.approx(1000 * LATENCY_S)
    assert load.requests == came_of(quiet).requests + len(burst)


def test_a_wait_that_was_asked_for_is_no_failure() -> None:
    more = [["start", 429, 5.0, "2", 108.0], ["start", 429, 5.0, None, 108.0], ["list", 0, 5.0, None, 108.0]]
    load = came_of({**noted(), "requests": [*noted()["requests"], *more]})
    assert (load.shed, load.failed) == (1, 2)
