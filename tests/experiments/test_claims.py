"""What experiments claim holds in their short forms, on a real Ray and Redis; each in a process of its own.

Claims of time are left out: `python -m experiments --quick` says whether they hold on a machine that does nothing else.
"""

from __future__ import annotations

import pytest

from experiments.harness import NAMES, execute, load


@pytest.mark.long
@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", NAMES)
def test_what_an_experiment_claims_holds(name: str) -> None:
    data = execute(name, short=True, limit_s=150)
    counted = [claim for claim in load(name).claims(data.points) if not claim.timed]
    assert counted
    assert [claim.text for claim in counted if not claim.held] == []
