"""Planted panels: one that repeats itself and reads, one that rolls dice, one that goes by places."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from flair_ray.domain.ballots import Ballot
from flair_ray.domain.evidence import Reliability
from flair_ray.domain.ids import PersonaId, ScriptId
from flair_ray.domain.rigor import AGAIN, COPY, DULL
from flair_ray.domain.voting.reliability import reliability, reliability_cautions

IDS = [ScriptId(f"S{n}") for n in range(8)]
SHEET = (*IDS, COPY, DULL)


def panel(seed: int, quality: Sequence[float], noise: float, early: float = 0.0) -> list[Ballot]:
    """42 voters, 14 of them twice; ``early`` is what the first place of one fixed order is worth."""
    rng = np.random.default_rng(seed)
    ballots = []
    for voter in range(42):
        taste = np.array(quality) + rng.normal(0, 0.7, len(SHEET))
        taste[8] = taste[0]  # the same words
        for name in (f"p{voter:02d}", f"p{voter:02d}{AGAIN}")[: 1 + (voter % 3 == 0)]:
            likes = taste + rng.normal(0, noise, len(SHEET)) + early * np.exp(-np.arange(len(SHEET))[::-1] / 2)
            ballots.append(Ballot(PersonaId(name), tuple(SHEET[i] for i in np.argsort(-likes)[:5]), SHEET, 0))
    return ballots


def found(ballots: list[Ballot]) -> tuple[Reliability, set[str]]:
    it = reliability(ballots, IDS, IDS[0])
    assert it is not None
    return it, {caution.kind for caution in reliability_cautions(it)}


READS = [1.0, 0.5, 0.3, 0.2, 0.0, -0.2, -0.3, -0.5, 1.0, -4.0]


def test_a_panel_that_reads_and_remembers_gives_no_caution() -> None:
    it, told = found(panel(1, READS, 0.2))
    assert (it.asked_again, it.dull_rank, it.scripts, told) == (14, 10, 10, set())
    assert it.tau is not None
    assert it.tau > 0.6
    assert it.same_first is not None
    assert it.same_first > 0.5


def test_dice_do_not_repeat_themselves_and_may_like_what_is_dull() -> None:
    it, told = found(panel(1, [0.0] * 9 + [1.0], 50.0))
    assert it.tau is not None
    assert it.tau == pytest.approx(0, abs=0.25)
    assert "retest" in told
    assert "dull" in found(panel(1, [0.0] * 9 + [3.0], 0.2))[1]


def test_equal_words_that_do_unequally_are_told() -> None:
    it, told = found(panel(1, READS, 0.2, early=6.0))
    assert it.copy.low > 0
    assert "copy" in told
    apart = [found(panel(seed, READS, 0.7))[1] for seed in range(100)]
    assert np.mean(["copy" in each for each in apart]) <= 0.12  # nothing planted: one in twenty


def test_who_lists_the_same_words_by_their_other_name_repeats_themselves() -> None:
    first, second = (COPY, *IDS[1:5]), (IDS[0], *IDS[1:5])
    ballots = [
        Ballot(PersonaId(f"p{n}{again}"), top, SHEET, 0)
        for n in range(4)
        for again, top in (("", first), (AGAIN, second))
    ]
    it, _ = found(ballots)
    assert (it.tau, it.same_first) == (1.0, 1.0)


def test_too_few_voters_say_nothing_and_none_asked_again_is_no_figure() -> None:
    ballots = panel(1, READS, 0.2)
    once = [ballot for ballot in ballots if not ballot.persona_id.endswith(AGAIN)]
    assert reliability(once[:1], IDS, IDS[0]) is None
    assert found(once)[0].tau is None
