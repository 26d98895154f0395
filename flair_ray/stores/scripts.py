"""The Lua scripts, one file per operation, loaded by name."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.commands.core import AsyncScript


def load_scripts(redis: Redis) -> dict[str, AsyncScript]:
    """Name → script, called by its hash; redis-py sends the text again when the server has forgotten it."""
    return {name: redis.register_script(text) for name, text in _texts().items()}


@cache
def _texts() -> dict[str, str]:
    found = files(__package__).joinpath("lua").iterdir()
    return {file.name.removesuffix(".lua"): file.read_text(encoding="utf-8") for file in found}
