"""Truncated Borda: from ordered top-five ballots to one ranking, the same for every order of arrival.

A script gets 5 points for each first place, 4 for each second, … 1 for each fifth, times the voter's weight. Ties break
by, in turn: more pairwise wins; more first choices; the smaller content hash. The last settles nothing about
quality, and says so, but it depends on the script alone and never on which ballot came first.

Pairwise: on one ballot a listed script beats every unlisted one, and unlisted ones do not compare.
Source: P. Emerson, "The original Borda count and partial voting", Social Choice and Welfare 40 (2013).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from types import MappingProxyType

from flair_ray.domain.ballots import BALLOT_LENGTH, Ballot
from flair_ray.domain.evidence import Evidence
from flair_ray.domain.ids import PersonaId, ScriptId, digest
from flair_ray.domain.people import Persona
from flair_ray.domain.scripts import CandidateScript

DIGITS = 9
"""To which sums are rounded, so that parts of a weight add up to it."""
RULE = "truncated Borda 5-4-3-2-1; ties: pairwise wins, first choices, content hash"


@dataclass(frozen=True, slots=True)
class RankedScript:
    """One row of a ranking."""

    script_id: ScriptId
    rank: int
    score: float
    first_choices: int
    mentions: int
    """On how many ballots it appears."""
    pairwise_wins: int
    """Against how many other scripts more voters preferred it than not."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """All scripts, best first (output of S5). A simulated pre-screen, not a forecast of views."""

    rows: tuple[RankedScript, ...]
    ballots: int
    spoiled: int
    """Voters asked whose ballot could not be used."""
    late: int = 0
    """Voters asked whose ballot had not come when the counting began."""
    rule: str = RULE
    evidence: Evidence | None = None
    """None where only the order was asked for, or there was too little to say more."""

    def top(self, n: int) -> tuple[RankedScript, ...]:
        return self.rows[:n]

    def open_to_late(self, n: int, heaviest: float = 1.0) -> bool:
        """Whether the late ballots, whatever they say, could change which scripts are the best ``n``.

        Each gives a script at most five points, times the weight of its voter, and may give another none: a gap between
        places n and n + 1 that is no wider than that for each of them could close.
        """
        if not self.late or not 0 < n < len(self.rows):
            return False
        return self.rows[n - 1].score - self.rows[n].score <= BALLOT_LENGTH * self.late * heaviest


Weights = Mapping[PersonaId, float]
"""How much voters count; who is not in it counts once."""


def weights_of(personas: Iterable[Persona]) -> Weights:
    return {persona.persona_id: persona.weight for persona in personas}


def borda_scores(
    ballots: Sequence[Ballot], ids: Sequence[ScriptId], weights: Weights = MappingProxyType({})
) -> dict[ScriptId, float]:
    """Points per script. Ballots shorter than five still give 5 to their first place."""
    scores = dict.fromkeys(ids, 0.0)
    for ballot in ballots:
        for place, script_id in enumerate(ballot.top[:BALLOT_LENGTH]):
            scores[script_id] += (BALLOT_LENGTH - place) * weights.get(ballot.persona_id, 1.0)
    return {script_id: round(score, DIGITS) for script_id, score in scores.items()}


def pairwise_wins(
    ballots: Sequence[Ballot], ids: Sequence[ScriptId], weights: Weights = MappingProxyType({})
) -> dict[ScriptId, int]:
    """For each script, how many others it beats by majority of the ballots that compare the two."""
    mentions: dict[ScriptId, float] = defaultdict(float)
    ahead: dict[tuple[ScriptId, ...], float] = defaultdict(float)
    for ballot in ballots:
        weight = weights.get(ballot.persona_id, 1.0)
        for script_id in ballot.top:
            mentions[script_id] += weight
        for pair in combinations(ballot.top, 2):
            ahead[pair] += weight
    wins = dict.fromkeys(ids, 0)
    for a, b in combinations(ids, 2):
        # Ballots that list both cancel out of the mentions, and those that list one count for it.
        margin = round(mentions[a] - mentions[b] + ahead[a, b] - ahead[b, a], DIGITS)
        if margin:
            wins[a if margin > 0 else b] += 1
    return wins


def rank(
    ballots: Sequence[Ballot],
    scripts: Sequence[CandidateScript],
    spoiled: int = 0,
    late: int = 0,
    weights: Weights = MappingProxyType({}),
) -> Ranking:
    """Rank every script. M ballots over N scripts → N rows; independent of the order of both."""
    ids = [s.script_id for s in scripts]
    ballots = sorted(ballots, key=lambda ballot: ballot.persona_id)  # sums of fractions depend on their order
    scores = borda_scores(ballots, ids, weights)
    wins = pairwise_wins(ballots, ids, weights)
    firsts = Counter(b.top[0] for b in ballots)
    weight_first: dict[ScriptId, float] = defaultdict(float)
    for ballot in ballots:
        weight_first[ballot.top[0]] += weights.get(ballot.persona_id, 1.0)
    mentions = Counter(script_id for b in ballots for script_id in b.top)
    content = {s.script_id: digest(s.hook, s.body, s.payoff) + s.script_id for s in scripts}
    best_first = sorted(ids, key=lambda i: (-scores[i], -wins[i], -round(weight_first[i], DIGITS), content[i]))
    rows = tuple(
        RankedScript(i, place, scores[i], firsts[i], mentions[i], wins[i])
        for place, i in enumerate(best_first, start=1)
    )
    return Ranking(rows, ballots=len(ballots), spoiled=spoiled, late=late)
