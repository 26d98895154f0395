"""CPU time and memory of a command and of everything it starts, seen from outside.

Ray's processes, their workers and the embedded Redis are all descendants of the command. The tree is looked at
several times a second; a process counts with the CPU time it had when it was last seen, so what it used in its
very last moments is missed (a fraction of a percent over ten seconds).
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import psutil

EVERY_S = 0.2
LIMIT_S = 180.0
MEMORY_EVERY = 5
"""Memory is read at every fifth look: shared pages are counted in proportion (PSS), which is slow to read."""


@dataclass(slots=True)
class Measured:
    """What a command took."""

    began_s: float
    """Seconds since the epoch."""
    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_mb: float = 0.0
    exit_code: int = 0
    stdout: str = ""
    cpu_by_name: dict[str, float] = field(default_factory=dict)


def measure(command: Sequence[str], env: Mapping[str, str] | None = None) -> Measured:
    """Run ``command`` to its end under the meter."""
    began = time.time()
    process = subprocess.Popen(  # our own commands
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**os.environ, **(env or {})}
    )
    result = Measured(began)
    watcher = threading.Thread(target=_watch, args=(psutil.Process(process.pid), result))
    watcher.start()
    try:
        result.stdout, _ = process.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        for member in [*psutil.Process(process.pid).children(recursive=True), process]:
            member.kill()
        raise SystemExit(f"gave up after {LIMIT_S:.0f} s: {' '.join(command)}") from None
    result.wall_s = time.time() - began
    result.exit_code = process.returncode
    watcher.join()
    return result


def _watch(root: psutil.Process, result: Measured) -> None:
    cpu: dict[tuple[int, float], tuple[str, float]] = {}
    looks = 0
    while root.is_running() and root.status() != psutil.STATUS_ZOMBIE:
        try:
            tree = [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            break
        memory = [_look(p, cpu, with_memory=looks % MEMORY_EVERY == 0) for p in tree]
        result.peak_mb = max(result.peak_mb, sum(memory) / 2**20)
        looks += 1
        time.sleep(EVERY_S)
    result.cpu_s = sum(seconds for _, seconds in cpu.values())
    for name, seconds in cpu.values():
        result.cpu_by_name[name] = result.cpu_by_name.get(name, 0.0) + seconds


def _look(process: psutil.Process, cpu: dict[tuple[int, float], tuple[str, float]], *, with_memory: bool) -> float:
    try:
        times = process.cpu_times()
        cpu[process.pid, process.create_time()] = (process.name(), times.user + times.system)
        if not with_memory:
            return 0.0
        info = process.memory_full_info()
        return float(getattr(info, "pss", None) or info.rss)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0.0


PYTHON = sys.executable
