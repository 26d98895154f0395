"""What makes a video work: the mechanics of one (Pattern) and of a collection (PatternLibrary).

Structure only. Sounds, dances and hashtags are gone within weeks; a curiosity gap is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from flair_ray.domain.ids import VideoId


class HookType(StrEnum):
    """How the first three seconds ask for attention."""

    QUESTION = "question"
    """Asks the viewer something they want answered."""
    SHOCK = "shock"
    """A claim, sight or number that breaks an expectation."""
    STORY = "story"
    """Drops the viewer into a moment that is already happening."""
    DIRECT_ADDRESS = "direct_address"
    """Speaks to one kind of viewer: "you", "if you are …"."""


class Pacing(StrEnum):
    """How information is spread over the running time."""

    FAST_SLOW_FAST = "fast_slow_fast"
    """Quick opening, room to breathe, quick ending."""
    ESCALATING = "escalating"
    """Each beat tops the last."""
    STEADY = "steady"
    """An even flow, as in a list or a walkthrough."""
    STACCATO = "staccato"
    """Short, hard cuts throughout."""


class EmotionalArc(StrEnum):
    """The feeling at the start, at the end, and the way between."""

    CURIOSITY_GAP = "curiosity_gap"
    """Something is withheld until late."""
    NEGATIVE_TO_POSITIVE = "negative_to_positive"
    """A problem is felt, then solved."""
    TENSION_RELEASE = "tension_release"
    """Stakes rise, then let go, often in a laugh."""
    SURPRISE_REVEAL = "surprise_reveal"
    """The ending changes what came before."""


class Trigger(StrEnum):
    """Psychological levers that a video may pull; it may pull several."""

    CURIOSITY = "curiosity"
    SOCIAL_PROOF = "social_proof"
    FEAR_OF_MISSING_OUT = "fear_of_missing_out"
    CONTROVERSY = "controversy"
    RELATABILITY = "relatability"
    AUTHORITY = "authority"
    HUMOR = "humor"
    TRANSFORMATION = "transformation"
    UTILITY = "utility"
    NOSTALGIA = "nostalgia"
    IDENTITY = "identity"
    SPECIFICITY = "specificity"


class Emotion(StrEnum):
    """What a viewer is to feel."""

    CURIOSITY = "curiosity"
    URGENCY = "urgency"
    INDIGNATION = "indignation"
    RECOGNITION = "recognition"
    TRUST = "trust"
    AMUSEMENT = "amusement"
    HOPE = "hope"
    RELIEF = "relief"
    NOSTALGIA = "nostalgia"


EMOTION_OF = {
    Trigger.CURIOSITY: Emotion.CURIOSITY,
    Trigger.SOCIAL_PROOF: Emotion.TRUST,
    Trigger.FEAR_OF_MISSING_OUT: Emotion.URGENCY,
    Trigger.CONTROVERSY: Emotion.INDIGNATION,
    Trigger.RELATABILITY: Emotion.RECOGNITION,
    Trigger.AUTHORITY: Emotion.TRUST,
    Trigger.HUMOR: Emotion.AMUSEMENT,
    Trigger.TRANSFORMATION: Emotion.HOPE,
    Trigger.UTILITY: Emotion.RELIEF,
    Trigger.NOSTALGIA: Emotion.NOSTALGIA,
    Trigger.IDENTITY: Emotion.RECOGNITION,
    Trigger.SPECIFICITY: Emotion.TRUST,
}
"""What a lever works on."""


@dataclass(frozen=True, slots=True)
class Quote:
    """Words that were said in a video: checked against its transcript (``domain/quotes.py``)."""

    text: str
    at: float
    """Where they begin, as a share of the transcript: 0 is the start."""


@dataclass(frozen=True, slots=True)
class Loop:
    """A question that is raised, and where it is answered."""

    opens: Quote
    closes: Quote | None
    """None where it stays open, or where the quote for it was never said."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """The mechanics of one video (output of S1)."""

    video_id: VideoId
    hook_type: HookType
    pacing: Pacing
    emotional_arc: EmotionalArc
    triggers: tuple[Trigger, ...]
    hook: str
    """The opening words, as spoken: the model's where they are in the transcript, else the transcript's own."""
    structure: tuple[str, ...]
    """The beats in order, a short phrase each."""
    pattern_interrupts: int
    """How often the flow is broken on purpose."""
    engagement_driver: str
    """The one thing that most makes people react."""
    words_per_second: float | None = None
    engagement_quote: Quote | None = None
    """The words that show the driver at work."""
    loops: tuple[Loop, ...] = ()
    quotes: int = 0
    """Quotes that the model gave."""
    quotes_dropped: int = 0
    """Those of them that are not in the transcript: left out."""

    @property
    def label(self) -> str:
        """The mechanics in words, as in PatternEntry."""
        return _label(self.hook_type, self.pacing, self.emotional_arc)


@dataclass(frozen=True, slots=True)
class Exemplar:
    """A video that shows a pattern well, in its own words."""

    video_id: VideoId
    hook: str
    quote: str = ""
    """The words that show what makes people react; empty where none were found in the transcript."""


@dataclass(frozen=True, slots=True)
class PatternEntry:
    """One combination of mechanics that recurs in the collection."""

    pattern_id: str
    """"P01", "P02", … in the library's order."""
    hook_type: HookType
    pacing: Pacing
    emotional_arc: EmotionalArc
    support: int
    """In how many videos it was seen."""
    lift: float | None
    """Engagement against the collection's median, shrunk toward 1 for small support; None: no numbers."""
    weight: float
    """Share of attention it deserves in S3; over a library the weights sum to 1."""
    triggers: tuple[Trigger, ...]
    """Those seen most with it, commonest first, at most four."""
    structures: tuple[tuple[str, ...], ...]
    """Beat sequences of its exemplars, at most three."""
    exemplars: tuple[Exemplar, ...]
    """At most three."""
    rated: int = 0
    """In how many of its videos the views and interactions are known: what ``lift`` rests on."""
    lift_per_follower: float | None = None
    """The same as ``lift``, for interactions per follower of the author."""
    loop_opens: float | None = None
    """Where its videos typically open a loop, as a share of the transcript; None where none does."""
    loop_closes: float | None = None
    """Where they typically close it."""

    @property
    def label(self) -> str:
        """A readable name: "question hook, escalating, curiosity gap"."""
        return _label(self.hook_type, self.pacing, self.emotional_arc)


