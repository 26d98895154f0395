"""How a creator, a script and a viewer are put before a model. Always fenced: all of it comes from outside."""

from __future__ import annotations

from flair_ray.domain.people import VOICE_CHARS, VOICES, CreatorProfile, Persona
from flair_ray.domain.scripts import CandidateScript
from flair_ray.prompts import fence, joined


def creator_brief(profile: CreatorProfile) -> str:
    """The creator, one line per known field."""
    fields = (
        ("Niche", profile.niche),
        ("Audience", profile.audience_description),
        ("Tone", profile.tone),
        ("Vocabulary", ", ".join(profile.vocabulary)),
        ("Catchphrases", " / ".join(profile.catchphrases)),
        ("Topics to avoid", ", ".join(profile.topics_to_avoid)),
        ("Themes", ", ".join(profile.content_themes)),
        ("Hooks they have used", " / ".join(profile.example_hooks)),
        ("Recent topics, do not repeat", ", ".join(profile.recent_topics)),
    )
    return fence("creator", "\n".join(f"{name}: {text}" for name, text in fields if text))


def voice_brief(profile: CreatorProfile) -> str:
    """How the creator talks, in their own words; empty where nothing of it is known."""
    heard = (fence("said", " ".join(text.split())[:VOICE_CHARS]) for text in profile.own_transcripts[:VOICES])
    return joined("What the creator has said in earlier videos:", *heard) if profile.own_transcripts else ""


def script_brief(script: CandidateScript, label: str = "script") -> str:
    """The spoken text under a neutral label. Pattern and notes are left out: a viewer does not see them."""
    return fence(label, f"{script.hook}\n\n{script.body}\n\n{script.payoff}")


def viewer_brief(persona: Persona) -> str:
    """One simulated viewer."""
    return fence(
        "viewer",
        f"{persona.name}, {persona.age}, {persona.occupation}, {persona.location}\n"
        f"Interests: {', '.join(persona.interests)}\n"
        f"On the platform: {persona.platform_behavior}\n"
        f"Attention: {persona.attention_style}\n"
        f"{persona.description}",
    )
