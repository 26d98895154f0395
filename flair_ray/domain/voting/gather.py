"""Everything that is known of one ranking beyond its order, from the ballots behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from flair_ray.domain.ballots import Ballot
from flair_ray.domain.evidence import Certainty, Evidence, Segment
from flair_ray.domain.panel import age_band, attention
from flair_ray.domain.people import Persona
from flair_ray.domain.ranking import Ranking, weights_of
from flair_ray.domain.rigor import original
from flair_ray.domain.scripts import CandidateScript
from flair_ray.domain.voting.agreement import agreement, polarisation
from flair_ray.domain.voting.bootstrap import DRAWS, LEVEL, above, drawn_ranks, intervals
from flair_ray.domain.voting.diagnostics import cautions, length_effect, position_effect
from flair_ray.domain.voting.reliability import reliability, reliability_cautions
from flair_ray.domain.voting.rules import other_rules
from flair_ray.domain.voting.votes import Floats, Ints, Votes, votes

METHOD = (
    f"{DRAWS:,} panels drawn again from the voters, within the balanced orders; {LEVEL:.0%} intervals. It tells how "
    "sure the order is among such simulated viewers, not how a video will do."
)


def evidence(
    ranking: Ranking,
    ballots: Sequence[Ballot],
    scripts: Sequence[CandidateScript],
    personas: Sequence[Persona],
    top_n: int,
    seed: int,
    careful: Sequence[Ballot] = (),
) -> Evidence | None:
    """The evidence for a ranking of these scripts; None for under two ballots or two scripts.

    ``careful``: of a careful run all ballots as cast, with replicates and controls; ``ballots`` are those that count.
    """
    if len(ballots) < 2 or len(scripts) < 2:
        return None
    ids = [row.script_id for row in ranking.rows]
    cast = votes(ballots, ids, weights_of(personas))
    text = {script.script_id: script.text for script in scripts}
    words = np.array([len(text[row.script_id].split()) for row in ranking.rows], np.float64)
    points = cast.points
    ranks = drawn_ranks(points * cast.weights[:, None], cast.strata, seed)
    top_n = min(top_n, len(scripts))
    in_top = (ranks <= top_n).mean(axis=0)
    unresolved = int(((in_top > 1 - LEVEL) & (in_top < LEVEL)).sum())
    agreed, position = agreement(cast), position_effect(cast)
    trusted = reliability(careful, ids, original(scripts, seed).script_id) if careful else None
    told = [*cautions(ranking.ballots, ranking.spoiled, position, agreed, top_n, unresolved)]
    if trusted:
        told += reliability_cautions(trusted)
    return Evidence(
        method=METHOD,
        draws=len(ranks),
        top_n=top_n,
        certainty=_certainty(ranks, in_top, polarisation(points)),
        above=tuple(tuple(row) for row in above(ranks).round(4).tolist()),
        unresolved=unresolved,
        agreement=agreed,
        position=position,
        length=length_effect(points, words),
        segments=_segments(cast, personas),
        rules=other_rules(cast),
        cautions=tuple(told),
        reliability=trusted,
    )


def _certainty(ranks: Ints, in_top: Floats, split: Floats) -> tuple[Certainty, ...]:
    spans = intervals(ranks)
    return tuple(
        Certainty(min(int(low), place), max(int(high), place), round(float(p), 4), round(float(apart), 4))
        for place, ((low, high), p, apart) in enumerate(zip(spans, in_top, split, strict=True), start=1)
    )


def _segments(cast: Votes, personas: Sequence[Persona]) -> tuple[Segment, ...]:
    """Each part of the panel that voted, by age and by attention style."""
    people = {persona.persona_id: persona for persona in personas}
    found = []
    kinds: tuple[tuple[Literal["age", "attention"], Callable[[Persona], str]], ...]
    kinds = (("age", lambda persona: age_band(persona.age)), ("attention", attention))
    for by, name_of in kinds:
        names = np.array([name_of(people[voter]) if voter in people else "" for voter in cast.voters])
        for name in sorted(set(names.tolist()) - {""}):
            chosen = names == name
            mean = cast.points[chosen].mean(axis=0).round(3)
            found.append(Segment(by, name, int(chosen.sum()), tuple(mean.tolist())))
    return tuple(found)
