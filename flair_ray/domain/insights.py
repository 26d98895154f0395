"""What posts have taught: which patterns a creator's audience rewarded, and how well the panel had ranked.

Counted is a script on a platform: several posts of it there are one, by their median, and platforms do not compare.
Engagement is interactions per view. A post without views has none.

Patterns: the log of each one's engagement against the creator's usual on that platform (the median), outliers pulled
in to three robust deviations, or to twice the usual where most are alike; per pattern the mean, shrunk toward the usual
by n / (n + 3), as in S2. Interval: of a normal mean under that shrinkage.

The panel: among scripts of one run on one platform, the share of pairs that it had put in the order of their
engagement; ties count half. That is (τ + 1) / 2 for Kendall's τ, pooled over runs. Pairs share scripts, so n scripts
are worth n / 2 independent pairs and no more: Hoeffding's bound on the variance of a U-statistic. Wilson's interval for
that many trials never closes, not even where all pairs agree, as a bootstrap's would.

Sources: W. Hoeffding, "A class of statistics with asymptotically normal distribution", Ann. Math. Statist. 19 (1948),
section 5; E. B. Wilson, "Probable inference", JASA 22 (1927).

Invariant: the same for every order of the posts. Under ``LEAST_POSTS`` nothing is claimed. Association, never cause.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import exp, fsum, log, sqrt
from statistics import median

from flair_ray.domain.ids import RunId, ScriptId
from flair_ray.domain.patterns import hook_of
from flair_ray.domain.posts import Post

LEAST_POSTS = 10
SHRINKAGE = 3.0
"""Pseudo-count of scripts that did as usual."""
Z = 1.96
"""95 % of a normal distribution."""
ROBUST = 1.4826
"""A normal distribution's standard deviation, in median absolute ones."""
METHOD = (
    "Share of pairs of posted scripts, of one run and on one platform, that the panel had put in the order of their "
    "engagement per view; ties count half. 95 % interval after Wilson, n scripts counted as n/2 independent pairs."
)

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one script did on one platform."""

    run_id: RunId
    platform: str
    script_id: ScriptId
    rank: int | None
    """Where the panel had placed it."""
    pattern: str
    posts: int
    rate: float
    """Interactions per view, the median of its posts."""
    log_rate: float
    """The same in logs, defined for a post without any interaction."""


@dataclass(frozen=True, slots=True)
class PatternResult:
    """How scripts of one pattern, or of one hook, did."""

    pattern: str
    n: int
    """Scripts, each counted once a platform."""
    engagement_rate: float
    """Median of their interactions per view."""
    lift: float
    """Against what is usual for this creator, shrunk toward 1."""
    interval: Interval
    """Of the lift."""


@dataclass(frozen=True, slots=True)
class Insights:
    """What can be said, and on what it rests."""

    top_patterns: tuple[PatternResult, ...]
    """Best first."""
    hook_types: tuple[PatternResult, ...]
    prediction_accuracy: float | None
    """0 to 1; a coin has 0.5. None where nothing can be claimed."""
    n: int
    """Scripts that were compared."""
    pairs: int
    interval: Interval | None
    method: str
    note: str
    """Why there is no figure, or how to read it."""
    total_videos_tracked: int


def insights(posts: Sequence[Post]) -> Insights:
    """Any number of posts of one creator, in any order."""
    seen = outcomes(posts)
    rated = sum(o.posts for o in seen)
    if rated < LEAST_POSTS:
        note = f"Nothing is claimed under {LEAST_POSTS} posts with views; there {_are(rated)}."
        return Insights((), (), None, 0, 0, None, METHOD, note, len(posts))
    groups = comparable(seen)
    accuracy, pairs, interval = agreement(groups)
    compared = sum(o.posts for group in groups for o in group)
    n = sum(map(len, groups))
    if compared < LEAST_POSTS:
        accuracy, interval = None, None
        note = (
            f"The panel is compared on {LEAST_POSTS} posts or more whose runs have another script posted on the same "
            f"platform; there {_are(compared)}."
        )
    else:
        low, high = interval or (0.0, 1.0)
        note = (
            f"Of two posted scripts the panel had the better one first in {accuracy:.0%} of cases "
            f"({low:.0%} to {high:.0%}); a coin has 50%."
        )
    return Insights(
        top_patterns=pattern_results(seen, [o.pattern for o in seen]),
        hook_types=pattern_results(seen, [hook_of(o.pattern) for o in seen]),
        prediction_accuracy=accuracy,
        n=n,
        pairs=pairs,
        interval=interval,
        method=METHOD,
        note=note,
        total_videos_tracked=len(posts),
    )


def _are(count: int) -> str:
    return "is 1" if count == 1 else f"are {count}"


def outcomes(posts: Iterable[Post]) -> list[Outcome]:
    """One per script and platform that has views."""
    groups: dict[tuple[RunId, str, ScriptId], list[Post]] = defaultdict(list)
    for post in posts:
        if post.engagement.rate() is not None:
            groups[post.run_id, post.platform, post.script_id].append(post)
    return [_outcome(group) for group in groups.values()]


def _outcome(posts: Sequence[Post]) -> Outcome:
    rates = [post.engagement.rate() or 0.0 for post in posts]
    logs = [log((post.likes + post.comments + post.shares + 0.5) / (post.views + 1)) for post in posts]
    one = posts[0]
    rank = min((post.rank for post in posts if post.rank), default=None)
    pattern = max(post.pattern_used for post in posts)
    return Outcome(one.run_id, one.platform, one.script_id, rank, pattern, len(posts), median(rates), median(logs))


def pattern_results(seen: Sequence[Outcome], names: Sequence[str]) -> tuple[PatternResult, ...]:
    """One result per name, ``names[i]`` being that of ``seen[i]``; the best lift first. Nameless ones are left out."""
    excess = _excess(seen)
    spread = sqrt(fsum(x * x for x in excess) / len(excess)) if excess else 0.0
    groups: dict[str, list[int]] = defaultdict(list)
    for index, name in enumerate(names):
        groups[name].append(index)
    found = (
        _pattern_result(name, [excess[i] for i in members], [seen[i].rate for i in members], spread)
        for name, members in groups.items()
        if name
    )
    return tuple(sorted(found, key=lambda result: (-result.lift, result.pattern)))


def _pattern_result(name: str, excess: Sequence[float], rates: Sequence[float], spread: float) -> PatternResult:
    n = len(excess)
    mean, deviation = fsum(excess) / (n + SHRINKAGE), spread / sqrt(n + SHRINKAGE)
    low, high = exp(mean - Z * deviation), exp(mean + Z * deviation)
    return PatternResult(name, n, median(rates), exp(mean), (low, high))


def _excess(seen: Sequence[Outcome]) -> list[float]:
    """Log engagement above the usual of its platform, in the order of ``seen``; outliers pulled in."""
    by_platform: dict[str, list[float]] = defaultdict(list)
    for o in seen:
        by_platform[o.platform].append(o.log_rate)
    usual = {platform: median(logs) for platform, logs in by_platform.items()}
    excess = [o.log_rate - usual[o.platform] for o in seen]
    most = max(log(2), 3 * ROBUST * median(map(abs, excess))) if excess else 0.0
    return [max(-most, min(most, x)) for x in excess]


def comparable(seen: Iterable[Outcome]) -> list[list[Outcome]]:
    """What the panel had ranked against one another and may be compared: by run and platform, two or more each."""
    groups: dict[tuple[RunId, str], list[Outcome]] = defaultdict(list)
    for o in seen:
        if o.rank is not None:
            groups[o.run_id, o.platform].append(o)
    return [group for group in groups.values() if len(group) > 1]


def agreement(groups: Sequence[Sequence[Outcome]]) -> tuple[float | None, int, Interval | None]:
    """The share of pairs that the panel had in the right order, how many pairs there are, and the share's interval."""
    credits = [[_credit(a, b) for a, b in combinations(group, 2)] for group in groups]
    pairs = sum(map(len, credits))
    if not pairs:
        return None, 0, None
    share = fsum(map(fsum, credits)) / pairs
    variance = fsum((len(c) / pairs) ** 2 / (len(g) / 2) for c, g in zip(credits, groups, strict=True))
    return share, pairs, wilson(share, 1 / variance)


