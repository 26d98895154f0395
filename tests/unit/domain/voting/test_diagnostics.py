"""Planted faults are found, and where none was planted, none is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from experiments.voting.planted import planted
from flair_ray.domain.ballots import Ballot
from flair_ray.domain.evidence import Evidence
from flair_ray.domain.ids import PersonaId, ScriptId
from flair_ray.domain.voting.diagnostics import length_effect, position_effect
from flair_ray.domain.voting.votes import votes
from flair_ray.stages.s5_rank import rank


def evidence(seed: int = 1, spoiled: int = 0, **how: float) -> Evidence:
    ballots, scripts, _ = planted(seed, **how)  # type: ignore[arg-type]
    found = rank(ballots, scripts, spoiled, seed=seed).evidence
    assert found is not None
    return found


def kinds(found: Evidence) -> set[str]:
    return {caution.kind for caution in found.cautions}


def test_a_planted_liking_for_early_places_is_measured_and_told() -> None:
    found = evidence(bias=1.5)
    assert found.position is not None
    assert found.position.low < found.position.slope < found.position.high < 0
    assert "position" in kinds(found)


def test_without_it_the_slope_is_told_in_one_of_twenty() -> None:
    told = []
    for seed in range(300):
        ballots, scripts, _ = planted(seed, bias=0)
        found = position_effect(votes(ballots, [script.script_id for script in scripts]))
        assert found is not None
        told.append(found.low * found.high > 0)
    assert 0.015 <= np.mean(told) <= 0.09


def test_that_good_scripts_happen_to_stand_early_is_no_effect() -> None:
    """Two orders, a rotation of each other: a script's mean place tells its quality, and nobody minds places."""
    ids = [ScriptId(f"S{n:02d}") for n in range(20)]
    orders = (tuple(ids), tuple(ids[10:] + ids[:10]))
    rng = np.random.default_rng(1)
    ballots = []
    for voter in range(60):
        likes = -(np.arange(20) % 10) + rng.normal(0, 2, 20)
        top = tuple(ids[i] for i in np.argsort(-likes)[:5])
        ballots.append(Ballot(PersonaId(f"p{voter:02d}"), top, orders[voter % 2], voter % 2))
    found = position_effect(votes(ballots, ids))
    assert found is not None
    assert found.low < 0 < found.high
    cast = votes(ballots, ids)
    regressors = np.column_stack([cast.shown.ravel() / 19, np.tile(np.eye(20), (60, 1))])  # a level for each script
    slope = np.linalg.lstsq(regressors, cast.points.ravel())[0][0]
    assert found.slope == pytest.approx(slope, abs=1e-4)


def test_controls_on_the_sheet_leave_the_effect_of_places_what_it_is() -> None:
    """Each place costs the same; between the first and the last are as many as the whole sheet has."""
    ids = [ScriptId(f"S{n}") for n in range(6)]
    sheet = [*ids[:3], ScriptId("control-copy"), *ids[3:], ScriptId("control-dull")]
    orders = [tuple(sheet[turn:] + sheet[:turn]) for turn in range(8)]
    ballots = [
        Ballot(PersonaId(f"p{n}"), tuple(i for i in order if i in ids)[:5], order, n) for n, order in enumerate(orders)
    ]
    found, cast = position_effect(votes(ballots, ids)), votes(ballots, ids)
    assert found is not None
    regressors = np.column_stack([cast.shown.ravel() / 7, np.tile(np.eye(6), (8, 1))])
    assert found.slope == pytest.approx(np.linalg.lstsq(regressors, cast.points.ravel())[0][0], abs=1e-4)


def test_too_few_viewers_are_not_said_to_be_of_one_opinion() -> None:
    _, scripts, _ = planted(1)
    ids = tuple(script.script_id for script in scripts[:4])
    found = rank([Ballot(PersonaId(f"p{n}"), ids, ids, n) for n in range(2)], scripts[:4]).evidence
    assert found is not None
    (noise,) = (caution for caution in found.cautions if caution.kind in ("noise", "hivemind"))
    assert "too few" in noise.text


def test_one_order_for_all_tells_nothing_of_positions() -> None:
    ballots, scripts, _ = planted(1, blocks=1)
    assert position_effect(votes(ballots, [s.script_id for s in scripts])) is None


def test_a_planted_liking_for_length_is_measured() -> None:
    words = np.arange(20.0, 120, 5)
    points = np.outer(np.ones(10), words / 50) + np.random.default_rng(1).normal(0, 0.01, (10, 20))
    found = length_effect(points, words)
    assert found is not None
    assert found.low < 0.2 < found.high
    assert found.low > 0.19
    assert length_effect(points, np.full(20, 30.0)) is None
    assert length_effect(points[:, :4], words[:4]) is None


@pytest.mark.parametrize(("spoiled", "told"), [(2, False), (3, True)])
def test_more_than_a_twentieth_spoiled_is_told(spoiled: int, told: bool) -> None:
    assert ("spoiled" in kinds(evidence(spoiled=spoiled))) is told  # of 44: 4.5 %; of 45: 6.7 %


def test_a_hivemind_and_dice_are_told_apart_from_people() -> None:
    assert not {"hivemind", "noise"} & kinds(evidence())
    assert "noise" in kinds(evidence(quality=0, bias=0))
    ballots, scripts, _ = planted(1)
    alike = [replace(ballots[0], persona_id=PersonaId(f"p{n}"), block=n % 6) for n in range(42)]
    found = rank(alike, scripts).evidence
    assert found is not None
    assert "hivemind" in kinds(found)


def test_a_cut_between_equals_is_not_resolved_and_a_wide_one_is() -> None:
    near = evidence(quality=0.1)
    assert near.unresolved > 0
    assert "cut" in kinds(near)
    _, scripts, _ = planted(1, 10, 1)
    ids = tuple(s.script_id for s in scripts)
    clear = rank([Ballot(PersonaId(f"{n}"), ids[:5], ids, n % 2) for n in range(12)], scripts, top_n=5).evidence
    assert clear is not None
    assert (clear.unresolved, "cut" in kinds(clear)) == (0, False)
    assert [(c.rank_low, c.rank_high, c.p_top) for c in clear.certainty[:5]] == [(n, n, 1) for n in range(1, 6)]


def test_too_few_ballots_or_scripts_say_nothing() -> None:
    ballots, scripts, _ = planted(1)
    assert rank(ballots[:1], scripts).evidence is None
    assert rank([], scripts).evidence is None
    assert rank([], []).evidence is None
