"""The Lua scripts, one file per operation, loaded by name."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.commands.core import AsyncScript

NAMES = (
    "create",
    "host",
    "adoptable",
    "acquire",
    "renew",
    "release",
    "transition",
    "announce",
    "record",
    "claim",
    "give_up",
    "cancel",
    "delete",
    "due",
    "kept",
    "reserve",
    "settle",
    "permits",
    "remember",
    "score",
    "order_video",
    "take_videos",
    "advance_video",
    "book",
)


def load_scripts(redis: Redis) -> dict[str, AsyncScript]:
    """Name → script, called by its hash; redis-py sends the text again when the server has forgotten it."""
    folder = files(__package__).joinpath("lua")
    return {name: redis.register_script(folder.joinpath(f"{name}.lua").read_text(encoding="utf-8")) for name in NAMES}
