"""The Grafana dashboard and the Prometheus alerts, made from the one list of metrics (flair_ray/telemetry/metrics.py).

    python cluster/watching/make.py            writes them, beside this file
    python cluster/watching/make.py --check    changes nothing; exit code 1 and the names of what is out of date

dashboard.json ....... for Grafana: import it, or provision it
alerts.yaml .......... for Prometheus: `rule_files`
prometheusrule.yaml .. the same for the Prometheus operator
Every counter is shown as what comes per second, every histogram as quantiles, every gauge as it is; a metric that
nobody shows, and an alert that docs/how-to/watch-it.md does not explain, fail a test.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from flair_ray.telemetry import metrics as m
from flair_ray.telemetry.metrics import Kind, Metric

HERE = Path(__file__).resolve().parent
RUNBOOK = "docs/how-to/watch-it.md"
RATE = "$__rate_interval"
EACH_HOST_SAYS_IT = (m.RUNS_QUEUED, m.QUEUE_AGE_S)
UNITS = {"seconds": "s", "US dollars": "currencyUSD"}
WIDTH, HEIGHT = 8, 7
"""Of a panel, in Grafana's 24 columns."""
ROWS: dict[str, tuple[Metric, ...]] = {
    "Runs": (m.RUNS_ACTIVE, m.RUNS_ENDED, m.RUNS_QUEUED, m.QUEUE_AGE_S, m.STAGE_S, m.SKIPPED),
    "Calls": (m.CALLS, m.CALLS_FAILED, m.CALLS_REFUSED, m.RETRIES, m.REASKS, m.HEDGES, m.CACHE_HITS, m.TOKENS, m.SPEND),
    "Permits": (m.PERMITS_WANTED, m.PERMITS_HELD, m.PERMIT_AGE_S, m.PERMIT_WAIT_S),
    "Viewers": (m.VIEWERS, m.EVENTS_LAG_S),
}
IN_ALL = {m.CALLS: ("provider",), m.TOKENS: ("provider", "kind"), m.SPEND: ("provider",)}
"""What is added up over all but these labels; others over all but their own first."""


@dataclass(frozen=True, slots=True)
class Alert:
    """``lasts``: how long it must be so. ``page``: somebody is to be woken."""

    name: str
    expr: str
    lasts: str
    summary: str
    page: bool = False


def grown(metric: Metric, window: str, where: str = "", by: str = "provider") -> str:
    return f"sum by ({by}) (increase({metric.exported}{where}[{window}]))"


ALERTS = (
    Alert(
        "FlairCallsFail",
        f"{grown(m.CALLS_FAILED, '10m')} / {grown(m.CALLS, '10m')} > 0.2 and {grown(m.CALLS, '10m')} > 20",
        "5m",
        "More than a fifth of the calls of {{ $labels.provider }} fail.",
        page=True,
    ),
    Alert(
        "FlairCallsRefused",
        f"{grown(m.CALLS_REFUSED, '15m')} / {grown(m.CALLS, '15m')} > 0.02 and {grown(m.CALLS_REFUSED, '15m')} > 5",
        "10m",
        "{{ $labels.provider }} answers with 429: somebody else calls on the same account, or its limits are lower.",
    ),
    Alert(
        "FlairPermitsShort",
        f"max by (account) ({m.PERMIT_AGE_S.exported}) > 300",
        "10m",
        "Calls of {{ $labels.account }} have waited for a permit for more than five minutes.",
    ),
    Alert(
        "FlairRunsWait",
        f"max({m.QUEUE_AGE_S.exported}) > 120",
        "5m",
        "Runs wait for a host: all that there are drive as many as they may, or none works.",
        page=True,
    ),
    Alert("FlairNoHost", f"absent({m.RUNS_QUEUED.exported})", "5m", "No run host says how many runs wait.", page=True),
    Alert(
        "FlairRunsFail",
        f'sum(increase({m.RUNS_ENDED.exported}{{status="failed"}}[1h])) / sum(increase({m.RUNS_ENDED.exported}[1h])) '
        f'> 0.2 and sum(increase({m.RUNS_ENDED.exported}{{status="failed"}}[1h])) > 3',
        "1m",
        "More than a fifth of the runs of the last hour have failed.",
    ),
    Alert(
        "FlairRunsStuck",
        f"sum({m.RUNS_ACTIVE.exported}) > 0 and (sum(increase({m.CALLS.exported}[20m])) or vector(0)) == 0",
        "10m",
        "Runs are driven, and for half an hour no call has come to an end.",
    ),
    Alert(
        "FlairItemsSkipped",
        f"{grown(m.SKIPPED, '30m', by='stage')} > 20",
        "1m",
        "Many items of {{ $labels.stage }} are given up.",
    ),
    Alert(
        "FlairEventsLate",
        f"histogram_quantile(0.95, sum by (le) (rate({m.EVENTS_LAG_S.exported}_bucket[5m]))) > 2",
        "5m",
        "Viewers hear of events more than two seconds late.",
    ),
    Alert(
        "FlairSpendsFast",
        f"sum(increase({m.SPEND.exported}[1h])) > 100",
        "1m",
        "More than $100 was spent within an hour. Set what is much to you.",
    ),
)


