"""Whether the HTTP API keeps its speed while it works: see ``__main__``."""

from __future__ import annotations

from typing import Any

BODY: dict[str, Any] = {
    "creator_profile": {
        "tone": "dry",
        "vocabulary": ["simmer"],
        "catchphrases": ["there it is"],
        "topics_to_avoid": ["diets"],
    },
    "reasoning_model": "offline",
    "num_videos": 2,
    "num_scripts": 2,
    "num_personas": 2,
    "top_n": 1,
}
"""A small run that needs no model."""
