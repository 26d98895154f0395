"""What a studio needs at so many runs a day, and what stands in the way first: arithmetic over measured constants.

Ours are from two cores of a small virtual machine. ``constants`` says what measured each: measure your own, and change
them here. A run is one of the default size, 172 calls, on a hosted model of the middle class.
"""

from __future__ import annotations

import math
import runpy
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from flair_ray.actors.run_host import CAPACITY
from flair_ray.config import Settings
from flair_ray.engine.ray_executor import SHARD_CPUS
from flair_ray.stores.redis_store import POOL_SIZE

CALLS = 172
CALL_S = 14.7
RUN_S = 122.0
"""A run that waits for nobody."""
TOKENS = 405_000
"""In and out."""
CALL_CPU_S = 0.0043
"""Client side, of all processes together."""
HOST_CPU_S = 0.28
"""Of a run host, a run: driving, ranking, rendering, keeping."""
SHARD_MB, SHARD_CONNECTIONS = 112, 64
"""Of a process that has a shard of 50 items in flight."""
HOST_CONNECTIONS = POOL_SIZE + 1
"""Of a process that drives runs, at most; ten runs took 21."""
RUN_MB = 0.2
"""A run under way, in all processes together, beside its shards."""
REST_MB = 1_150
"""A worker node at rest: Ray, actors without a CPU, residents, Serve. Without Serve `experiments.weights` finds 570."""
REDIS_CPU_S = 0.13
"""Of the server's one thread, a run, where cores are free; where they are not, steps come in fewer exchanges: 0.08."""
REDIS_RUN_MB, REDIS_VIDEOS_MB = 0.24, 0.27
"""A run, and 100 videos that nobody has analyzed before."""
REDIS_NET_MB = 1.4
"""In and out, a run."""
KEPT_MB = 1.03
"""In the archive, a run."""
PEAK = 3.0
"""The busiest hour of a day, times its average."""

REDIS_NODE_MB = 13_000
"""A cache.r7g.large, of which a quarter stays free for snapshots."""
MOST_CONNECTIONS = 65_000
"""To one node of ElastiCache."""
TTL_DAYS = 7.0
PROD = runpy.run_path(str(Path(__file__).parents[1] / "cluster/ecs/sizes.py"))["SIZES"]["prod"]
NODE_CORES, NODE_MB = PROD.worker.cpu // 1024, PROD.worker.memory * 1.048576
PROVIDER_RPM, PROVIDER_TPM = 30_000, 150_000_000
"""A vendor's high tier. Limits add up over accounts and models: a studio may have many."""
HOSTS = Settings.model_fields["run_hosts"].default


