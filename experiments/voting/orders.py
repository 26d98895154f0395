"""Does it matter in which order the scripts are shown? Three ways, simulated, scored by our own rule.

    python -m experiments.voting.orders [--trials N]

A voter's liking of a script is its true quality (sd 0.8) + the voter's taste (0.7) + noise (0.7) + a bias for
the place where it stands: 2 · (e^(−x/3) + 0.4 · e^(−(19−x)/2)), strong at the start, weaker at the end. 42 voters
rank their five favourites of 20. Reported is how often the truly best script comes first, and its standard error.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Callable, Sequence

from flair_ray.domain.ballots import BALLOT_LENGTH, Ballot
from flair_ray.domain.ids import PersonaId, ScriptId
from flair_ray.domain.ranking import borda_scores
from flair_ray.stages.s4_vote import BLOCKS, cyclic_orders

SCRIPTS, VOTERS = 20, 42
QUALITY, TASTE, NOISE = 0.8, 0.7, 0.7
IDS = [ScriptId(str(i)) for i in range(SCRIPTS)]

Orders = Callable[[int, random.Random], Sequence[Sequence[int]]]
"""From a trial's number to the orders that its voters are dealt."""
Shape = Callable[[int, int], float]
"""What a place on a sheet of so many scripts is worth."""


def edges(place: int, scripts: int) -> float:
    """The first places most of all, and the last ones a little."""
    return 2 * (math.exp(-place / 3) + 0.4 * math.exp(-(scripts - 1 - place) / 2))


def fatigue(place: int, scripts: int) -> float:
    """Each place less than the one before, by as much."""
    return 3 * (1 - place / (scripts - 1))


def best_found_first(trial: int, orders: Orders, bias: float = 1.0, shape: Shape = edges) -> bool:
    """Whether the truly best script wins this trial; ``bias`` scales what a place is worth."""
    rng = random.Random(trial)
    quality = [rng.gauss(0, QUALITY) for _ in IDS]
    dealt, worth = orders(trial, rng), [bias * shape(x, SCRIPTS) for x in range(SCRIPTS)]
    ballots = [_ballot(quality, dealt[voter % len(dealt)], rng, worth) for voter in range(VOTERS)]
    scores = borda_scores(ballots, IDS)
    return max(range(SCRIPTS), key=lambda i: scores[IDS[i]]) == quality.index(max(quality))


def _ballot(quality: Sequence[float], order: Sequence[int], rng: random.Random, worth: Sequence[float]) -> Ballot:
    liking = {i: quality[i] + rng.gauss(0, TASTE) + rng.gauss(0, NOISE) + worth[x] for x, i in enumerate(order)}
    top = sorted(liking, key=lambda i: -liking[i])[:BALLOT_LENGTH]
    return Ballot(PersonaId(""), tuple(IDS[i] for i in top), (), 0)


WAYS: dict[str, Orders] = {
    "one order for all": lambda trial, _: cyclic_orders(SCRIPTS, 1, trial),
    f"{BLOCKS} cyclic orders": lambda trial, _: cyclic_orders(SCRIPTS, BLOCKS, trial),
    f"{VOTERS} random orders": lambda _, rng: [rng.sample(range(SCRIPTS), SCRIPTS) for _ in range(VOTERS)],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=5000, help="default 5000, a quarter of a minute")
    trials: int = parser.parse_args().trials
    for name, orders in WAYS.items():
        share = sum(best_found_first(trial, orders) for trial in range(trials)) / trials
        print(f"{name:<20} {share:.2f} ± {math.sqrt(share * (1 - share) / trials):.3f}")


if __name__ == "__main__":
    main()
