"""What the experiments claim holds in their short forms, on a real Ray and Redis; each in a process of its own."""

from __future__ import annotations

import pytest

from experiments.harness import NAMES, execute, load


@pytest.mark.long
@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", NAMES)
def test_what_an_experiment_claims_holds(name: str) -> None:
    data = execute(name, short=True, limit_s=150)
    claims = load(name).claims(data.points)
    assert claims
    assert [claim.text for claim in claims if not claim.held] == []
