"""A run on a real Ray as those see it who watch it: its node scraped over HTTP, a collector for its spans, its log."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.request import urlopen

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from flair_ray.telemetry import metrics as m
from flair_ray.telemetry.metrics import METRICS, Metric
from flair_ray.testing.mock_llm import MockOptions, MockServer

pytestmark = pytest.mark.long
SIZES = ["--num-videos=12", "--num-scripts=6", "--num-personas=9", "--top-n=3"]
PATIENCE_S = 60.0
"""Processes tell their node every ten seconds."""
KEY = "sk-made-up-and-private"
Labels = dict[str, str]


class Collector(BaseHTTPRequestHandler):
    """Takes what exporters send, as a collector does."""

    spans: ClassVar[list[Any]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        sent = ExportTraceServiceRequest.FromString(body)
        self.spans.extend(span for of in sent.resource_spans for scope in of.scope_spans for span in scope.spans)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def collector() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def scraped(name: str) -> list[tuple[Labels, float]]:
    """Every sample of one series on this cluster's only node."""
    import ray

    (node,) = (node for node in ray.nodes() if node["Alive"])
    with urlopen(f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    families = text_string_to_metric_families(text)
    return [(s.labels, s.value) for family in families for s in family.samples if s.name == name]


def processes() -> set[str]:
    return {labels["WorkerId"] for metric in METRICS for name in metric.series for labels, _ in scraped(name)}


def until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


@pytest.fixture(scope="module")
def run(ray_cluster: None, redis_url: str, collector: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A run on that cluster with 429s and failures in it: its result, its log, and who was there before."""
    import ray

    with MockServer(MockOptions(latency_s=0.1, max_in_flight=4, fail=0.05)) as server:
        environ = {
            **os.environ,
            "FLAIR_DATA_DIR": str(tmp_path_factory.mktemp("watched")),
            "FLAIR_REDIS_URL": redis_url,
            "FLAIR_OPENAI_API_KEY": KEY,
            "FLAIR_LOG_FORMAT": "json",
            "FLAIR_LOG_LEVEL": "INFO",
            "FLAIR_OTLP_ENDPOINT": collector,
        }
        where = [f"--address={ray.get_runtime_context().gcs_address}", f"--base-url={server.base_url}", "--model=mock"]
        command = [
            sys.executable,
            "-m",
            "flair_ray.cli",
            "run",
            *where,
            "--price=1/0.5/2",
            "--no-cache",
            *SIZES,
            "--json",
        ]
        before = processes()
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return {"result": json.loads(done.stdout), "log": done.stderr, "before": before}


def grown(metric: Metric, run: dict[str, Any]) -> dict[str, float]:
    """By stage, what the processes say that came with the run."""
    found: dict[str, float] = defaultdict(float)
    for labels, value in scraped(metric.exported):
        if labels["WorkerId"] not in run["before"]:
            found[labels["stage"]] += value
    return {stage: value for stage, value in found.items() if value}


def test_calls_are_those_that_the_run_counts(run: dict[str, Any]) -> None:
    by_stage = run["result"]["calls"]["by_stage"]
    names = {m.CALLS: "calls", m.CALLS_FAILED: "failed", m.CALLS_REFUSED: "rejected_429", m.RETRIES: "retries"}
    for metric, name in names.items():
        told = {stage: counts[name] for stage, counts in by_stage.items() if counts[name]}
        until(partial(lambda metric, told: grown(metric, run) == told, metric, told))
    assert sum(grown(m.CALLS, run).values()) >= 12 + 6 + 9 + 3  # which of them failed is the server's luck


def test_tokens_and_dollars_are_too(run: dict[str, Any]) -> None:
    result = run["result"]
    until(lambda: sum(grown(m.SPEND, run).values()) == pytest.approx(result["cost"]["usd"]))
    kinds: Counter[str] = Counter()
    for labels, value in scraped(m.TOKENS.exported):
        if labels["WorkerId"] not in run["before"]:
            kinds[labels["kind"]] += int(value)
    assert kinds["input"] == result["tokens"]["input_tokens"]
    assert kinds["output"] == result["tokens"]["output_tokens"]


def test_so_are_stages_the_run_and_the_permits(run: dict[str, Any]) -> None:
    def counted(name: str, **labels: str) -> float:
        of_the_run = (one for one in scraped(name) if one[0]["WorkerId"] not in run["before"])
        return sum(value for found, value in of_the_run if labels.items() <= found.items())

    until(lambda: counted(m.RUNS_ENDED.exported, status="completed") == 1)
    until(lambda: counted(f"{m.STAGE_S.exported}_count") == 6)
    calls = run["result"]["calls"]["total"]
    waits = f"{m.PERMIT_WAIT_S.exported}_count"
    until(lambda: sum(v for labels, v in scraped(waits) if labels["account"].startswith("openai-")) >= calls)


def test_no_worker_of_a_shard_has_series_of_its_own(run: dict[str, Any]) -> None:
    """The driver, the limiter, and nobody else: a process that comes and goes would leave its series for good."""
    assert 1 <= len(processes() - run["before"]) <= 2


def test_the_log_is_json_with_the_runs_id_and_without_the_key(run: dict[str, Any]) -> None:
    lines = [json.loads(line) for line in run["log"].splitlines() if line.startswith("{")]
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    assert KEY not in run["log"]


def test_spans_come_from_the_driver_and_from_its_workers(run: dict[str, Any]) -> None:
    run_id, calls = run["result"]["run_id"], run["result"]["calls"]["total"]

    def mine() -> list[Any]:
        return [s for s in Collector.spans if any(a.value.string_value == run_id for a in s.attributes)]

    until(lambda: sum(span.name == "chat mock" for span in mine()) == calls)
    until(lambda: any(span.name == "run" for span in mine()))
    assert len({span.trace_id for span in mine()}) == 1
    assert KEY not in str(mine())