def queries(metric: Metric) -> list[tuple[str, str]]:
    """What a panel shows: expressions, each with what its lines are called."""
    name, labels = metric.exported, IN_ALL.get(metric, metric.labels[:1])
    legend = " ".join(f"{{{{{label}}}}}" for label in labels)
    if metric.kind is Kind.HISTOGRAM:
        by = ", ".join(("le", *labels))
        rates = f"sum by ({by}) (rate({name}_bucket[{RATE}]))"
        return [(f"histogram_quantile({q}, {rates})", f"p{q * 100:.0f} {legend}".strip()) for q in (0.5, 0.95)]
    over = "max" if metric in EACH_HOST_SAYS_IT or metric.unit == "seconds" else "sum"
    by = f" by ({', '.join(labels)})" if labels else ""
    shown = f"rate({name}[{RATE}])" if metric.kind is Kind.COUNTER else name
    return [(f"{over}{by} ({shown})", legend or metric.unit)]


def panel(metric: Metric, number: int, x: int, y: int) -> dict[str, Any]:
    per_second = metric.kind is Kind.COUNTER
    title = metric.name.removeprefix("flair_").replace("_", " ") + (" per second" if per_second else "")
    return {
        "id": number,
        "type": "timeseries",
        "title": title,
        "description": metric.help,
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "gridPos": {"x": x, "y": y, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": UNITS.get(metric.unit, "short"), "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + i), "expr": expr, "legendFormat": legend}
            for i, (expr, legend) in enumerate(queries(metric))
        ],
    }


def panels() -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    y = 0
    for title, shown in ROWS.items():
        made.append({"id": len(made) + 1, "type": "row", "title": title, "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}})
        for i, metric in enumerate(shown):
            made.append(panel(metric, len(made) + 1, i % 3 * WIDTH, y + 1 + i // 3 * HEIGHT))
        y += 1 + -(-len(shown) // 3) * HEIGHT
    return made


def dashboard() -> dict[str, Any]:
    return {
        "uid": "flair",
        "title": "flair_ray",
        "tags": ["flair", "ray"],
        "schemaVersion": 39,
        "time": {"from": "now-3h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": [{"name": "datasource", "type": "datasource", "query": "prometheus"}]},
        "panels": panels(),
    }


def rules() -> dict[str, Any]:
    return {"groups": [{"name": "flair", "rules": [_rule(alert) for alert in ALERTS]}]}


def _rule(alert: Alert) -> dict[str, Any]:
    return {
        "alert": alert.name,
        "expr": alert.expr,
        "for": alert.lasts,
        "labels": {"severity": "page" if alert.page else "ticket"},
        "annotations": {"summary": alert.summary, "runbook": f"{RUNBOOK}#{alert.name.lower()}"},
    }


def files() -> dict[str, str]:
    """Every file that is made here, by its name."""
    head = "# Made by cluster/watching/make.py from the list of metrics; change it there.\n"
    operators = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "flair"},
        "spec": rules(),
    }
    return {
        "dashboard.json": json.dumps(dashboard(), indent=1) + "\n",
        "alerts.yaml": head + yaml.safe_dump(rules(), sort_keys=False, width=120),
        "prometheusrule.yaml": head + yaml.safe_dump(operators, sort_keys=False, width=120),
    }


def stale() -> list[str]:
    """Files that are out of date, or not there."""
    made = ((HERE / name, text) for name, text in files().items())
    return [kept.name for kept, text in made if not kept.exists() or kept.read_text(encoding="utf-8") != text]


def main() -> None:
    """Entry point."""
    if "--check" in sys.argv:
        sys.exit("\n".join(f"{name} is out of date: run python {sys.argv[0]}" for name in stale()) or 0)
    for name, text in files().items():
        (HERE / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
