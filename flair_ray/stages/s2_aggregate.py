"""S2, a reduce: the patterns of all videos → a library of the mechanics that recur.

Patterns are keyed on (hook type, pacing, emotional arc). Each entry knows its support n and, where the
collection has engagement numbers, its lift: the median rate of its videos over the collection's median,
shrunk toward 1 by n / (n + 3) because three lucky videos prove little. This is association, never cause.

Deterministic: the same patterns in any order give the same library, entry for entry.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
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
    Trigger,
)
from flair_ray.domain.videos import Video

SHRINKAGE = 3.0
"""Pseudo-count of videos at lift 1: at n = 3 half of the measured lift is believed."""
EXEMPLARS = 3
COMMON_TRIGGERS = 4

Key = tuple[HookType, Pacing, EmotionalArc]


def aggregate(patterns: Sequence[Pattern], videos: Sequence[Video]) -> PatternLibrary:
    """N patterns (N ≥ 1) → 1 to N entries, the most promising first."""
    rates = _rates(videos)
    overall = median(rates.values()) if rates else None
    groups: dict[Key, list[Pattern]] = defaultdict(list)
    for pattern in patterns:
        groups[pattern.hook_type, pattern.pacing, pattern.emotional_arc].append(pattern)
    lifts = {key: _lift(group, rates, overall) for key, group in groups.items()}
    raw = {key: len(group) * (lifts[key] or 1.0) for key, group in groups.items()}
    order = sorted(groups, key=lambda key: (-raw[key], key))
    total = fsum(raw.values())  # exact, so that the order in which patterns come plays no part
    entries = tuple(
        _entry(f"P{place:02d}", key, groups[key], lifts[key], raw[key] / total, rates)
        for place, key in enumerate(order, start=1)
    )
    paces = [p.words_per_second for p in patterns if p.words_per_second]
    return PatternLibrary(
        entries=entries,
        videos=len(patterns),
        median_engagement=round(overall, 5) if overall is not None else None,
        median_words_per_second=round(median(paces), 2) if paces else None,
    )


def _rates(videos: Sequence[Video]) -> dict[VideoId, float]:
    rated = ((v.video_id, v.engagement.rate()) for v in videos)
    return {video_id: rate for video_id, rate in rated if rate is not None}


def _lift(group: Sequence[Pattern], rates: Mapping[VideoId, float], overall: float | None) -> float | None:
    known = [rates[p.video_id] for p in group if p.video_id in rates]
    if not known or not overall:
        return None
    belief = len(known) / (len(known) + SHRINKAGE)
    return round(1.0 + belief * (median(known) / overall - 1.0), 3)


def _entry(
    pattern_id: str,
    key: Key,
    group: Sequence[Pattern],
    lift: float | None,
    weight: float,
    rates: Mapping[VideoId, float],
) -> PatternEntry:
    best = sorted(group, key=lambda p: (-rates.get(p.video_id, 0.0), p.video_id))[:EXEMPLARS]
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
        exemplars=tuple(Exemplar(p.video_id, p.hook) for p in best),
    )


def _commonest(triggers: Iterable[Trigger]) -> tuple[Trigger, ...]:
    counts = Counter(triggers)
    return tuple(sorted(counts, key=lambda t: (-counts[t], t))[:COMMON_TRIGGERS])
