"""Tells the metrics what a run takes: the growth of its tally in Redis, which every call is in, whoever made it.

So the metrics agree with what the run says of itself, hedges and late calls included, and no worker has a hand in it.
A driver that takes a run over counts from what it finds; what a dead driver's workers did in between is in the run's
own tally only.
"""

from __future__ import annotations

from collections.abc import Mapping

from flair_ray.domain.calls import CallTally
from flair_ray.domain.ids import StageName
from flair_ray.domain.runs import RunSnapshot, RunSpec, StageCounts
from flair_ray.telemetry import metrics, record

LOOK_S = 5.0
"""Ray passes its metrics on every ten seconds. A look takes 1.6 ms of CPU, however many calls it counts."""
COUNTERS = {
    metrics.CALLS: "calls",
    metrics.CALLS_FAILED: "failed",
    metrics.CALLS_REFUSED: "rejected_429",
    metrics.RETRIES: "retries",
    metrics.REASKS: "reasks",
    metrics.HEDGES: "hedges",
    metrics.CACHE_HITS: "cache_hits",
}
"""Each with its name in the tally."""
TOKENS = ("input", "cached", "output", "reasoning")


class Meter:
    """Of one run, while one driver drives it."""

    def __init__(self) -> None:
        self._seen: Mapping[StageName, StageCounts] | None = None

    def begin(self, snapshot: RunSnapshot) -> None:
        """What is there already was counted by others."""
        self._seen = snapshot.stages

    def look(self, snapshot: RunSnapshot) -> None:
        """Count what has come since the last look; before ``begin`` that is nothing."""
        if self._seen is None or snapshot.spec is None:
            return
        for stage, counts in snapshot.stages.items():
            _count(stage, self._seen.get(stage, StageCounts()), counts, snapshot.spec)
        self._seen = snapshot.stages

    def end(self, snapshot: RunSnapshot) -> None:
        """The same, for the last time: the run has ended here."""
        if self._seen is not None:
            self.look(snapshot)
            record.add(metrics.RUNS_ENDED, status=snapshot.status.value)


def _count(stage: StageName, before: StageCounts, now: StageCounts, spec: RunSpec) -> None:
    if before.tally != now.tally:
        _count_calls(stage, before.tally, now.tally, spec)
    record.add(metrics.SKIPPED, now.skipped - before.skipped, stage=stage.value)
    if now.elapsed_s is not None and before.elapsed_s is None:
        record.observe(metrics.STAGE_S, now.elapsed_s, stage=stage.value)


def _count_calls(stage: StageName, before: CallTally, now: CallTally, spec: RunSpec) -> None:
    labels = {"provider": spec.model_of(stage).provider, "stage": stage.value}
    for metric, name in COUNTERS.items():
        record.add(metric, getattr(now, name) - getattr(before, name), **labels)
    for kind in TOKENS:
        name = f"{kind}_tokens"
        record.add(metrics.TOKENS, getattr(now.usage, name) - getattr(before.usage, name), **labels, kind=kind)
    if price := spec.money.price_of(stage):
        record.add(metrics.SPEND, price.usd(now.usage) - price.usd(before.usage), **labels)