def _label(hook_type: HookType, pacing: Pacing, emotional_arc: EmotionalArc) -> str:
    return f"{hook_type.value} hook, {pacing.value}, {emotional_arc.value}".replace("_", " ")


def hook_of(label: str) -> str:
    """The part of an entry's label that says how it opens: "question hook"."""
    return label.partition(",")[0]


@dataclass(frozen=True, slots=True)
class Together:
    """Two mechanics that meet in more videos than chance would have it."""

    first: str
    second: str
    """As in "question hook", "curiosity gap", "humor"."""
    support: int
    """In how many videos both are."""
    times_chance: float
    """That count over the one expected if the two had nothing to do with one another, shrunk toward 1."""


@dataclass(frozen=True, slots=True)
class PatternLibrary:
    """What a collection of videos has in common (output of S2). Association, never cause."""

    entries: tuple[PatternEntry, ...]
    videos: int
    """How many videos it was built from."""
    median_engagement: float | None
    """Median interactions per view over videos that have numbers; None when none has."""
    median_words_per_second: float | None
    median_per_follower: float | None = None
    """Median interactions per follower, likewise."""
    together: tuple[Together, ...] = ()
    """At most eight, the strongest first."""
    quotes: int = 0
    quotes_dropped: int = 0
    """Of the quotes that a model gave, those that no transcript has."""
