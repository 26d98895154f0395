"""A chart of an experiment's points: medians, with the lowest and the highest as a bar through each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")  # no screen

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from experiments.harness import Chart, Point, of

COLOURS = ("#2a4d8f", "#c8553d", "#588b5f", "#8d6a9f", "#b08a2e", "#4a4a4a")
MARKS, DASHES = "os^DvP", ("-", "--", ":", "-.", "-", "--")
PLAIN = FuncFormatter(lambda x, _: f"{x:,g}")
Line = tuple[str, list[Point], str]
"""A name, its points, and the figure that is drawn."""


def draw(chart: Chart, points: Sequence[Point], file: Path) -> None:
    points = [p for p in of(points, chart.part) if chart.x in p.case]
    values = list(dict.fromkeys(p.case.get(chart.by, "") for p in points))
    lines: list[Line] = []
    for value in values:
        chosen = [p for p in points if p.case.get(chart.by, "") == value]
        for y in chart.y:
            known = [p for p in chosen if y in p.figures]
            named = f"{chart.by} {value}" if chart.by and not isinstance(value, str) else str(value)
            lines.append((", ".join(filter(None, (named, y if len(chart.y) > 1 else ""))), known, y))
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure, axes = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
        numbers = all(isinstance(p.case[chart.x], int | float) for p in points)
        (_lines if numbers else _bars)(axes, chart, lines)
        axes.set_xlabel(chart.x)
        axes.set_ylabel(chart.unit or chart.y[0])
        axes.grid(axis="y", alpha=0.3, linewidth=0.6)
        if "y" in chart.log:
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter(PLAIN)
            axes.yaxis.set_minor_formatter(NullFormatter())
        else:
            axes.set_ylim(bottom=0)
        if len(lines) > 1:
            axes.legend(frameon=False, fontsize=8)
        figure.savefig(file, dpi=110, metadata={"Software": None})
        plt.close(figure)


def _lines(axes: Axes, chart: Chart, lines: Sequence[Line]) -> None:
    for n, (name, points, y) in enumerate(lines):
        xs = [float(p.case[chart.x]) for p in points]
        low, middle, high = _spread(points, y)
        style: dict[str, Any] = {"color": COLOURS[n % 6], "marker": MARKS[n % 6], "linestyle": DASHES[n % 6]}
        style |= {"markersize": 4, "linewidth": 1.4, "capsize": 2}
        axes.errorbar(xs, middle, yerr=(low, high), label=name, **style)
    if "x" in chart.log:
        axes.set_xscale("log")
        ticks = sorted({float(p.case[chart.x]) for _, points, _ in lines for p in points})
        axes.set_xticks(ticks)
        axes.xaxis.set_major_formatter(PLAIN)
        axes.xaxis.set_minor_formatter(NullFormatter())


def _bars(axes: Axes, chart: Chart, lines: Sequence[Line]) -> None:
    names = list(dict.fromkeys(str(p.case[chart.x]) for _, points, _ in lines for p in points))
    width = 0.8 / len(lines)
    for n, (name, points, y) in enumerate(lines):
        low, middle, high = _spread(points, y)
        xs = [names.index(str(p.case[chart.x])) + (n - (len(lines) - 1) / 2) * width for p in points]
        axes.bar(xs, middle, width * 0.92, label=name, color=COLOURS[n % 6])
        axes.errorbar(xs, middle, yerr=(low, high), fmt="none", ecolor="#222222", elinewidth=0.8, capsize=2)
    axes.set_xticks(range(len(names)), names)


def _spread(points: Sequence[Point], y: str) -> tuple[list[float], list[float], list[float]]:
    middle = [p[y] for p in points]
    low = [m - min(p.all(y)) for m, p in zip(middle, points, strict=True)]
    high = [max(p.all(y)) - m for m, p in zip(middle, points, strict=True)]
    return low, middle, high
