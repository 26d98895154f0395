"""The two kinds of people a run is about: the creator who will speak, and the viewers who judge."""

from __future__ import annotations

from dataclasses import dataclass

from flair_ray.domain.ids import PersonaId

VOICES, VOICE_CHARS = 5, 1_200
"""Transcripts of the creator that a model is shown, and characters of each: about a minute of speech."""


@dataclass(frozen=True, slots=True)
class CreatorProfile:
    """A creator's voice and ground. The first four fields are required of whoever sends one."""

    tone: str
    vocabulary: tuple[str, ...]
    catchphrases: tuple[str, ...]
    topics_to_avoid: tuple[str, ...]
    niche: str = ""
    audience_description: str = ""
    content_themes: tuple[str, ...] = ()
    example_hooks: tuple[str, ...] = ()
    recent_topics: tuple[str, ...] = ()
    own_transcripts: tuple[str, ...] = ()
    """What they said in videos of their own: how they sound, where it is to be heard."""


@dataclass(frozen=True, slots=True)
class Persona:
    """A simulated viewer. Synthetic, always: no persona stands for a real person."""

    persona_id: PersonaId
    name: str
    age: int
    location: str
    occupation: str
    interests: tuple[str, ...]
    platform_behavior: str
    attention_style: str
    description: str
    weight: float = 1.0
    """How much its ballot counts."""

    def __hash__(self) -> int:
        """Its id tells it apart: a panel is looked up for every start, by the hash of everyone it may choose from."""
        return hash(self.persona_id)
