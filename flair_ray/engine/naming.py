"""A service's detached actors, and what their names end with: its version and its Redis.

Whoever asks for an actor by name gets the one that is there. Two versions that share a cluster during a rollout must
not use each other's code, and two services on one cluster not each other's Redis.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any
from urllib.parse import urlsplit

import ray
from ray.exceptions import RayActorError, RayTaskError

from flair_ray import __version__
from flair_ray.domain.ids import digest
from flair_ray.errors import FlairError

NAMESPACE = "flair"


def service_name(redis_url: str) -> str:
    """The version and a digest of where the Redis is, without a word of its password."""
    where = urlsplit(redis_url)
    return f"{__version__}-{digest(where.hostname or '', str(where.port), where.path, length=8)}"


def detached(cls: type, name: str, max_concurrency: int, *args: object, max_task_retries: int = 0) -> Any:
    """The cluster's actor of this name, made from ``cls`` and ``args`` if it is missing; returns at once.

    It outlives whoever made it, and Ray starts it again, blank, whenever it dies.
    """
    actor = _remote(cls).options(
        name=name,
        namespace=NAMESPACE,
        get_if_exists=True,
        lifetime="detached",
        max_restarts=-1,
        max_task_retries=max_task_retries,
        num_cpus=0,
        max_concurrency=max_concurrency,
    )
    return actor.remote(*args)


class Actor:
    """The way to a detached actor, which is made where it is missing."""

    def __init__(self, cls: type, name: str, max_concurrency: int, *args: object) -> None:
        self._made = partial(detached, cls, name, max_concurrency, *args)
        self._handle: Any = None

    def start(self) -> None:
        """Have it made before it is needed; returns at once."""
        self._handle = self._handle or self._made()

    async def call(self, method: str, *args: object) -> Any:
        """Raises what the method raised, and RayActorError when the actor dies meanwhile: call again, and its successor
        is found or made."""
        try:
            self.start()
            return await getattr(self._handle, method).remote(*args)
        except RayTaskError as err:
            if isinstance(err.cause, FlairError):
                raise err.cause from None
            raise
        except RayActorError:
            self._handle = None
            raise


@cache
def _remote(cls: type) -> Any:
    return ray.remote(cls)  # once: Ray keeps what it has read of a class, each time it is asked
