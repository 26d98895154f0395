"""Does a ranking find what voters were made to like, how often is the truth in its intervals, and what does it cost?

    python -m experiments.voting [--elections N]

Voters are planted as in ``ballot_orders``: a script's true quality, a voter's taste, noise, a liking for places.
Coverage is the share of scripts whose true rank lies in the 95 % interval. Speed is the CPU time of one whole S5.
"""

from __future__ import annotations

import argparse
import math
import time

import numpy as np

from experiments.ballot_orders import NOISE, QUALITY, TASTE
from experiments.rows import Row, row, table
from flair_ray.domain.ballots import BALLOT_LENGTH, Ballot
from flair_ray.domain.ids import PersonaId, ScriptId
from flair_ray.domain.ranking import Ranking
from flair_ray.domain.scripts import CandidateScript
from flair_ray.stages.s4_vote import BLOCKS, cyclic_orders
from flair_ray.stages.s5_rank import rank

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
    place = np.arange(scripts)
    worth = bias * 2 * (np.exp(-place / 3) + 0.4 * np.exp(-(scripts - 1 - place) / 2))
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


def _coverage(elections: int, bias: float) -> Row:
    missed = []
    for seed in range(elections):
        ballots, scripts, truth = planted(seed, bias=bias)
        missed.append(1 - covered(rank(ballots, scripts, seed=seed), truth))
    name = f"true ranks missed, {elections} elections, {'with' if bias else 'without'} position bias"
    return row(name, [float(np.mean(missed))], "", limit=0.10)


def _speed(scripts: int, voters: int, times: int, limit_s: float) -> Row:
    ballots, written, _ = planted(1, scripts, voters)
    taken = []
    for _ in range(times):
        begun = time.process_time()
        rank(ballots, written, seed=1)
        taken.append(time.process_time() - begun)
    return row(f"S5, {scripts} scripts by {voters:,} voters, CPU", taken, "s", limit=limit_s)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--elections", type=int, default=200)
    elections: int = parser.parse_args().elections
    rows = [_coverage(elections, bias) for bias in (0.0, 1.0)]
    rows += [_speed(20, 42, 20, 1.5), _speed(200, 10_000, 3, 60.0)]
    print(table(rows))
    raise SystemExit(0 if all(r.kept for r in rows) else 1)


if __name__ == "__main__":
    main()
