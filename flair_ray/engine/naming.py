"""A service's detached actors, and what their names end with: its version and its Redis.

Whoever asks for an actor by name gets the one that is there. Two versions that share a cluster during a rollout must
not use each other's code, and two services on one cluster not each other's Redis.
"""

from __future__ import annotations

from functools import cache
from typing import Any
from urllib.parse import urlsplit

import ray

from flair_ray import __version__
from flair_ray.domain.ids import digest

NAMESPACE = "flair"


def service_name(redis_url: str) -> str:
    """The version and a digest of where the Redis is, without a word of its password."""
    where = urlsplit(redis_url)
    return f"{__version__}-{digest(where.hostname or '', str(where.port), where.path, length=8)}"


def detached(cls: type, name: str, max_concurrency: int, *args: object, max_task_retries: int = 0) -> Any:
    """The cluster's actor of this name, made from ``cls`` and ``args`` if it is missing; returns at once.

    It outlives whoever made it, and Ray starts it again, blank, whenever it dies.
    """
    options: dict[str, Any] = {"get_if_exists": True, "lifetime": "detached", "max_restarts": -1, "num_cpus": 0}
    return (
        _remote(cls)
        .options(
            name=name,
            namespace=NAMESPACE,
            max_concurrency=max_concurrency,
            max_task_retries=max_task_retries,
            **options,
        )
        .remote(*args)
    )


@cache
def _remote(cls: type) -> Any:
    return ray.remote(cls)  # once: Ray keeps what it has read of a class, each time it is asked