@dataclass(frozen=True, slots=True)
class Need:
    """What so many runs a day need in their busiest hour."""

    runs_a_day: int

    @property
    def runs_per_s(self) -> float:
        return self.runs_a_day / 86_400 * PEAK

    @property
    def active(self) -> float:
        """Runs under way at once, by Little's law."""
        return self.runs_per_s * RUN_S

    @property
    def in_flight(self) -> float:
        """Calls under way at once, by the same."""
        return self.runs_per_s * CALLS * CALL_S

    @property
    def rpm(self) -> float:
        return self.runs_per_s * CALLS * 60

    @property
    def tpm(self) -> float:
        return self.runs_per_s * TOKENS * 60

    @property
    def hosts(self) -> int:
        return max(HOSTS, math.ceil(self.active / CAPACITY))

    def shards(self, nodes: int) -> int:
        """Worker processes on so many nodes: two a run, or one where a host maps as many runs as there are cores."""
        return math.ceil(self.active) * max(1, min(2, int(nodes * NODE_CORES / max(1.0, self.active / self.hosts))))

    def memory_mb(self, nodes: int) -> float:
        return nodes * REST_MB + self.shards(nodes) * SHARD_MB + self.active * RUN_MB

    @property
    def nodes(self) -> int:
        """The fewest worker nodes whose CPU, places for shards and memory are enough."""
        cores = self.runs_per_s * (CALLS * CALL_CPU_S + HOST_CPU_S)
        return next(
            n
            for n in count(1)
            if max(cores, self.shards(n) * SHARD_CPUS) <= n * NODE_CORES and self.memory_mb(n) < 0.9 * n * NODE_MB
        )

    @property
    def connections(self) -> int:
        """To Redis: of shards, hosts, and what else there is one of on each front."""
        return self.shards(self.nodes) * SHARD_CONNECTIONS + (self.hosts + PROD.fronts) * HOST_CONNECTIONS

    @property
    def redis_cores(self) -> float:
        return self.runs_per_s * REDIS_CPU_S

    @property
    def redis_mb(self) -> float:
        """With every run kept for the default time, over videos of which half are known."""
        return self.runs_a_day * TTL_DAYS * (REDIS_RUN_MB + REDIS_VIDEOS_MB / 2)

    @property
    def ttl_hours(self) -> float:
        """How long runs may stay so that they fit; their results stay in the archive."""
        room = 0.75 * REDIS_NODE_MB / (self.runs_a_day * (REDIS_RUN_MB + REDIS_VIDEOS_MB / 2))
        return min(TTL_DAYS, room) * 24

    def limits(self) -> Iterator[tuple[float, str]]:
        """How many times over each limit it is, and what to do about it."""
        yield self.rpm / PROVIDER_RPM, "requests a minute of one account: more accounts or models"
        yield self.tpm / PROVIDER_TPM, "tokens a minute of one account: more accounts or models"
        yield (
            self.redis_mb / (0.75 * REDIS_NODE_MB),
            f"Redis memory: a larger node, or `FLAIR_RUN_TTL_S` of {self.ttl_hours:.3g} h",
        )
        yield self.redis_cores, "Redis' one thread: further studios, each with its Redis and its tenants"
        yield self.connections / MOST_CONNECTIONS, "connections to Redis: further studios, as for its thread"
        yield self.nodes / PROD.most_workers, "workers: raise `most_workers`"
        yield self.active / (HOSTS * CAPACITY), f"run hosts: {self.hosts} of them, with `FLAIR_RUN_HOSTS`"

    def first(self) -> str:
        over = sorted((times, what) for times, what in self.limits() if times > 1)
        return "; ".join(f"{times:.1f} × {what}" for times, what in reversed(over)) or "nothing"


NEEDS = [Need(n) for n in (100, 1_000, 10_000, 100_000, 1_000_000)]


def constants() -> list[tuple[str, str, str]]:
    estimate, weights = "`flair estimate --provider openai`", "`python -m experiments.weights`"
    return [
        ("calls of a run, seconds of a call", f"{CALLS}, {CALL_S:g}", estimate),
        ("seconds and tokens of a run", f"{RUN_S:g}, {TOKENS:,}", estimate),
        ("CPU of a call", f"{CALL_CPU_S * 1000:g} ms", "`python -m experiments.bench`"),
        ("CPU of a run beside its calls", f"{HOST_CPU_S * 1000:g} ms", weights),
        ("a process with a shard: memory, connections to Redis", f"{SHARD_MB:g} MB, {SHARD_CONNECTIONS}", weights),
        ("a process that drives runs: connections to Redis, at most", f"{HOST_CONNECTIONS}", weights),
        (
            "Redis: CPU, memory, traffic of a run",
            f"{REDIS_CPU_S * 1000:g} ms, {REDIS_RUN_MB} MB, {REDIS_NET_MB} MB",
            weights,
        ),
        ("Redis: memory of 100 videos that are new", f"{REDIS_VIDEOS_MB} MB", weights),
        ("archive: a run", f"{KEPT_MB} MB", weights),
        ("a run under way, beside its shards", f"{RUN_MB} MB", "`python -m experiments.load small`"),
        ("a worker node at rest", f"{REST_MB:,} MB", "proportional set size under `flair serve`, six default runs"),
        ("the busiest hour, times the average one", f"{PEAK:g}", "assumed"),
    ]


def rows() -> list[tuple[str, ...]]:
    return [
        (
            f"{need.runs_a_day:,}",
            f"{need.runs_per_s * 3600:,.0f}",
            f"{need.rpm:,.0f}",
            f"{need.tpm / 1e6:,.1f} M",
            f"{need.in_flight:,.0f}",
            f"{need.nodes:,}",
            f"{need.memory_mb(need.nodes) / 1000:,.1f} GB",
            f"{need.connections:,}",
            f"{need.redis_cores:.1%}",
            f"{need.redis_mb / 1000:,.1f} GB",
            f"{need.runs_a_day * KEPT_MB / 1000:,.1f} GB",
            need.first(),
        )
        for need in NEEDS
    ]
