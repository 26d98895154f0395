"""Elections whose truth is known: a script's true quality, a voter's taste, noise, a liking for places on the sheet."""

from __future__ import annotations

import math

import numpy as np

from experiments.voting.orders import NOISE, QUALITY, TASTE, edges
from flair_ray.domain.ballots import BALLOT_LENGTH, Ballot
from flair_ray.domain.ids import PersonaId, ScriptId
from flair_ray.domain.ranking import Ranking
from flair_ray.domain.scripts import CandidateScript
from flair_ray.stages.s4_vote import BLOCKS, cyclic_orders

Election = tuple[list[Ballot], list[CandidateScript], dict[ScriptId, int]]
"""Ballots, scripts, and the true rank of each script."""


def planted(
    seed: int, scripts: int = 20, voters: int = 42, *, blocks: int = BLOCKS, bias: float = 1.0, quality: float = QUALITY
) -> Election:
    """An election whose truth is known; ``bias`` scales what a place on the sheet is worth."""
    rng = np.random.default_rng(seed)
    ids = [ScriptId(f"script-{n:03d}") for n in range(scripts)]
    true = rng.normal(0, quality, scripts)
    orders = cyclic_orders(scripts, blocks, seed)
    worth = bias * np.array([edges(place, scripts) for place in range(scripts)])
    ballots = []
    for voter in range(voters):
        order = np.array(orders[voter % blocks])
        liking = true + rng.normal(0, math.hypot(TASTE, NOISE), scripts)
        liking[order] += worth
        top = np.argsort(-liking)[:BALLOT_LENGTH]
        ballots.append(
            Ballot(PersonaId(f"p{voter:05d}"), tuple(ids[i] for i in top), tuple(ids[i] for i in order), voter % blocks)
        )
    written = [CandidateScript(i, "", f"Hook {i}.", "word " * int(rng.integers(20, 60)), "End.", 20.0, "") for i in ids]
    return ballots, written, {ids[i]: n for n, i in enumerate(np.argsort(-true), start=1)}


def covered(ranking: Ranking, truth: dict[ScriptId, int]) -> float:
    """The share of scripts whose true rank lies in its interval."""
    assert ranking.evidence is not None
    pairs = zip(ranking.rows, ranking.evidence.certainty, strict=True)
    return float(np.mean([sure.rank_low <= truth[r.script_id] <= sure.rank_high for r, sure in pairs]))
