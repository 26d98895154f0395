"""What the names of a service's detached actors end with: its version and its Redis.

Whoever asks for an actor by name gets the one that is there. Two versions that share a cluster during a rollout must
not use each other's code, and two services on one cluster not each other's Redis.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from flair_ray import __version__
from flair_ray.domain.ids import digest


def service_name(redis_url: str) -> str:
    """The version and a digest of where the Redis is, without a word of its password."""
    where = urlsplit(redis_url)
    return f"{__version__}-{digest(where.hostname or '', str(where.port), where.path, length=8)}"
