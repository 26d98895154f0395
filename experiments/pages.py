"""The pages: an experiment's own, between its marks, and the report, all of them in one that can be printed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from experiments.charts import draw
from experiments.chromium import FLAGS, chromium
from experiments.harness import BUDGET_S, FOLDER, NAMES, Data, Experiment, Point, kept, load

BEGIN, END = "<!-- result:begin -->", "<!-- result:end -->"
REPORT = FOLDER / "README.md"
HEAD = """# Experiments

What this project claims of itself, measured on a real Ray, a real Redis and the mock model `flair mock-llm`, by anyone:

```sh
make experiments                            # all of them, under 90 minutes; it writes this page
python -m experiments --quick               # their short forms, under 15 minutes
python -m experiments --quick exactly_once  # one of them
```

A figure is a median, with the lowest and the highest in brackets; where one stands alone, there was one measurement or
all gave the same. In the full form it is of five repetitions, or three where one takes long; in the short form of
fewer. Comparisons are ratios within one execution: the machine may be shared, so compare ratios and not seconds. Every
measurement is in the `data.json` of the experiment's folder, and this page is written from these files. Seeds are
fixed. Limits that must be kept are watched by `make bench`; here a claim is one of direction, and tests ask for those
that a busy machine cannot make wrong. A form that takes half as long again as its share of the time is ended.
"""
INDEX = (
    "| experiment | claims that hold | form | it took, s | a full form may take, s |",
    "| --- | --- | --- | --: | --: |",
)


def write_pages(names: Sequence[str]) -> None:
    """The charts and pages of these, then the report."""
    for name in names:
        experiment, data = load(name), kept(name)
        if data is None:
            continue
        draw(experiment.chart, data.points, experiment.folder / "chart.png")
        page = experiment.folder / "README.md"
        before, _, rest = page.read_text().partition(BEGIN)
        _, _, after = rest.partition(END)
        page.write_text(f"{before}{BEGIN}\n\n{result(experiment, data)}\n\n{END}{after}")
    REPORT.write_text(report())


def result(experiment: Experiment, data: Data) -> str:
    claims = [f"- {'holds' if c.held else '**does not hold**'}: {c.text}" for c in experiment.claims(data.points)]
    form = "short form" if data.short else "full form"
    machine = ", ".join(f"{name} {value}" for name, value in data.machine.items())
    said = f"Measured {data.date}, {form}, {data.took_s:,.0f} s; {machine}."
    chart = f"![{experiment.chart.unit or experiment.chart.y[0]} over {experiment.chart.x}](chart.png)"
    return "\n\n".join(
        (said, "\n".join(claims), *tables(data.points), chart, "Every measurement: [data.json](data.json).")
    )


def tables(points: Sequence[Point]) -> list[str]:
    """A Markdown table for each part, under its name where there are several."""
    parts = [(part, list(some)) for part, some in groupby(points, lambda p: p.part)]
    return [f"**{part}**\n\n{_table(some)}" if len(parts) > 1 else _table(some) for part, some in parts]


def _table(points: Sequence[Point]) -> str:
    cases = list(dict.fromkeys(name for p in points for name in p.case))
    figures = list(dict.fromkeys(name for p in points for name in p.figures))
    rows = [
        [*(_number(p.case.get(name, "")) for name in cases), *(_figure(p.figures.get(name, ())) for name in figures)]
        for p in points
    ]
    heads = [[*cases, *figures], [*("---" for _ in cases), *("--:" for _ in figures)]]
    return "\n".join("| " + " | ".join(row) + " |" for row in (*heads, *rows))


def _figure(values: Sequence[float]) -> str:
    if not values:
        return ""
    ordered = sorted(values)
    middle = Point("", {}, {"": values})[""]
    if _number(ordered[0]) == _number(ordered[-1]):
        return _number(middle)
    return f"{_number(middle)} ({_number(ordered[0])}–{_number(ordered[-1])})"


def _number(value: str | float) -> str:
    """Three figures that count."""
    if isinstance(value, str):
        return value
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 else f"{value:.1e}"


def report() -> str:
    rows, sections = [], []
    for name in NAMES:
        page, data = FOLDER / name / "README.md", kept(name)
        if data is None:
            continue
        text = page.read_text()
        title = text.splitlines()[0].removeprefix("# ")
        held = [claim.held for claim in load(name).claims(data.points)]
        form = "short" if data.short else "full"
        took = f"{data.took_s:,.0f} | {BUDGET_S[name]:,}"
        rows.append(
            f"| [{title}](#{_anchor(title)}) | {sum(held)} of {len(held)} | {form}, {data.date[:10]} | {took} |"
        )
        sections.append(_inside(name, text))
    index = "\n".join((*INDEX, *rows))
    return "\n\n".join((HEAD.rstrip(), index, *sections)) + "\n"


def _inside(name: str, page: str) -> str:
    """A page as a section: headings a level down, links from one folder up."""
    text = re.sub(r"^#", "##", page.replace(BEGIN, "").replace(END, ""), flags=re.MULTILINE)
    text = re.sub(r"\]\((?!#|\w+://|\.\./)", f"]({name}/", text)
    text = re.sub(r"\]\(\.\./", "](", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _anchor(title: str) -> str:
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


PRINTED = """<!doctype html><meta charset="utf-8"><title>Experiments</title><style>
@page { size: A4; margin: 18mm 16mm }
body { margin: 0; font: 10.5pt/1.45 "DejaVu Sans", sans-serif; color: #111 }
h2 { break-before: page } h1, h2, h3 { break-after: avoid; line-height: 1.2 }
table { border-collapse: collapse; width: 100%; font-size: 8pt; margin: 8pt 0; break-inside: avoid }
th, td { border: 0.5pt solid #bbb; padding: 2pt 4pt; vertical-align: top }
th { background: #f0f0f0; text-align: left } tr { break-inside: avoid }
pre { background: #f5f5f5; padding: 6pt; white-space: pre-wrap; font-size: 8.5pt } code { font-size: 90% }
img { max-width: 100%; display: block; margin: 8pt auto; break-inside: avoid }
a { color: #2a4d8f; text-decoration: none }
</style>"""
PAPER = {"width": 672, "height": 986}
"""A4 within these margins, in CSS pixels."""
CUT = """high => [...document.querySelectorAll("body *")].filter(one => {
  const {right, height} = one.getBoundingClientRect()
  const whole = ["IMG", "TR", "PRE"].includes(one.tagName)
  return right > innerWidth + 1 || whole && height > high || one.tagName === "IMG" && !one.naturalWidth
}).map(one => `${one.tagName.toLowerCase()} "${(one.innerText || one.alt).slice(0, 60)}"`)"""
"""What does not fit the paper, and pictures that are not there."""


def print_report(file: Path) -> None:
    """The report as a PDF. Needs a Chromium on PATH. Raises SystemExit where something would be cut or is missing."""
    from markdown_it import MarkdownIt
    from playwright.sync_api import sync_playwright

    html = MarkdownIt("commonmark").enable("table").render(REPORT.read_text())
    html = re.sub(r"<h2>(.*?)</h2>", lambda found: f'<h2 id="{_anchor(found[1])}">{found[1]}</h2>', html)
    html = re.sub(r'<a href="(?!#|\w+://)[^"]*">(.*?)</a>', r"\1", html)  # files are not on paper
    beside = FOLDER / ".report.html"  # beside the pictures that it shows
    beside.write_text(PRINTED + html)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
            page = browser.new_page(viewport=PAPER)
            page.emulate_media(media="print")
            page.goto(beside.as_uri())
            if cut := page.evaluate(CUT, PAPER["height"]):
                raise SystemExit(f"Not printed, for it would be cut or is missing: {'; '.join(cut)}")
            page.pdf(path=file, prefer_css_page_size=True, print_background=True)
    finally:
        beside.unlink()
