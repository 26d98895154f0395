"""The pages of the experiments are made of their data, and of nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from experiments.charts import draw
from experiments.harness import (
    BUDGET_S,
    FOLDER,
    NAMES,
    SHORT_BUDGET_S,
    Chart,
    Point,
    Series,
    environment,
    keep,
    kept,
    load,
    the,
)
from experiments.pages import REPORT, print_report, report, result, tables
from experiments.voting.experiment import INSIDE, PANELS, VOTERS

WRITTEN = [name for name in NAMES if kept(name) is not None]
MOST_BYTES = 40_000
HEADINGS = ["## Question", "## Method", "## Result", "## Threats to validity"]


@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_says_what_it_asks_and_how_it_can_err(name: str) -> None:
    experiment = load(name)
    page = (experiment.folder / "README.md").read_text(encoding="utf-8")
    assert [line for line in page.splitlines() if line.startswith("## ")] == HEADINGS
    assert f"python -m experiments {name}\n" in page


@pytest.mark.parametrize("name", WRITTEN)
def test_a_page_says_what_the_data_say(name: str) -> None:
    experiment, data = load(name), kept(name)
    assert data is not None
    assert result(experiment, data) in (experiment.folder / "README.md").read_text(encoding="utf-8")
    assert (experiment.folder / "chart.png").stat().st_size < MOST_BYTES


def test_the_report_is_all_pages() -> None:
    assert REPORT.read_text(encoding="utf-8") == report()


@pytest.mark.long
def test_the_report_prints_without_anything_cut(tmp_path: Path) -> None:
    print_report(tmp_path / "report.pdf")
    written = (tmp_path / "report.pdf").read_bytes()
    assert len(re.findall(rb"/Type\s*/Page\b", written)) > len(WRITTEN)  # the first one, and each begins its own
    assert written.count(b"/Subtype /Image") >= len(WRITTEN)
    assert b"file:" not in written


@pytest.mark.long
@pytest.mark.parametrize(
    "text",
    [
        f"| {'wide ' * 3 + 'w' * 60} | {'x' * 60} |\n| --- | --- |\n",
        "![not there](no.png)\n",
        "```\n" + "high\n" * 99 + "```\n",
    ],
    ids=["wide", "missing", "high"],
)
def test_what_would_be_cut_is_not_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (tmp_path / "README.md").write_text(text)
    monkeypatch.setattr("experiments.pages.REPORT", tmp_path / "README.md")
    with pytest.raises(SystemExit, match="would be cut"):
        print_report(tmp_path / "report.pdf")
    assert not (tmp_path / "report.pdf").exists()


@pytest.mark.parametrize("page", ["README.md", "docs/adr/0005-the-voting-rule.md"])
def test_how_far_intervals_are_to_be_trusted_is_said_as_it_was_measured(page: str) -> None:
    data = kept("voting")
    assert data is not None
    without, liking = (the(data.points, PANELS, bias=b, voters=VOTERS)[INSIDE] for b in ("no bias", "position bias"))
    said = " ".join((FOLDER.parent / page).read_text(encoding="utf-8").split())
    assert re.search(rf"in {without:.0f} % of cases[^.]*, in {liking:.0f} % w", said)


def test_all_forms_together_keep_the_time_that_is_promised() -> None:
    assert sum(BUDGET_S.values()) < 90 * 60
    assert SHORT_BUDGET_S * len(NAMES) < 15 * 60
    late = [name for name in WRITTEN if (data := kept(name)) and not data.short and data.took_s > BUDGET_S[name]]
    assert late == []


@pytest.mark.parametrize("name", NAMES)
def test_what_is_published_is_the_full_form(name: str) -> None:
    """Medians of at least five, of three where a row is slow."""
    data = kept(name)
    assert data is not None
    assert not data.short
    repeated = [max(map(len, point.figures.values())) for point in data.points]
    assert min(repeated) >= 3


def test_a_figure_is_a_median_with_its_spread() -> None:
    series = Series()
    for seconds in (3.0, 1.0, 2.0):
        series.add("", {"runs": 1_000}, calls=20, **{"wall, s": seconds})
    assert tables(series.points()) == ["| runs | calls | wall, s |\n| --- | --: | --: |\n| 1,000 | 20 | 2 (1–3) |"]


def test_data_come_back_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = kept(WRITTEN[0])
    assert data is not None
    monkeypatch.setattr("experiments.harness.FOLDER", tmp_path)
    (tmp_path / "again").mkdir()
    keep("again", data)
    assert kept("again") == data
    assert json.loads((tmp_path / "again" / "data.json").read_text())["points"]


@pytest.mark.parametrize("x", [("a", "b"), (1, 10)], ids=["words", "numbers"])
def test_a_chart_is_small(tmp_path: Path, x: tuple[str | float, ...]) -> None:
    points = [Point("", {"x": value, "by": by}, {"y": (1.0, 2.0, 4.0)}) for value in x for by in ("one", "two")]
    draw(Chart("", x="x", y=("y",), by="by", log="y"), points, tmp_path / "chart.png")
    assert 1_000 < (tmp_path / "chart.png").stat().st_size < MOST_BYTES


def test_an_experiment_gets_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "FLAIR_OPENAI_BASE_URL", "AWS_PROFILE", "FLAIR_EXPERIMENT_REDIS_URL"):
        monkeypatch.setenv(name, "made-up")
    assert {name for name, value in environment().items() if value == "made-up"} == {"FLAIR_EXPERIMENT_REDIS_URL"}
