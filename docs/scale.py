"""What a studio needs at so many runs a day, and what stands in the way first: arithmetic over measured constants.

Ours are from two cores of a small virtual machine; measure your own with the commands that stand beside them, and
change them here. A run is one of the default size, 172 calls, on a hosted model of the middle class.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from flair_ray.actors.run_host import CAPACITY
from flair_ray.config import Settings

CALLS = 172
CALL_S = 12.0
"""What `flair estimate --provider openai` expects of the default model, about."""
RUN_S = 122.0
"""The same estimate: a run that waits for nobody."""
TOKENS = 405_000
"""In and out, the same estimate."""
CALL_CPU_S = 0.0043
"""Client side, of all processes together: `python -m experiments.bench`."""
RUN_CPU_S = 0.13
"""Of the run hosts, a run: driving, ranking, rendering, keeping; their CPU while small runs came in over HTTP."""
REDIS_CPU_S = 0.13
"""Of the server's one thread, a run: `INFO cpu` around default runs."""
REDIS_RUN_MB = 0.46
REDIS_VIDEOS_MB = 0.85
"""A run, and 100 videos that nobody has analyzed before: `INFO memory` around default runs."""
REDIS_NET_MB = 1.6
"""In and out, a run."""
KEPT_MB = 0.82
"""In the archive, a run."""
PEAK = 3.0
"""The busiest hour of a day, times its average."""

REDIS_NODE_MB = 13_000
"""A cache.r7g.large, of which a quarter stays free for snapshots."""
TTL_DAYS = 7.0
WORKER_CORES = 80
"""`prod` of cluster/ecs at its most: 20 nodes of 4."""
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
    def cores(self) -> float:
        return self.runs_per_s * (CALLS * CALL_CPU_S + RUN_CPU_S)

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
        yield self.cores / WORKER_CORES, "worker cores: raise `most_workers`"
        yield self.active / (HOSTS * CAPACITY), "run hosts: more than the two, with `FLAIR_RUN_HOSTS`"

    def first(self) -> str:
        over = sorted((times, what) for times, what in self.limits() if times > 1)
        return "; ".join(f"{times:.1f} × {what}" for times, what in reversed(over)) or "nothing"


NEEDS = [Need(n) for n in (100, 1_000, 10_000, 100_000, 1_000_000)]


def constants() -> list[tuple[str, str]]:
    return [
        ("calls of a run, seconds of a call, tokens of a run", f"{CALLS}, {CALL_S:g}, {TOKENS:,}"),
        ("CPU of a call, and of a run beside its calls", f"{CALL_CPU_S * 1000:g} ms, {RUN_CPU_S * 1000:g} ms"),
        ("Redis: CPU, memory, traffic of a run", f"{REDIS_CPU_S * 1000:g} ms, {REDIS_RUN_MB} MB, {REDIS_NET_MB} MB"),
        ("Redis: memory of 100 videos that are new", f"{REDIS_VIDEOS_MB} MB"),
        ("archive: a run", f"{KEPT_MB} MB"),
        ("the busiest hour, times the average one", f"{PEAK:g}"),
    ]


def rows() -> list[tuple[str, ...]]:
    return [
        (
            f"{need.runs_a_day:,}",
            f"{need.runs_per_s * 3600:,.0f}",
            f"{need.rpm:,.0f}",
            f"{need.tpm / 1e6:,.1f} M",
            f"{need.in_flight:,.0f}",
            f"{need.cores:,.1f}",
            f"{need.redis_cores:.1%}",
            f"{need.redis_mb / 1000:,.1f} GB",
            f"{need.runs_a_day * KEPT_MB / 1000:,.1f} GB",
            need.first(),
        )
        for need in NEEDS
    ]
