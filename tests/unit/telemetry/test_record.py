"""Figures are recorded where there is a Ray and where there is none; a label that is wrong is found either way."""

from __future__ import annotations

import re

import pytest

from flair_ray.telemetry import record
from flair_ray.telemetry.metrics import METRICS, Kind, Metric

COUNTER = Metric("flair_test_calls", Kind.COUNTER, "calls", "Calls of a test.", ("stage",))
GAUGE = Metric("flair_test_gauge", Kind.GAUGE, "runs", "Runs of a test.")


def test_counters_grow_and_gauges_are_what_was_said_last() -> None:
    record.add(COUNTER, 3, stage="S1")
    record.add(COUNTER, stage="S1")
    record.add(COUNTER, 0, stage="S1")
    record.add(COUNTER, -5, stage="S1")
    record.set_to(GAUGE, 7)
    record.set_to(GAUGE, 2)
    assert (record.said(COUNTER, stage="S1"), record.said(COUNTER, stage="S2"), record.said(GAUGE)) == (4, 0, 2)


@pytest.mark.parametrize("labels", [{}, {"run": "r"}, {"stage": "S1", "run": "r"}])
def test_other_labels_are_refused(labels: dict[str, str]) -> None:
    with pytest.raises(KeyError):
        record.add(COUNTER, 1, **labels)


def test_the_list_is_one_that_ray_and_prometheus_take() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS) > 20
    for metric in METRICS:
        assert re.fullmatch(r"flair_[a-z0-9_]+", metric.name)
        assert not metric.name.endswith(("_total", "_count", "_sum", "_bucket"))
        assert set(metric.labels) <= {"provider", "stage", "kind", "account", "status"}, "labels have few values"
        assert (metric.kind is Kind.HISTOGRAM) == bool(metric.buckets)
        assert list(metric.buckets) == sorted(set(metric.buckets))
        assert metric.help.endswith(".")
