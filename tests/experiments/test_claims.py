"""What experiments count holds in their short forms, on a real Ray and Redis; each in a process of its own.

Claims of time are theirs alone: `python -m experiments --quick` says whether they hold on a
machine with nothing else to do.
"""

from __future__ import annotations

import pytest

from experiments.harness import execute, load

COUNTED = ("backpressure", "cross_user_cache", "exactly_once", "voting")


@pytest.mark.long
@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", COUNTED)
def test_what_an_experiment_claims_holds(name: str) -> None:
    data = execute(name, short=True, limit_s=150)
    claims = load(name).claims(data.points)
    assert claims
    assert [claim.text for claim in claims if not claim.held] == []
