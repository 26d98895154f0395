"""Dashboard and alerts are what the list of metrics makes of them, can be read, and ask for what there is."""

from __future__ import annotations

import json
import re
import runpy
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest
import yaml

from flair_ray.telemetry.metrics import METRICS, Kind
from tests.cluster.conftest import ROOT, Rendered, of_kind

MADE = runpy.run_path(str(ROOT / "cluster/watching/make.py"))
LABELS = {name: set(metric.labels) for metric in METRICS for name in metric.series}
RULES: list[dict[str, Any]] = MADE["rules"]()["groups"][0]["rules"]
PANELS = [panel for panel in MADE["dashboard"]()["panels"] if panel["type"] != "row"]
EXPRESSIONS = [rule["expr"] for rule in RULES] + [target["expr"] for panel in PANELS for target in panel["targets"]]


def parsed(expression: str) -> promql_parser.Expr:
    return promql_parser.parse(expression.replace("$__rate_interval", "5m"))  # as Grafana does


def selectors(expression: str) -> list[tuple[str, set[str]]]:
    """Every metric that is asked for, and by which labels it is chosen."""
    found: list[tuple[str, set[str]]] = []

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            found.append((node.name, {matcher.name for matcher in node.matchers.matchers}))

    promql_parser.walk(parsed(expression), visit)
    return found


def groupings(expression: str) -> Iterator[set[str]]:
    """The labels of each `by`."""
    return (set(re.split(r",\s*", labels)) for labels in re.findall(r"\bby \(([^)]+)\)", expression))


def test_the_files_are_what_the_list_makes() -> None:
    assert MADE["stale"]() == [], "run python cluster/watching/make.py"


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_each_expression_asks_for_what_there_is(expression: str) -> None:
    asked = selectors(expression)
    assert asked
    for name, labels in asked:
        assert labels <= LABELS[name]
    known = set.intersection(*(LABELS[name] for name, _ in asked)) | {"le"}
    assert all(labels <= known for labels in groupings(expression))


@pytest.mark.parametrize("wrong", ["sum by (provider) (rate(ray_flair_calls_total[5m])", "rate(ray_flair_calls_total)"])
def test_a_wrong_expression_is_found(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parsed(wrong)


def test_counters_are_asked_how_they_grow_and_histograms_for_their_quantiles() -> None:
    of = {name: metric.kind for metric in METRICS for name in metric.series}
    for expression in EXPRESSIONS:
        for name, _ in selectors(expression):
            if of[name] is not Kind.GAUGE:
                assert len(re.findall(rf"(rate|increase)\({name}\b", expression)) == len(re.findall(name, expression))
            assert (of[name] is Kind.HISTOGRAM) == ("histogram_quantile" in expression)


def test_every_metric_is_shown() -> None:
    shown = {name for panel in PANELS for target in panel["targets"] for name, _ in selectors(target["expr"])}
    assert {m.name for m in METRICS if m.series and not shown.intersection(m.series)} == set()


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    board = json.loads((ROOT / "cluster/watching/dashboard.json").read_text(encoding="utf-8"))
    numbers = [panel["id"] for panel in board["panels"]]
    assert sorted(set(numbers)) == numbers
    places = [tuple(panel["gridPos"].values()) for panel in board["panels"]]
    assert len(set(places)) == len(places)
    assert all(x + w <= 24 for x, _, w, _ in places)
    (variable,) = board["templating"]["list"]
    assert {panel["datasource"]["uid"] for panel in PANELS} == {f"${{{variable['name']}}}"}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_each_alert_says_what_to_do(rule: dict[str, Any]) -> None:
    assert rule.keys() == {"alert", "expr", "for", "labels", "annotations"}
    promql_parser.parse_duration(rule["for"])
    assert rule["labels"]["severity"] in ("page", "ticket")
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert anchor in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in headings(page)}
    kept = set.intersection(*(LABELS[name] for name, _ in selectors(rule["expr"])))
    assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) <= kept


def headings(page: str) -> list[str]:
    return re.findall(r"^#+ (.+)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)


def test_the_operator_gets_the_same_rules(rendered: Rendered) -> None:
    (operators,) = of_kind(rendered["prod"], "PrometheusRule")
    plain = yaml.safe_load((ROOT / "cluster/watching/alerts.yaml").read_text(encoding="utf-8"))
    assert operators["spec"] == plain == MADE["rules"]()
    assert of_kind(rendered["kind"], "PrometheusRule") == []
