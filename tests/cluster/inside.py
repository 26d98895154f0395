"""The studio in two pods, confined as the manifests confine them: run by test_two_pods, in namespaces of its own.

    10.77.0.1 Redis (TLS, AUTH), a model server, and whoever asks     10.77.0.2 the head     10.77.0.3 a worker

The root file system is read-only but for each pod's scratch and shared memory, each pod has its own address, Ray
wants a token, the GCS is kept in Redis, and the app is deployed as the operator does it, by the dashboard. Then the
head is killed while a run is under way. Reads the facts from standard input and prints what it saw, as JSON.
Whatever was started ends with the namespaces.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

BIN = Path(sys.executable).parent
TOKEN, PASSWORD = "t" * 40, "correct-horse"
HOME, HEAD, WORKER = "10.77.0.1", "10.77.0.2", "10.77.0.3"
REDIS = f"{HOME}:6380"
SHELF = Path("/mnt")
"""The one place that all namespaces share, read-only for pods: the checkout and the certificate."""
PATIENCE_S = 80
NAMESPACES = ("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
PROGRAMS = ("unshare", "ip", "openssl", "redis-server")
POD = """
set -e
mount -t tmpfs tmpfs "$2"
mount -t tmpfs tmpfs /dev/shm
mkdir -p "$1"
mount --bind /mnt/code "$1"
mount -o remount,ro,bind "$1"
mount -o remount,ro,bind /mnt
ip link set lo up
until ip link set eth0 up 2>/dev/null; do sleep 0.05; done
ip address add "$3/24" dev eth0
cd "$2"
if touch "$1/written" /mnt/written /usr/written 2>/dev/null; then echo "this is not confined" >&2; exit 1; fi
shift 3
exec "$@"
"""


def ask(url: str, token: str = "", body: Any = None, method: str = "GET") -> tuple[int, Any]:
    """The status, 0 where nobody answers, and what was said."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = None if body is None else json.dumps(body).encode()
    try:
        with urlopen(Request(url, data, headers, method=method), timeout=20) as answer:  # noqa: S310
            text = answer.read()
            return answer.status, json.loads(text) if text[:1] == b"{" else None
    except HTTPError as err:
        return err.code, None
    except (URLError, OSError):
        return 0, None


def wait(until: Callable[[], Any]) -> Any:
    """What is true at last, or what it was when patience ended."""
    end = time.monotonic() + PATIENCE_S
    while not (seen := until()) and time.monotonic() < end:
        time.sleep(0.05)
    return seen


def answers(url: str) -> bool:
    return bool(wait(lambda: ask(url)[0] == 200))


