"""Records figures: in this process always, and in Ray's metrics where this process is in a Ray.

A few microseconds each, so they may be recorded where they arise. Ray forgets a gauge that has not been set for two
of its exports, 20 s: whoever has one says it again and again.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

from flair_ray.telemetry.metrics import Kind, Metric

_said: dict[tuple[str, tuple[str, ...]], float] = {}


def add(metric: Metric, amount: float = 1.0, **labels: str) -> None:
    """To a counter. What is not above 0 changes nothing."""
    if amount > 0:
        key = _key(metric, labels)
        _said[key] = _said.get(key, 0.0) + amount
        if told := _in_ray(metric):
            told.inc(amount, labels)


def set_to(metric: Metric, value: float, **labels: str) -> None:
    """A gauge, for the next 20 s."""
    _said[_key(metric, labels)] = value
    if told := _in_ray(metric):
        told.set(value, labels)


def observe(metric: Metric, value: float, **labels: str) -> None:
    """One observation of a histogram."""
    key = _key(metric, labels)
    _said[key] = _said.get(key, 0.0) + 1
    if told := _in_ray(metric):
        told.observe(value, labels)


def said(metric: Metric, **labels: str) -> float:
    """What this process has recorded: a counter's sum, a gauge's last value, a histogram's number of observations."""
    return _said.get(_key(metric, labels), 0.0)


def _key(metric: Metric, labels: dict[str, str]) -> tuple[str, tuple[str, ...]]:
    """Raises KeyError for a label that is missing or that the list does not have: also where there is no Ray."""
    if len(labels) != len(metric.labels):
        raise KeyError(f"{metric.name} has the labels {metric.labels}, not {tuple(labels)}.")
    return metric.name, tuple(labels[name] for name in metric.labels)


def _in_ray(metric: Metric) -> Any:
    begun = getattr(sys.modules.get("ray"), "is_initialized", None)  # another thread may be importing it just now
    return _made(metric) if begun is not None and begun() else None


@cache
def _made(metric: Metric) -> Any:
    from ray.util import metrics

    if metric.kind is Kind.HISTOGRAM:
        return metrics.Histogram(metric.name, metric.help, list(metric.buckets), metric.labels)
    made = metrics.Counter if metric.kind is Kind.COUNTER else metrics.Gauge
    return made(metric.name, metric.help, metric.labels)
