"""S2, a reduce: the patterns of all videos → a library of the mechanics that recur.

Patterns are keyed on (hook type, pacing, emotional arc). Each entry knows its support n and, where the
collection has engagement numbers, its lift: the median rate of its videos over the collection's median,
shrunk toward 1 by n / (n + 3) because three lucky videos prove little; once per view and once per follower. Beside
the entries stands which mechanics meet more often than chance would have it. This is association, never cause.

Deterministic: the same patterns in any order give the same library, entry for entry.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, combinations
from math import fsum
from statistics import median

from flair_ray.domain.ids import VideoId
from flair_ray.domain.patterns import (
    EmotionalArc,
    Exemplar,
    HookType,
    Pacing,
    Pattern,
    PatternEntry,
    PatternLibrary,
    Together,
    Trigger,
)
from flair_ray.domain.videos import Video

SHRINKAGE = 3.0
"""Pseudo-count of videos at lift 1: at n = 3 half of the measured lift is believed."""
EXEMPLARS = 3
COMMON_TRIGGERS = 4
PAIRS, LEAST_TOGETHER = 8, 3
"""Pairs of mechanics that are named, and the videos that one takes to be more than an accident."""

Rates = Mapping[VideoId, float]
Key = tuple[HookType, Pacing, EmotionalArc]


def aggregate(patterns: Sequence[Pattern], videos: Sequence[Video]) -> PatternLibrary:
    """N patterns (N ≥ 1) → 1 to N entries, the most promising first."""
    rates = _known((v.video_id, v.engagement.rate()) for v in videos)
    per_follower = _known((v.video_id, v.engagement.per_follower()) for v in videos)
    groups: dict[Key, list[Pattern]] = defaultdict(list)
    for pattern in patterns:
        groups[pattern.hook_type, pattern.pacing, pattern.emotional_arc].append(pattern)
    lifts = {key: _lift(group, rates) for key, group in groups.items()}
    reach = {key: _lift(group, per_follower) for key, group in groups.items()}
    raw = {key: len(group) * (lifts[key] or reach[key] or 1.0) for key, group in groups.items()}
    order = sorted(groups, key=lambda key: (-raw[key], key))
    total = fsum(raw.values())  # exact, so that the order in which patterns come plays no part
    return PatternLibrary(
        entries=tuple(
            _entry(f"P{place:02d}", key, groups[key], lifts[key], reach[key], raw[key] / total, rates)
            for place, key in enumerate(order, start=1)
        ),
        videos=len(patterns),
        median_engagement=_median(rates.values(), 5),
        median_words_per_second=_median((p.words_per_second for p in patterns if p.words_per_second), 2),
        median_per_follower=_median(per_follower.values(), 5),
        together=_together(patterns),
        quotes=sum(p.quotes for p in patterns),
        quotes_dropped=sum(p.quotes_dropped for p in patterns),
    )


def _known(rated: Iterable[tuple[VideoId, float | None]]) -> Rates:
    return {video_id: rate for video_id, rate in rated if rate is not None}


def _median(values: Iterable[float], digits: int) -> float | None:
    known = list(values)
    return round(median(known), digits) if known else None


def _lift(group: Sequence[Pattern], rates: Rates) -> float | None:
    known = [rates[p.video_id] for p in group if p.video_id in rates]
    overall = median(rates.values()) if known else 0.0
    if not overall:
        return None
    belief = len(known) / (len(known) + SHRINKAGE)
    return round(1.0 + belief * (median(known) / overall - 1.0), 3)


def _entry(
    pattern_id: str,
    key: Key,
    group: Sequence[Pattern],
    lift: float | None,
    lift_per_follower: float | None,
    weight: float,
    rates: Rates,
) -> PatternEntry:
    best = sorted(group, key=lambda p: (-rates.get(p.video_id, 0.0), p.video_id))[:EXEMPLARS]
    loops = [loop for p in group for loop in p.loops]
    return PatternEntry(
        pattern_id=pattern_id,
        hook_type=key[0],
        pacing=key[1],
        emotional_arc=key[2],
        support=len(group),
        lift=lift,
        weight=weight,
        triggers=_commonest(chain.from_iterable(p.triggers for p in group)),
        structures=tuple(p.structure for p in best),
        exemplars=tuple(
            Exemplar(p.video_id, p.hook, p.engagement_quote.text if p.engagement_quote else "") for p in best
        ),
        rated=sum(p.video_id in rates for p in group),
        lift_per_follower=lift_per_follower,
        loop_opens=_median((loop.opens.at for loop in loops), 2),
        loop_closes=_median((loop.closes.at for loop in loops if loop.closes), 2),
    )


def _together(patterns: Sequence[Pattern]) -> tuple[Together, ...]:
    """The pairs that meet more often than their counts alone explain, strongest first; one with itself is none."""
    sets = [_mechanics(p) for p in patterns]
    single = Counter(chain.from_iterable(sets))
    pairs = Counter(chain.from_iterable(combinations(mechanics, 2) for mechanics in sets))
    found = (
        Together(a, b, n, _times_chance(n, single[a] * single[b] / len(sets)))
        for (a, b), n in pairs.items()
        if n >= LEAST_TOGETHER
    )
    more = [pair for pair in found if pair.times_chance > 1.0]
    return tuple(sorted(more, key=lambda t: (-t.times_chance, -t.support, t.first, t.second))[:PAIRS])


def _mechanics(pattern: Pattern) -> list[str]:
    """All of one video's, by the names people read, in one order for every video."""
    names = (f"{pattern.hook_type} hook", f"{pattern.pacing} pacing", pattern.emotional_arc, *sorted(pattern.triggers))
    return [name.replace("_", " ") for name in dict.fromkeys(names)]


def _times_chance(n: int, expected: float) -> float:
    return round((n + SHRINKAGE) / (expected + SHRINKAGE), 2)


def _commonest(triggers: Iterable[Trigger]) -> tuple[Trigger, ...]:
    counts = Counter(triggers)
    return tuple(sorted(counts, key=lambda t: (-counts[t], t))[:COMMON_TRIGGERS])