def _credit(a: Outcome, b: Outcome) -> float:
    """Whether the panel had these two in the order of their engagement."""
    assert a.rank is not None  # noqa: S101  # as ``comparable`` leaves them
    assert b.rank is not None  # noqa: S101
    if a.rate == b.rate or a.rank == b.rank:
        return 0.5
    return float((a.rank < b.rank) == (a.rate > b.rate))


def wilson(share: float, trials: float) -> Interval:
    """The 95 % interval of a share of so many independent trials, which need not be a whole number."""
    k = Z * Z / trials
    middle, half = share + k / 2, sqrt(k * (share * (1 - share) + k / 4))
    return max(0.0, min(share, (middle - half) / (1 + k))), min(1.0, max(share, (middle + half) / (1 + k)))


def ballot_agreement(top: Sequence[ScriptId], script: Outcome, others: Iterable[Outcome]) -> float | None:
    """How well one voter had placed ``script`` among others of its run and platform: the share of pairs in the order of
    their engagement. What a ballot does not list stands below what it lists and is not compared among itself.

    None where there is nothing to compare.
    """
    places = {script_id: place for place, script_id in enumerate(top)}
    unlisted = len(places)
    credits = []
    for other in others:
        gap = places.get(other.script_id, unlisted) - places.get(script.script_id, unlisted)
        if gap:
            credits.append(0.5 if script.rate == other.rate else float((gap > 0) == (script.rate > other.rate)))
    return fsum(credits) / len(credits) if credits else None
