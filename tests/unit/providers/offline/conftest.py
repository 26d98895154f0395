"""A creator, a pattern and a panel to try the offline provider on; all invented for these tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydantic import BaseModel

from flair_ray.domain.calls import ChatRequest
from flair_ray.domain.ids import PersonaId, ScriptId, StageName, VideoId
from flair_ray.domain.patterns import (
    EmotionalArc,
    Exemplar,
    HookType,
    Pacing,
    PatternEntry,
    PatternLibrary,
    Trigger,
)
from flair_ray.domain.people import CreatorProfile, Persona
from flair_ray.domain.scripts import CandidateScript, ScriptSlot
from flair_ray.domain.work import PollSheet, WritingBrief
from flair_ray.providers.offline.write import write_script

ANGLES = ("a mistake nearly everyone makes", "three steps, no more", "myth against reality", "before and after")


@pytest.fixture(scope="session")
def profile() -> CreatorProfile:
    return CreatorProfile(
        tone="energetic, playful",
        vocabulary=("crispy", "the good pan", "trust the process", "umami"),
        catchphrases=("Eat well, friends.", "Still hungry?", "That is dinner."),
        topics_to_avoid=("diet", "calories", "lemon"),
        niche="home cooking",
        audience_description="Busy parents who cook after seven",
        content_themes=("Budget meal prep", "One-pan dinners", "Pantry recipes"),
        example_hooks=("Hot take: you don't need a recipe.", "Stop buying sauce."),
        recent_topics=("cold pans",),
    )


@pytest.fixture(scope="session")
def nobody() -> CreatorProfile:
    return CreatorProfile("", (), (), ())


@pytest.fixture(scope="session")
def entry() -> Callable[..., PatternEntry]:
    def make(hook: HookType, pacing: Pacing, arc: EmotionalArc) -> PatternEntry:
        beats = ("asks: “why”", "calls for action: “save this”")
        exemplar = Exemplar(VideoId("v1"), "Why does nobody talk about this?")
        triggers = (Trigger.CURIOSITY, Trigger.UTILITY)
        return PatternEntry("P01", hook, pacing, arc, 4, 1.2, 0.5, triggers, (beats,), (exemplar,))

    return make


@pytest.fixture(scope="session")
def slots(entry: Callable[..., PatternEntry]) -> Callable[[int, tuple[str, ...]], list[ScriptSlot]]:
    """N slots that walk through all mechanics and the given themes."""
    hooks, pacings, arcs = list(HookType), list(Pacing), list(EmotionalArc)

    def make(count: int, themes: tuple[str, ...]) -> list[ScriptSlot]:
        return [
            ScriptSlot(
                ScriptId(f"S{i + 1:02d}"),
                entry(hooks[i % 4], pacings[i // 2 % 4], arcs[i // 3 % 4]),
                themes[i % len(themes)],
                ANGLES[i % 4],
            )
            for i in range(count)
        ]

    return make


@pytest.fixture(scope="session")
def brief() -> Callable[[CreatorProfile, int], WritingBrief]:
    return lambda profile, seed: WritingBrief(profile, PatternLibrary((), 10, None, None), seed)


@pytest.fixture(scope="session")
def scripts(
    profile: CreatorProfile,
    slots: Callable[[int, tuple[str, ...]], list[ScriptSlot]],
    brief: Callable[[CreatorProfile, int], WritingBrief],
) -> tuple[CandidateScript, ...]:
    """Twenty-five scripts for the cook, as S3 would keep them."""
    chosen = slots(25, profile.content_themes)
    drafts = [(s, write_script(brief(profile, 1), s, 0)) for s in chosen]
    return tuple(
        CandidateScript(
            s.script_id, s.pattern.label, d.hook, d.body, d.payoff, d.estimated_duration, d.structural_notes
        )
        for s, d in drafts
    )


@pytest.fixture(scope="session")
def sheet() -> Callable[[tuple[CandidateScript, ...], tuple[int, ...] | None], PollSheet]:
    def make(scripts: tuple[CandidateScript, ...], order: tuple[int, ...] | None = None) -> PollSheet:
        labels = tuple(f"{chr(66 + i // 20)}{chr(66 + i % 20)}" for i in range(len(scripts)))
        return PollSheet(scripts, labels, (order or tuple(range(len(scripts))),), seed=3)

    return make


@pytest.fixture(scope="session")
def personas() -> tuple[Persona, ...]:
    styles = ("impatient, skips after seconds", "skeptical, checks the source", "curious, asks why", "patient, listens")
    interests = (("cooking", "travel"), ("coding", "history"), ("fitness",), ("books", "cooking"), ("gaming",))
    return tuple(
        Persona(
            PersonaId(f"p{i:02d}"),
            f"Viewer {i}",
            18 + i * 3 % 60,
            "Somewhere",
            "teacher",
            interests[i % 5],
            "watches at night, saves recipes",
            styles[i % 4],
            "A viewer made up for a test.",
        )
        for i in range(24)
    )


@pytest.fixture(scope="session")
def chat() -> Callable[..., ChatRequest]:
    def make(stage: StageName, answer: type[BaseModel], *material: object) -> ChatRequest:
        return ChatRequest(stage, "system", "shared", "varying", answer, material)

    return make
