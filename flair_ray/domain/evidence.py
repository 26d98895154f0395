"""What a ranking rests on, as values: how sure each place is, who agreed, what may have bent the vote.

Tuples with a number per script are in the order of the ranking's rows. Computed in ``domain/voting``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from flair_ray.domain.ids import ScriptId


@dataclass(frozen=True, slots=True)
class Certainty:
    """How sure one script's place is, were other viewers of the same kind asked."""

    rank_low: int
    rank_high: int
    """The 95 % interval of its rank, best and worst."""
    p_top: float
    """How often it is among the best N."""
    polarisation: float
    """0: every viewer gave it the same points. 1: each gave it all or nothing."""


@dataclass(frozen=True, slots=True)
class Effect:
    """A slope that should be 0, with its 95 % interval: points per viewer."""

    slope: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far voters agree. Scripts that a ballot does not list are tied behind those it lists."""

    kendalls_w: float
    """0: as much as dice; 1: one opinion. Corrected for ties."""
    w_by_chance: float
    """What voters without any opinion stay under, 95 times in 100."""
    mean_tau: float
    """Kendall's tau-b, the mean over all pairs of voters: -1 to 1."""


@dataclass(frozen=True, slots=True)
class Segment:
    """How one part of the panel voted."""

    by: Literal["age", "attention"]
    name: str
    voters: int
    points: tuple[float, ...]
    """Per script, the mean over these voters."""


@dataclass(frozen=True, slots=True)
class OtherRule:
    """The same ballots under another rule: a point estimate, to be compared and not to be added up."""

    name: str
    method: str
    """Exact, or how it was searched."""
    ranks: tuple[int, ...]
    scores: tuple[float, ...] | None
    """Per script; None where the rule orders and does not score."""


@dataclass(frozen=True, slots=True)
class Reliability:
    """Of a careful run: voters who were asked twice, a script that was shown twice, and a dull one."""

    asked_again: int
    """Voters with two ballots."""
    tau: float | None
    """Kendall's tau-b between a voter's two ballots, the mean."""
    same_first: float | None
    """The share with the same first choice."""
    copied: ScriptId
    copy: Effect
    """The copy's points less the original's; should be 0."""
    dull_rank: int
    """Where the dull script came, controls included; should be last."""
    scripts: int
    """On the sheet, controls included."""


@dataclass(frozen=True, slots=True)
class Caution:
    """A measured value past its threshold, and what that means."""

    kind: Literal["spoiled", "position", "hivemind", "noise", "cut", "retest", "copy", "dull"]
    text: str
    value: float
    threshold: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that is known of a ranking beyond its order."""

    method: str
    draws: int
    top_n: int
    certainty: tuple[Certainty, ...]
    above: tuple[tuple[float, ...], ...]
    """Per script and other script, how often it is ranked above that."""
    unresolved: int
    """Scripts that are neither clearly among the best N nor clearly not."""
    agreement: Agreement
    position: Effect | None
    """From the first place on the sheet to the last; None where all saw one order."""
    length: Effect | None
    """Per ten words; None where there is too little to tell."""
    segments: tuple[Segment, ...]
    rules: tuple[OtherRule, ...]
    cautions: tuple[Caution, ...]
    reliability: Reliability | None = None
    """None unless the run was a careful one."""
