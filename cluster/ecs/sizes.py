"""What differs between environments. Everything else is the same for all of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Task:
    """One Fargate task: CPU units (1024 a core) and MiB, in one of the pairs that Fargate has."""

    cpu: int
    memory: int


@dataclass(frozen=True, slots=True)
class Size:
    """One environment."""

    region: str
    nat_gateways: int
    redis_node: str
    """Of the studio's Valkey and of Ray's; each has a primary and a replica."""
    head: Task
    front: Task
    fronts: int
    """Nodes that take requests, each for 4,500 at once."""
    worker: Task
    least_workers: int
    most_workers: int
    keep_days: int
    """How long runs and their files are kept. In both, logs stay for a year, and who asked for what for 90 days."""
    protected: bool
    """Whether data outlives the stack, and the load balancer and the table cannot be deleted by mistake."""


SIZES = {
    "dev": Size(
        region="eu-central-1",
        nat_gateways=1,
        redis_node="cache.t4g.micro",
        head=Task(1024, 4096),
        front=Task(1024, 4096),
        fronts=1,
        worker=Task(1024, 4096),
        least_workers=1,
        most_workers=2,
        keep_days=30,
        protected=False,
    ),
    "prod": Size(
        region="eu-central-1",
        nat_gateways=2,
        redis_node="cache.r7g.large",
        head=Task(2048, 8192),
        front=Task(2048, 8192),
        fronts=2,
        worker=Task(4096, 16384),
        least_workers=2,
        most_workers=20,
        keep_days=400,
        protected=True,
    ),
}
WAITING_PER_WORKER = 100
"""Items that may wait for one worker before another one is started: two shards of a stage."""
PROVIDER_KEYS = ("MOONSHOT_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY")
