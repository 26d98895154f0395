"""From a creator's profile and a folder of viral videos to ten ranked, personalised scripts, on Ray.

    import flair_ray
    result = flair_ray.run(videos="my_videos/", profile="me.json")

Importing this loads neither ray, redis nor boto3: names are resolved when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flair_ray.api import arun, run
    from flair_ray.domain.people import CreatorProfile, Persona
    from flair_ray.domain.videos import Engagement, Video
    from flair_ray.errors import FlairError
    from flair_ray.result import RunResult
    from flair_ray.terminal.notebook import live

__version__ = "0.1.0"
__all__ = ["CreatorProfile", "Engagement", "FlairError", "Persona", "RunResult", "Video", "arun", "live", "run"]

_HOMES = {
    "CreatorProfile": "flair_ray.domain.people",
    "Engagement": "flair_ray.domain.videos",
    "FlairError": "flair_ray.errors",
    "Persona": "flair_ray.domain.people",
    "RunResult": "flair_ray.result",
    "Video": "flair_ray.domain.videos",
    "arun": "flair_ray.api",
    "live": "flair_ray.terminal.notebook",
    "run": "flair_ray.api",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
