"""What a model must answer at each stage, as pydantic models: their JSON schema constrains the model,
they check what comes back, and near-misses in spelling are put right here and nowhere else.

Lists are bounded, strings have lengths, categories are enumerations. No provider's JSON schema can ask for
distinct items: a small ballot enumerates its orders instead, a larger one is checked by its stage.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import permutations
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    create_model,
)

from flair_ray.domain.ballots import BALLOT_LENGTH
from flair_ray.domain.patterns import EmotionalArc, HookType, Pacing, Trigger
from flair_ray.domain.scripts import MAX_SECONDS, MIN_SECONDS

C = TypeVar("C", "ChoiceForm", "VerdictForm")
E = TypeVar("E")


def _snake(value: object) -> object:
    """ "Fast-slow fast" → "fast_slow_fast": models spell our categories their own way."""
    return "_".join(value.lower().replace("-", " ").split()) if isinstance(value, str) else value


Category = Annotated[E, BeforeValidator(_snake)]
Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300)]
Paragraph = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2500)]


class Answer(BaseModel):
    """Base of all answers. Extra fields are ignored on reading and forbidden in the schema."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"additionalProperties": False})


class LoopDraft(Answer):
    """S1: one loop, in the video's own words."""

    opens: Line = Field(description="Where it opens: a phrase copied word for word from the transcript.")
    closes: str = Field(max_length=300, description="Where it closes, word for word; empty if it stays open.")


class VideoAnalysis(Answer):
    """S1: the mechanics of one video, with quotes that the stage looks up in the transcript."""

    hook: Line = Field(description="The opening words, copied word for word from the transcript, 25 words or fewer.")
    hook_type: Category[HookType]
    pacing: Category[Pacing]
    emotional_arc: Category[EmotionalArc]
    triggers: list[Category[Trigger]] = Field(min_length=1, max_length=5)
    structure: list[Line] = Field(min_length=2, max_length=8, description="The beats in order, a short phrase each.")
    pattern_interrupts: int = Field(ge=0, le=30)
    loops: list[LoopDraft] = Field(max_length=4, description="Questions that the video raises and makes one wait for.")
    engagement_driver: Line = Field(description="The one thing that most makes people react.")
    engagement_quote: Line = Field(description="The phrase that shows it, copied word for word from the transcript.")


class ScriptDraft(Answer):
    """S3: one script."""

    hook: Line = Field(description="The first three seconds.")
    body: Paragraph
    payoff: Paragraph
    estimated_duration: float = Field(ge=MIN_SECONDS, le=MAX_SECONDS, description="Seconds.")
    structural_notes: Paragraph = Field(description="Where the pattern interrupt sits and why the structure holds.")


class BallotForm(Answer):
    """S4: one viewer's vote; ``top`` is narrowed to the labels on the sheet by ``ballot_form``."""

    reaction: Line = Field(description="One line, in the viewer's own words, before voting.")
    top: list[str]


class EditDraft(Answer):
    """A refinement: what one viewer would change in a script; the stage looks the passage up in it."""

    reason: Line = Field(description="What kept you from choosing it, one line in the viewer's own words.")
    passage: Line = Field(description="What is to change, copied word for word from the script.")
    instead: Line = Field(description="What should stand in its place, of about the same length.")


class ChoiceForm(Answer):
    """A refinement: which edit of each script one viewer would rather watch; ``comparison_form`` has the fields."""


class VerdictForm(Answer):
    """The same for each script without and with its edit."""


class ShotDraft(Answer):
    """One line of S6's shot list."""

    seconds: float = Field(gt=0, le=MAX_SECONDS)
    visual: Line
    on_screen_text: str = Field(max_length=120)


class PersonalizedDraft(Answer):
    """S6: the script in the creator's voice, and how to film it."""

    hook: Line
    body: Paragraph
    payoff: Paragraph
    shots: list[ShotDraft] = Field(min_length=2, max_length=12)
    look: Line = Field(description="What is the same in every shot: subject, clothes, setting, light, lens.")
    video_prompt: Paragraph = Field(description="One prompt for a text-to-video model, for the whole video.")


SMALL_BALLOT = 4
"""Labels up to which every order is spelled out, 24 at most: a strict schema then leaves no wrong ballot. Five would
be 120 orders, more than a constrained decoder should have to carry for each call."""
BETTER_THAN = ">"


@lru_cache(maxsize=64)
def ballot_form(labels: tuple[str, ...]) -> type[BallotForm]:
    """The form for a sheet with these labels: exactly min(5, N) of them, best first.

    Up to SMALL_BALLOT labels it asks for one of the possible orders ("BD > FG > KL"); above, for a list,
    whose distinctness is the stage's check. ``top`` is a list either way.
    """
    length = min(BALLOT_LENGTH, len(labels))
    top: Any = list[Literal[labels]]  # type: ignore[valid-type]  # known only at run time
    if len(labels) <= SMALL_BALLOT:
        orders = [f" {BETTER_THAN} ".join(order) for order in permutations(labels)]
        top = Annotated[top, BeforeValidator(_listed), WithJsonSchema({"type": "string", "enum": orders})]
    told = f"Your {length} favourites, best first, no repeats."
    return create_model(
        "BallotForm", __base__=BallotForm, top=(top, Field(min_length=length, max_length=length, description=told))
    )


def _listed(value: object) -> object:
    """ "BD > FG" → ["BD", "FG"]; a model that was not held to the schema may send the list itself."""
    return [label.strip() for label in value.split(BETTER_THAN)] if isinstance(value, str) else value


@lru_cache(maxsize=64)
def comparison_form(base: type[C], groups: tuple[tuple[str, ...], ...]) -> type[C]:
    """The form for a sheet of groups with these labels: one label of each, a field for every group."""
    fields: dict[str, Any] = {
        f"group_{n}": (
            Literal[labels],
            Field(description=f"Group {n}: the label of the version you would rather watch."),
        )
        for n, labels in enumerate(groups, start=1)
    }
    return create_model(base.__name__, __base__=base, **fields)