def quietly(*words: str, **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(words, stdout=sys.stderr, stderr=sys.stderr, **options)


class Cluster:
    def __init__(self, facts: dict[str, Any]) -> None:
        self.facts = facts
        self.dashboard, self.api = f"http://{HEAD}:8265", f"http://{WORKER}:8000"
        self.environ = facts["settings"] | {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "HOME": os.environ["HOME"],
            "PYTHONPATH": facts["root"],
            "FLAIR_DATA_DIR": f"{facts['scratch']}/data",
            "FLAIR_OPENAI_BASE_URL": f"http://{HOME}:8089/v1",
            "OPENAI_API_KEY": "made-up",
            "FLAIR_REDIS_URL": f"rediss://:{PASSWORD}@{REDIS}/0?ssl_ca_certs={SHELF}/cert.pem",
            "RAY_REDIS_CA_CERT": f"{SHELF}/cert.pem",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": TOKEN,
            "RAY_USAGE_STATS_ENABLED": "0",
        }

    def around(self) -> None:
        """The network, Redis and the model."""
        for words in ("link add br0 type bridge", f"address add {HOME}/24 dev br0", "link set br0 up"):
            subprocess.run(["ip", *words.split()], check=True)
        key = ["-newkey", "rsa:2048", "-nodes", "-keyout", f"{SHELF}/key.pem", "-out", f"{SHELF}/cert.pem"]
        subject = ["-subj", "/CN=redis", "-addext", f"subjectAltName=IP:{HOME}"]
        subprocess.run(["openssl", "req", "-x509", "-days", "2", *subject, *key], check=True, capture_output=True)
        tls = f"--port 0 --tls-port 6380 --tls-cert-file {SHELF}/cert.pem --tls-key-file {SHELF}/key.pem"
        words = [word.replace("$(PASSWORD)", PASSWORD) for word in self.facts["valkey"]]
        quietly("redis-server", *words, *tls.split(), "--tls-auth-clients", "no", cwd=self.facts["scratch"])
        quietly(str(BIN / "flair"), "mock-llm", "--host", HOME, "--latency-s", "3", env=self.environ)

    def pod(self, address: str, ray: dict[str, str], *words: str, **environ: str) -> subprocess.Popen[bytes]:
        options = [*words, *(f"--{name}={value}" for name, value in ray.items())]
        start = [str(BIN / "ray"), "start", "--block", f"--node-ip-address={address}", *options]
        script = ["bash", "-c", POD, "pod", self.facts["root"], self.facts["scratch"], address]
        process = quietly(*NAMESPACES, *script, *start, env=self.environ | environ)
        ours, its = Path("/proc/self/ns/net"), Path(f"/proc/{process.pid}/ns/net")
        wait(lambda: its.readlink() != ours.readlink())
        name = f"pod{process.pid}"
        subprocess.run(["ip", *f"link add {name} type veth peer name eth0 netns {process.pid}".split()], check=True)
        subprocess.run(["ip", *f"link set {name} master br0 up".split()], check=True)
        return process

    def head(self) -> subprocess.Popen[bytes]:
        given = {"dashboard-host": "0.0.0.0", "metrics-export-port": "8080", "redis-password": PASSWORD}
        stored = {"RAY_REDIS_ADDRESS": f"rediss://{REDIS}", "RAY_external_storage_namespace": "one"}
        return self.pod(HEAD, given | self.facts["head"], "--head", "--port=6379", **stored)

    def worker(self) -> subprocess.Popen[bytes]:
        given = {"address": f"{HEAD}:6379", "metrics-export-port": "8080", "num-cpus": "2"} | self.facts["worker"]
        return self.pod(WORKER, given, RAY_gcs_rpc_server_reconnect_timeout_s="600")

    def submit(self) -> dict[str, Any]:
        job = [str(BIN / "ray"), "job", "submit", "--address", self.dashboard, "--", *self.facts["batch"]]
        done = subprocess.run(
            job, env=self.environ, capture_output=True, text=True, timeout=PATIENCE_S, check=False, cwd="/"
        )
        sys.stderr.write(done.stdout[-3000:] + done.stderr)
        return {"code": done.returncode, "scripts": done.stdout.count('"script_id"')}

    def run(self) -> dict[str, Any]:
        self.around()
        head = self.head()
        seen: dict[str, Any] = {"head": {path: answers(f"http://{HEAD}:{path}") for path in self.facts["head_probes"]}}
        self.worker()
        applications = f"{self.dashboard}/api/serve/applications/"
        seen["closed"] = [ask(applications, "", self.facts["serve"], "PUT")[0], ask(f"{self.dashboard}/api/jobs/")[0]]
        seen["deployed"] = ask(applications, TOKEN, self.facts["serve"], "PUT")[0]
        seen["health"] = answers(f"{self.api}/api/health")
        seen["worker"] = {path: answers(f"http://{WORKER}:{path}") for path in self.facts["worker_probes"]}
        seen["metrics"] = [
            answers(f"http://{at}/metrics") for at in (f"{HEAD}:8080", f"{WORKER}:8080", f"{WORKER}:9101")
        ]
        seen["batch"] = self.submit()
        return seen | self.without_its_head(head)

    def without_its_head(self, head: subprocess.Popen[bytes]) -> dict[str, Any]:
        _, started = ask(f"{self.api}/api/pipeline/start", "", self.facts["order"], "POST")
        about = f"{self.api}/api/runs/{started['run_id']}"
        wait(lambda: (ask(about)[1] or {}).get("status") == "running")
        head.kill()
        head.wait()
        began = time.monotonic()
        meanwhile = [ask(about)[0] for _ in range(24)]
        gone = ask(f"{self.dashboard}/api/gcs_healthz")[0]
        still = (ask(about)[1] or {}).get("status")
        self.head()
        back = answers(f"{self.dashboard}/api/gcs_healthz")
        took = time.monotonic() - began
        ended = wait(lambda: (ask(about)[1] or {}).get("status") in ("completed", "failed") and ask(about)[1])
        return {
            "gone": gone == 0,
            "still": still,
            "meanwhile": meanwhile,
            "back": back,
            "back_after_s": round(took, 1),
            "run": ended and {"status": ended["status"]},
            "health again": answers(f"{self.api}/api/health"),
        }


if __name__ == "__main__":
    print(json.dumps(Cluster(json.load(sys.stdin)).run()))
