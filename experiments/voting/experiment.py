"""Is the ranking what voters were made to like, for which orders, panels and biases? See README.md."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from experiments.harness import Chart, Claim, Point, Series, of, the
from experiments.voting.orders import VOTERS, WAYS, Shape, best_found_first, edges, fatigue
from experiments.voting.planted import covered, planted
from flair_ray.stages.s5_rank import rank

ORDERS, PANELS = "how the sheets are ordered, 20 scripts and 42 voters", "how many voters, six orders"
BIASES: dict[str, tuple[float, Shape]] = {
    "none": (0.0, edges),
    "first places, half as strong": (0.5, edges),
    "first places": (1.0, edges),
    "fatigue": (1.0, fatigue),
}
"""What a place on the sheet is worth: how much, and of which shape."""
PANEL_SIZES = (6, 12, 24, VOTERS, 84, 168)
CHART = Chart(
    PANELS, x="voters", y=("best script first, %", "true rank in its interval, %"), by="bias", unit="%", log="x"
)


def measure(short: bool) -> list[Point]:
    repetitions, trials, elections = (2, 150, 20) if short else (5, 1_000, 100)
    series = Series()
    for repetition in range(repetitions):
        for told, (bias, shape) in BIASES.items():
            for name, orders in WAYS.items():
                tried = range(repetition * trials, (repetition + 1) * trials)  # each way in the same elections
                found = 100 * float(np.mean([best_found_first(trial, orders, bias, shape) for trial in tried]))
                series.add(ORDERS, {"bias": told, "orders": name}, **{"best script first, %": found})
        for bias in (0.0, 1.0):
            for voters in PANEL_SIZES[1::2] if short else PANEL_SIZES:
                seeds = range(repetition * elections, (repetition + 1) * elections)
                figures = np.mean([_election(seed, voters, bias) for seed in seeds], axis=0)
                named = dict(zip(FIGURES, figures, strict=True))
                series.add(PANELS, {"bias": _told(bias), "voters": voters}, **named)
    return sorted(series.points(), key=lambda p: (p.part != ORDERS, p.part != ORDERS and str(p.case["bias"])))


INSIDE = "true rank in its interval, %"
FIGURES = ("best script first, %", "true best among the first five, %", INSIDE, "ranks in an interval")


def _told(bias: float) -> str:
    return "position bias" if bias else "no bias"


def _election(seed: int, voters: int, bias: float) -> tuple[float, ...]:
    """The figures of one election, in the order of ``FIGURES``."""
    ballots, scripts, truth = planted(seed, voters=voters, bias=bias)
    ranking = rank(ballots, scripts, seed=seed)
    order = [truth[row.script_id] for row in ranking.rows]
    assert ranking.evidence is not None
    width = np.mean([sure.rank_high - sure.rank_low + 1 for sure in ranking.evidence.certainty])
    return 100.0 * (order[0] == 1), 100.0 * (1 in order[:5]), 100 * covered(ranking, truth), float(width)


def claims(points: Sequence[Point]) -> list[Claim]:
    best = "best script first, %"
    biased = [bias for bias in BIASES if bias != "none"]
    one, ours, chance = ([the(points, ORDERS, orders=name, bias=bias)[best] for bias in biased] for name in WAYS)
    panels = {bias: [p for p in of(points, PANELS) if p.case["bias"] == bias] for bias in ("no bias", "position bias")}
    free = panels["no bias"]
    small, large = free[0], free[-1]
    inside = [min(p[INSIDE] for p in some) for some in panels.values()]
    return [
        Claim(
            f"Where places are worth something, six orders find the best script in at least {min(ours):.3g} % of "
            f"elections, one order for all in {max(one):.3g} % at most.",
            min(ours) > max(one),
        ),
        Claim(
            f"An order of its own for each voter does no better: {min(chance):.3g} to {max(chance):.3g} %, "
            f"six orders {min(ours):.3g} to {max(ours):.3g} %.",
            all(random < six + 6 for random, six in zip(chance, ours, strict=True)),
        ),
        Claim(
            f"Larger panels find it more often: {small[best]:.3g} % of {small.case['voters']} voters, "
            f"{large[best]:.3g} % of {large.case['voters']}.",
            large[best] > small[best],
        ),
        Claim(
            f"The true rank is in its 95 % interval in at least {inside[0]:.3g} % of cases, however many voters, "
            f"with position bias in at least {inside[1]:.3g} %.",
            inside[0] >= 90 and inside[1] >= 85,
        ),
    ]  # fmt: skip
