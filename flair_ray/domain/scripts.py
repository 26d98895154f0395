"""Scripts on their way: a slot to fill, a candidate, and what the creator takes home."""

from __future__ import annotations

from dataclasses import dataclass

from flair_ray.domain.ids import ScriptId
from flair_ray.domain.patterns import Emotion, PatternEntry

MIN_SECONDS, MAX_SECONDS = 15.0, 45.0
"""A script's length. Below 15 s there is no room for a turn; past 45 s completion falls off."""


@dataclass(frozen=True, slots=True)
class ScriptSlot:
    """One script to be written in S3: which pattern, for which of the creator's themes."""

    script_id: ScriptId
    pattern: PatternEntry
    theme: str
    angle: str
    """How to come at the theme, e.g. "a mistake everyone makes"."""
    emotion: Emotion = Emotion.CURIOSITY
    """What it should leave a viewer with."""
    unlike: str = ""
    """The opening of a draft that was too close to another text; empty for a first draft."""


@dataclass(frozen=True, slots=True)
class CandidateScript:
    """A script as S3 wrote it, before any vote."""

    script_id: ScriptId
    pattern_used: str
    hook: str
    """First three seconds."""
    body: str
    payoff: str
    estimated_duration: float
    """Seconds."""
    structural_notes: str
    """Where the pattern interrupt sits and why the structure should hold attention."""
    theme: str = ""
    angle: str = ""
    emotion: str = ""
    """These three: what it was to be about, how to come at it, and what to leave a viewer with."""

    @property
    def text(self) -> str:
        """Hook, body and payoff as three paragraphs."""
        return "\n\n".join((self.hook, self.body, self.payoff))


@dataclass(frozen=True, slots=True)
class Shot:
    """One line of a shot list."""

    start_s: float
    end_s: float
    visual: str
    """What the camera sees."""
    on_screen_text: str
    video_prompt: str = ""
    """A prompt for this shot alone; with those of the others it gives clips that fit together."""


@dataclass(frozen=True, slots=True)
class FinalScript:
    """A ranked script in the creator's own voice (output of S6)."""

    script_id: ScriptId
    original_script: CandidateScript
    hook: str
    body: str
    payoff: str
    video_prompt: str
    """One prompt for a text-to-video model, for the whole video."""
    shots: tuple[Shot, ...]
    rank: int
    vote_score: float
    personalized: bool = True
    """False where the original text stands in because S6 could not be done."""
    notes: tuple[str, ...] = ()
    """What a person should know, e.g. a topic to avoid that is still mentioned."""

    @property
    def personalized_script(self) -> str:
        """The spoken text: hook, body and payoff as three paragraphs."""
        return "\n\n".join((self.hook, self.body, self.payoff))
