"""What Locust's users do: three starts, two lists of their own runs, a look at health, one at providers.

A locustfile. Every answer is noted by itself, as Locust's own percentiles are rounded, and written to ``LOAD_FILE``:
``requests`` are [name, status, milliseconds, Retry-After or null, when it ended]; ``accepted`` run ids; ``there_s`` and
``stopping_s`` when the last user had come and when the first was stopped, by the same clock in seconds. A status of 0
is no answer at all.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from pathlib import Path
from typing import Any

from locust import FastHttpUser, between, events, task

from experiments.api_load import BODY

REQUESTS: list[tuple[str, int, float, str | None, float]] = []
ACCEPTED: list[str] = []
WINDOW: dict[str, float] = {}


class Visitor(FastHttpUser):
    wait_time = between(1, 3)
    connection_timeout = network_timeout = 60.0

    def on_start(self) -> None:
        self.session_id = uuid.uuid4().hex

    @task(3)
    def start_run(self) -> None:
        answer = self.client.post(f"/api/pipeline/start?session_id={self.session_id}", json=BODY, name="start")
        if answer.status_code == 200:
            ACCEPTED.append(answer.json()["run_id"])

    @task(2)
    def list_runs(self) -> None:
        self.client.get(f"/api/runs?session_id={self.session_id}", name="list")

    @task(1)
    def health(self) -> None:
        self.client.get("/api/health", name="health")

    @task(1)
    def providers(self) -> None:
        self.client.get("/api/providers", name="providers")


@events.spawning_complete.add_listener
def _(**_: Any) -> None:
    WINDOW["there_s"] = time.perf_counter()


@events.test_stopping.add_listener
def _(**_: Any) -> None:
    WINDOW["stopping_s"] = time.perf_counter()


@events.request.add_listener
def _(name: str, response_time: float, response: Any, **_: Any) -> None:
    retry_after = response.headers.get("Retry-After") if response.status_code else None
    REQUESTS.append((name, response.status_code, response_time, retry_after, time.perf_counter()))


@events.quitting.add_listener
def _(**_: Any) -> None:
    Path(os.environ["LOAD_FILE"]).write_text(json.dumps({"requests": REQUESTS, "accepted": ACCEPTED, **WINDOW}))
