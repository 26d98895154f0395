"""Other rules over the same ballots. Where they agree with the declared one, the choice of rule decided nothing.

All read a ballot alike: listed scripts in their order, then all others, tied. Scripts come in the declared rule's
order, and every tie of another rule is left in it.

A script that moves up on ballots never falls by the declared rule or averaged Borda. By Copeland it may where it takes
another one's place on a ballot, and by Kemeny even a swap of two may lower it, unless it is first.

Sources: H. P. Young, "Condorcet's theory of voting", APSR 82 (1988), for Kemeny, and for parting it at the strong
components of the majority graph, J. C. Truchon, "An extension of the Condorcet criterion" (1998); D. R. Hunter, "MM
algorithms for generalized Bradley-Terry models", Ann. Statist. 32 (2004), for Plackett-Luce.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from flair_ray.domain.evidence import OtherRule
from flair_ray.domain.voting.agreement import preferred
from flair_ray.domain.voting.votes import Floats, Ints, Votes

EXACT = 16
"""Scripts of one majority cycle that are solved exactly, over 2^16 subsets in 0.1 s; more are searched."""
PRIOR = 0.1
"""Without one a script that nobody lists would have no strength at all."""
STEPS, CLOSE = 1000, 1e-9


def other_rules(votes: Votes) -> tuple[OtherRule, ...]:
    """V ballots over N scripts → four rules. Raises nothing; what is too large to be exact says so."""
    ahead = preferred(votes, votes.weights)
    order, exact = kemeny(ahead)
    searched = "exact" if exact else f"searched: more than {EXACT} scripts in one cycle of majorities"
    return (
        _by_score("averaged Borda", "unlisted scripts share the points left", averaged_borda(votes)),
        _by_score("Copeland", "majorities won, ties half", copeland(ahead)),
        OtherRule("Kemeny", searched, tuple(int(rank) for rank in np.argsort(order) + 1), None),
        _by_score("Plackett-Luce", "strengths sum to 1", plackett_luce(votes)),
    )


def _by_score(name: str, method: str, scores: Floats) -> OtherRule:
    rounded = scores.round(9)  # so that equal scores are equal
    order = np.argsort(-rounded, kind="stable")
    ranks = tuple(int(rank) for rank in np.argsort(order) + 1)
    return OtherRule(name, method, ranks, tuple(float(score) for score in rounded))


def averaged_borda(votes: Votes) -> Floats:
    """N: a point for each script that stands behind, half a point for each that is tied."""
    scripts = votes.places.shape[1]
    k = votes.listed.sum(axis=1, keepdims=True)
    points = np.where(votes.listed, scripts - 1 - votes.places, (scripts - k - 1) / 2)
    return np.asarray((points * votes.weights[:, None]).sum(axis=0))


def copeland(ahead: Floats) -> Floats:
    """N: how many others a script beats, a tie counted half."""
    margin = (ahead - ahead.T).round(9)
    return np.asarray((margin > 0).sum(axis=1) + ((margin == 0).sum(axis=1) - 1) / 2)


def kemeny(ahead: Floats) -> tuple[Ints, bool]:
    """The order that contradicts the fewest preferences, best first, and whether that is proved.

    Scripts that beat all of a group come before it in every such order, so each cycle of majorities is solved alone.
    """
    parts = list(_components((ahead - ahead.T).round(9)))
    solved = [_exact(ahead, part) if len(part) <= EXACT else _searched(ahead, part) for part in parts]
    return np.concatenate(solved), all(len(part) <= EXACT for part in parts)


def _components(margin: Floats) -> Iterator[Ints]:
    """Groups such that every script of an earlier one strictly beats every script of a later one, best first."""
    order = np.argsort(-((margin > 0).sum(axis=1) + (margin >= 0).sum(axis=1)), kind="stable")
    beats = margin[np.ix_(order, order)] > 0
    begin, n = 0, len(order)
    for end in range(1, n + 1):
        if beats[begin:end, end:].all():
            yield np.sort(order[begin:end])
            begin = end


def _exact(ahead: Floats, part: Ints) -> Ints:
    """Over all subsets: the best order of a set ends in one script, behind the best order of the others."""
    n, wrong = len(part), ahead[np.ix_(part, part)]
    against = np.zeros((n, 1 << n))  # what putting script i behind all of a set contradicts
    for bit in range(n):
        against[:, 1 << bit : 2 << bit] = against[:, : 1 << bit] + wrong[:, [bit]]
    cost, last = np.full(1 << n, np.inf), np.zeros(1 << n, np.int64)
    cost[0] = 0
    sets = np.arange(1 << n)
    sizes = np.bitwise_count(sets)
    for size in range(1, n + 1):
        level = sets[sizes == size]
        for i in reversed(range(n)):
            held = level[level >> i & 1 == 1]
            tried = cost[held ^ 1 << i] + against[i, held ^ 1 << i]
            better = tried < cost[held] - CLOSE
            cost[held[better]], last[held[better]] = tried[better], i
    order, left = [], (1 << n) - 1
    while left:
        order.append(int(last[left]))
        left ^= 1 << order[-1]
    return part[order[::-1]]


def _searched(ahead: Floats, part: Ints) -> Ints:
    """From the given order, scripts are moved to where they contradict least until none gains by moving."""
    order = part.copy()
    moved = True
    while moved:
        moved = False
        for script in part:
            rest = order[order != script]
            gains = np.concatenate(([0.0], np.cumsum(ahead[script, rest] - ahead[rest, script])))
            here = int(np.flatnonzero(order == script)[0])
            best = int(np.argmin(gains.round(9)))
            if gains[best] < gains[here] - 1e-9:
                order, moved = np.insert(rest, best, script), True
    return order


def plackett_luce(votes: Votes, prior: float = PRIOR) -> Floats:
    """N strengths that sum to 1: each choice is made among the scripts not chosen yet, in proportion to strength.

    ``prior`` is so many further voters for each script who name it alone.
    """
    scripts = votes.places.shape[1]
    choices = np.minimum(votes.listed.sum(axis=1), scripts - 1)  # the last one of all is no choice
    depth = int(choices.max(initial=0))
    top = np.argsort(votes.places, axis=1, kind="stable")[:, :depth]
    counted = votes.weights[:, None] * (np.arange(depth) < choices[:, None])
    wins = np.bincount(top.ravel(), counted.ravel(), minlength=scripts) + prior
    strength = np.full(scripts, 1 / scripts)
    for _ in range(STEPS):
        behind = np.cumsum(strength[top], axis=1) - strength[top]
        rate = counted / np.maximum(1 - behind, CLOSE)
        gone = rate.sum(axis=1, keepdims=True) - np.cumsum(rate, axis=1)  # at choices that come after its own
        rates = rate.sum() - np.bincount(top.ravel(), gone.ravel(), minlength=scripts) + scripts * prior
        stronger = wins / rates
        stronger /= stronger.sum()
        if np.abs(stronger - strength).max() < CLOSE:
            break
        strength = stronger
    return np.asarray(stronger)
