"""What is measured, each in a process of its own on loopback, ended by its own process id."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from experiments.meter import PYTHON
from flair_ray.stores.embedded import EmbeddedServer

START_S, STOP_S = 90.0, 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: Sequence[str], env: Mapping[str, str], said: Path, ready: str) -> Iterator[None]:
    """A command, once it has said that it is ready. Whatever it started ends with it."""
    with said.open("wb") as out:
        process = subprocess.Popen([PYTHON, "-m", *command], env={**os.environ, **env}, stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + START_S
        while ready not in said.read_text():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{command[0]} did not start:\n{said.read_text()[-2000:]}")
            time.sleep(0.05)
        yield
    finally:
        below = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        _, left = psutil.wait_procs(below, STOP_S / 6)
        for one in left:
            one.kill()


@contextmanager
def floor(folder: Path) -> Iterator[str]:
    """The bare app and a Redis of its own; its address."""
    server, port = EmbeddedServer(folder / "floor"), free_port()
    server.open()
    try:
        command = ("uvicorn", "experiments.api_load.floor:app", "--port", str(port), "--no-access-log")
        with running(command, {"FLOOR_REDIS_URL": server.url}, folder / "floor.txt", "Uvicorn running on"):
            yield f"http://127.0.0.1:{port}"
    finally:
        server.close()


@contextmanager
def studio(folder: Path, **settings: str) -> Iterator[tuple[str, str]]:
    """`flair serve`: its address and that of its Redis."""
    port, place = free_port(), folder / "studio"
    env = {"FLAIR_DATA_DIR": str(place), **settings}
    with running(("flair_ray.cli", "serve", "--port", str(port)), env, folder / "studio.txt", "the API is at"):
        yield f"http://127.0.0.1:{port}", EmbeddedServer(place, visiting=True).url
