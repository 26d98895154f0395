"""Measured claims as rows: the median, its spread, the floor beside it, and what was promised."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One claim: the median of its measurements, its floor, and what was promised."""

    name: str
    value: float
    spread: tuple[float, float]
    unit: str
    floor: float | None = None
    limit: float | None = None

    @property
    def ratio(self) -> float | None:
        return self.value / self.floor if self.floor else None

    @property
    def kept(self) -> bool:
        measured = self.ratio if self.ratio is not None else self.value
        return self.limit is None or measured <= self.limit


def row(name: str, values: Sequence[float], unit: str, floor: float | None = None, limit: float | None = None) -> Row:
    return Row(name, statistics.median(values), (min(values), max(values)), unit, floor, limit)


def table(rows: Sequence[Row]) -> str:
    lines = [f"{'':<52} {'median':>9} {'min–max':>17} {'floor':>8} {'ratio':>6} {'limit':>6}"]
    for r in rows:
        floor = f"{r.floor:.2f}" if r.floor else ""
        ratio = f"{r.ratio:.2f}" if r.ratio else ""
        limit = f"{r.limit:g}" if r.limit is not None else ""
        spread = f"{r.spread[0]:.2f}–{r.spread[1]:.2f}"
        verdict = "" if r.limit is None else "ok" if r.kept else "OVER"
        lines.append(
            f"{r.name:<52} {r.value:>6.2f} {r.unit:<2} {spread:>17} {floor:>8} {ratio:>6} {limit:>6} {verdict}"
        )
    return "\n".join(lines)
