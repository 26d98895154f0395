"""The other rules against people who wrote them before us, and against rules of thumb that must hold."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path
from typing import Any

import choix
import numpy as np
import pytest

from experiments.voting.planted import planted
from flair_ray.domain.ballots import Ballot
from flair_ray.domain.ids import PersonaId, ScriptId
from flair_ray.domain.voting import rules
from flair_ray.domain.voting.agreement import preferred
from flair_ray.domain.voting.rules import averaged_borda, copeland, kemeny, other_rules, plackett_luce
from flair_ray.domain.voting.votes import Votes, votes

RECORDED = json.loads(Path(__file__).with_name("pref_voting.json").read_text("utf-8"))
"""What pref-voting 1.18.2 says: experiments/voting/reference.py."""


def cast(ballots: list[list[int]], scripts: int) -> Votes:
    ids = [ScriptId(str(n)) for n in range(scripts)]
    return votes([Ballot(PersonaId(f"{v:03d}"), tuple(ids[i] for i in b), (), 0) for v, b in enumerate(ballots)], ids)


def election(seed: int, scripts: int = 20, voters: int = 42) -> Votes:
    ballots, written, _ = planted(seed, scripts, voters)
    return votes(ballots, [script.script_id for script in written])


def contradicted(ahead: np.ndarray, order: Any) -> float:
    return float(sum(ahead[b, a] for n, a in enumerate(order) for b in order[n + 1 :]))


@pytest.mark.parametrize("recorded", RECORDED)
def test_as_pref_voting_has_it(recorded: dict[str, Any]) -> None:
    scripts, ballots = len(recorded["borda"]), recorded["ballots"]
    held = cast(ballots, scripts)
    ahead = preferred(held, held.weights)
    # theirs: scripts below less scripts above, and wins less losses
    assert (2 * averaged_borda(held) - len(ballots) * (scripts - 1)).tolist() == recorded["borda"]
    assert (2 * copeland(ahead) - (scripts - 1)).tolist() == recorded["copeland"]
    order, exact = kemeny(ahead)
    assert exact
    if "kemeny" in recorded:
        assert order.tolist() in recorded["kemeny"]
        assert contradicted(ahead, order) == recorded["distance"]


@pytest.mark.parametrize("seed", range(6))
def test_strengths_are_those_of_choix(seed: int) -> None:
    held = election(seed, 8, 30)
    choices = [
        (int(b[place]), tuple(int(i) for i in b[place + 1 :]))
        for b in np.argsort(held.places, axis=1, kind="stable")
        for place in range(5)
    ]
    alone = [(i, tuple(j for j in range(8) if j != i)) for i in range(8)]  # the prior: each once named alone
    theirs = np.exp(choix.mm_top1(8, choices + alone, tol=1e-12))
    assert plackett_luce(held, prior=1) == pytest.approx(theirs / theirs.sum(), abs=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_kemeny_in_parts_contradicts_as_few_as_the_best_of_all_orders(seed: int) -> None:
    held = election(seed, 7, 9)
    ahead = preferred(held, held.weights)
    order, exact = kemeny(ahead)
    assert exact
    assert contradicted(ahead, order) == min(contradicted(ahead, o) for o in permutations(range(7)))


def test_a_search_says_so_and_comes_close(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    ahead = rng.integers(0, 20, (11, 11)).astype(float)  # no order in it: one cycle of eleven
    np.fill_diagonal(ahead, 0)
    best, exact = kemeny(ahead)
    monkeypatch.setattr(rules, "EXACT", 3)
    found, proved = kemeny(ahead)
    assert (exact, proved, sorted(found.tolist())) == (True, False, list(range(11)))
    assert contradicted(ahead, best) <= contradicted(ahead, found) <= 1.05 * contradicted(ahead, best)


def test_a_majority_cycle_is_one_part_and_a_clear_winner_stands_before_it() -> None:
    held = cast([[3, 0, 1, 2], [3, 1, 2, 0], [3, 2, 0, 1]], 4)
    ahead = preferred(held, held.weights)
    assert copeland(ahead).tolist() == [1, 1, 1, 3]
    assert kemeny(ahead)[0].tolist() == [3, 0, 1, 2]  # what is tied stays in the given order


def test_nobody_listed_is_last_under_every_rule_and_has_a_strength() -> None:
    held = cast([[0, 1, 2, 3, 4]] * 4 + [[1, 0, 2, 3, 4]] * 3, 6)
    found = {rule.name: rule for rule in other_rules(held)}
    assert {name: rule.ranks for name, rule in found.items()} == dict.fromkeys(found, (1, 2, 3, 4, 5, 6))
    strengths = found["Plackett-Luce"].scores
    assert strengths is not None
    assert sum(strengths) == pytest.approx(1, abs=1e-3)
    assert 0 < strengths[-1] < strengths[-2]
