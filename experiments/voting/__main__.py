"""Does a ranking find what voters were made to like, how often is the truth in its intervals, and what does it cost?

    python -m experiments.voting [--elections N]

Part of `make bench`. Voters are planted (planted.py). Coverage is the share of scripts whose true rank lies in the 95 %
interval. Speed is the CPU time of one whole S5.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from experiments.rows import Row, row, table
from experiments.voting.planted import covered, planted
from flair_ray.stages.s5_rank import rank


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
