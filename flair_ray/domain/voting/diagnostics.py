"""What may have bent a vote: slopes that should be 0, and the thresholds past which people are told.

Position: each voter's points against where the sheet had the script, within each script, so that good scripts that
happened to stand early are no effect. Its error is clustered by voter: the points of a ballot depend on one another.
Length: the mean points of a script against its words, an ordinary regression over N scripts.

Source: the cluster-robust variance in A. C. Cameron and D. L. Miller, J. Human Resources 50 (2015).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from flair_ray.domain.evidence import Agreement, Caution, Effect
from flair_ray.domain.voting.votes import Floats, Votes

MOST_SPOILED = 0.05
HIVEMIND = 0.7
"""Mean tau. People who judge short videos agree far less; copies of one opinion are near 1."""
LEAST_SCRIPTS = 5
"""Under these no slope over scripts."""
WORDS = 10


def position_effect(votes: Votes) -> Effect | None:
    """Points from being shown first to being shown last; None where all saw one order."""
    voters = len(votes.places)
    if (votes.shown == votes.shown[0]).all():
        return None
    x = votes.shown / votes.shown.max()  # the last place of a sheet, which may have controls on it
    x = x - x.mean(axis=0)
    y = votes.points - votes.points.mean(axis=0)
    slope = float((x * y).sum() / (x**2).sum())
    by_voter = (x * (y - slope * x)).sum(axis=1)
    error = float(np.sqrt((by_voter**2).sum() * voters / (voters - 1)) / (x**2).sum())
    return effect(slope, error, voters - 1)


def length_effect(points: Floats, words: Floats) -> Effect | None:
    """Points per ten words more; None for few scripts, or all of one length."""
    if len(words) < LEAST_SCRIPTS or (words == words[0]).all():
        return None
    x = (words - words.mean()) / WORDS
    y = points.mean(axis=0)
    y = y - y.mean()
    slope = float((x * y).sum() / (x**2).sum())
    df = len(words) - 2
    return effect(slope, float(np.sqrt(((y - slope * x) ** 2).sum() / df / (x**2).sum())), df)


def effect(slope: float, error: float, df: int) -> Effect:
    """A mean or a slope with its 95 % interval."""
    z = 1.96
    t = z + (z**3 + z) / (4 * df) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * df**2)  # Student's quantile, by expansion
    return Effect(round(slope, 4), round(slope - t * error, 4), round(slope + t * error, 4))


def cautions(
    counted: int, spoiled: int, position: Effect | None, agreement: Agreement, top_n: int, unresolved: int
) -> Iterator[Caution]:
    """What to tell people, in words of theirs."""
    share = spoiled / (counted + spoiled)
    if share > MOST_SPOILED:
        text = f"{spoiled} of {counted + spoiled} ballots could not be used ({share:.0%}, over {MOST_SPOILED:.0%})."
        yield Caution("spoiled", text, round(share, 4), MOST_SPOILED)
    if position and position.low * position.high > 0:
        verb = "cost" if position.slope < 0 else "was worth"
        low, high = sorted((abs(position.low), abs(position.high)))
        text = (
            f"Where a script stood on the sheet mattered: the last place instead of the first {verb} "
            f"{abs(position.slope):.1f} points a viewer ({low:.1f} to {high:.1f}). Balanced orders spread that evenly."
        )
        yield Caution("position", text, position.slope, 0.0)
    too_few = agreement.w_by_chance >= 1  # dice could agree entirely, so agreement tells nothing
    if agreement.mean_tau > HIVEMIND and not too_few:
        text = (
            f"The viewers agree more than people do (tau {agreement.mean_tau:.2f}, over {HIVEMIND}): "
            "they may be one opinion, asked many times."
        )
        yield Caution("hivemind", text, agreement.mean_tau, HIVEMIND)
    if agreement.kendalls_w <= agreement.w_by_chance:
        told = "are too few to tell agreement from chance" if too_few else "agree no more than dice would"
        text = f"The viewers {told} (W {agreement.kendalls_w:.2f}): the order may be chance."
        yield Caution("noise", text, agreement.kendalls_w, agreement.w_by_chance)
    if unresolved:
        text = (
            f"Which {top_n} are the best is not settled: {unresolved} script{' is' if unresolved == 1 else 's are'} "
            "among them with some panels of such viewers and not with others."
        )
        yield Caution("cut", text, float(unresolved), 0.0)
