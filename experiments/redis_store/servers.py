"""The servers that are compared: the embedded one, a system's own, and one that is named by its URL."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import redis

from experiments.api_load.processes import free_port
from flair_ray.stores.embedded import EmbeddedServer, _server_options, socket_path

Server = Callable[[], AbstractContextManager[str]]
URL = "FLAIR_EXPERIMENT_REDIS_URL"


@contextmanager
def embedded() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="flair-") as folder:
        server = EmbeddedServer(Path(folder))
        server.open()
        try:
            yield server.url
        finally:
            server.close()


def system() -> AbstractContextManager[str]:
    """The machine's own server."""
    binary = shutil.which("valkey-server") or shutil.which("redis-server")
    assert binary is not None
    return over_tcp(binary)


@contextmanager
def over_tcp(binary: str) -> Iterator[str]:
    """A server with our options, over TCP, as a service would be reached."""
    with tempfile.TemporaryDirectory(prefix="flair-") as folder:
        port = free_port()
        options = [*_server_options(Path(folder), Path(folder) / "log"), "--bind", "127.0.0.1"]
        options[options.index("--port") + 1] = str(port)
        process = subprocess.Popen([binary, *options], stdout=subprocess.DEVNULL)
        try:
            while not (socket_path(Path(folder)).exists() and _answers(port)):
                assert process.poll() is None
                time.sleep(0.02)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()
            process.wait(10)


@contextmanager
def by_url() -> Iterator[str]:
    yield os.environ[URL]


def available() -> dict[str, Server]:
    """Every server that can be had here; each opens to a URL."""
    servers: dict[str, Server] = {"embedded": embedded}
    if shutil.which("valkey-server") or shutil.which("redis-server"):
        servers["system"] = system
    if os.environ.get(URL):
        servers["by URL"] = by_url
    return servers


def version(url: str) -> str:
    with redis.Redis.from_url(url) as client:
        info = client.info("server")
    name = "Valkey" if "valkey_version" in info else "Redis"
    return f"{name} {info.get('valkey_version') or info['redis_version']}"


def _answers(port: int) -> bool:
    try:
        with redis.Redis(port=port) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False
