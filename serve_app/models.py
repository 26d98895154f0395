"""What may be sent, checked before anything is done: pydantic models with the bounds of the settings."""

from __future__ import annotations

from typing import Annotated

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    ValidationInfo,
    field_validator,
)
from pydantic.config import JsonDict
from pydantic_core import from_json
from starlette.exceptions import HTTPException
from starlette.requests import Request

from flair_ray.config import Settings
from flair_ray.domain.money import MOST_USD
from flair_ray.domain.rigor import Rigor
from flair_ray.inputs import ProfileBody
from flair_ray.inputs.wire import ShortText
from flair_ray.wiring import DEFAULT_MODELS, LOCAL


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


Count = Annotated[int, Strict(), Field(ge=1), BeforeValidator(_whole)]
"""Also 2.0, which JSON does not tell from 2; but neither "2" nor true."""
Seed = Annotated[int, Strict(), Field(ge=0, le=2**63 - 1), BeforeValidator(_whole)]
COUNTS = ("num_videos", "num_scripts", "num_personas", "top_n")
EXAMPLE: JsonDict = {
    "reasoning_model": "offline",
    "creator_profile": {
        "tone": "dry",
        "vocabulary": ["simmer"],
        "catchphrases": ["there it is"],
        "topics_to_avoid": ["diets"],
    },
}


class StartBody(BaseModel):
    """An order for a run. More videos than exist, or results than scripts, is clamped; the run's warnings say so."""

    model_config = ConfigDict(
        extra="ignore", frozen=True, use_attribute_docstrings=True, json_schema_extra={"examples": [EXAMPLE]}
    )

    creator_profile: ProfileBody
    """Whose voice the scripts are for."""
    reasoning_model: Annotated[ShortText, Field(json_schema_extra={"enum": [*DEFAULT_MODELS]})]
    """Who analyzes, writes and, without a ``voter_model``, votes: usable here are those of `GET /api/providers`."""
    # None is left out where starts under one key are compared: they equal those of before there was a choice.
    model: Annotated[ShortText | None, Field(exclude_if=lambda model: model is None)] = None
    """Which of its models; without one the server's choice. Which `local` one is set where the server runs."""
    num_videos: Count = 100
    """To learn from."""
    num_scripts: Count = 20
    """To write."""
    num_personas: Count = 42
    """Simulated viewers who vote."""
    top_n: Count = 10
    """Scripts that are put into the creator's voice."""
    seed: Seed = 7
    """Equal seeds draw the same videos, viewers and orders."""
    max_usd: Annotated[float, Strict(), Field(gt=0, le=MOST_USD)] | None = None
    """The run stops cleanly before it costs more."""
    video_set_id: ShortText | None = None
    """Videos that were sent to `POST /api/videos`; the samples without one."""
    video_model: ShortText | None = None
    voter_model: ShortText | None = None
    """Who votes: PROVIDER, PROVIDER:MODEL, or another MODEL of the provider that writes."""
    rigor: Rigor = Rigor.STANDARD
    """`careful` asks a third of the viewers twice, and puts two scripts on the sheet that test them."""
    refine: Annotated[bool, Strict()] = False
    """Viewers who ranked the best scripts lowest propose edits; the panel judges each against the script as it was."""

    @field_validator(*COUNTS)
    @classmethod
    def _within_bounds(cls, count: int, info: ValidationInfo) -> int:
        assert info.context is not None  # noqa: S101  # ``start_body`` gives it
        limit = most(str(info.field_name), info.context["settings"])
        if count > limit:
            raise ValueError(f"{count} is above the limit of {limit}")
        return count

    @field_validator("model")
    @classmethod
    def _names_no_file(cls, model: str | None, info: ValidationInfo) -> str | None:
        """A local model is a file, and which files there are is nobody's business over HTTP."""
        if model is not None and info.data.get("reasoning_model") == LOCAL:
            raise ValueError("which local model writes is set where the server runs: a start does not name it")
        return model

    @field_validator("voter_model")
    @classmethod
    def _names_no_file_either(cls, voter_model: str | None, info: ValidationInfo) -> str | None:
        voters = voter_model or LOCAL
        provider = voters.partition(":")[0]
        if (
            LOCAL in (provider, info.data.get("reasoning_model"))
            and provider not in {*DEFAULT_MODELS} - {LOCAL}
            and voters != LOCAL
        ):
            raise ValueError(
                "which local model votes is set where the server runs: voter_model is `local` or another's"
            )
        return voter_model


def most(count: str, settings: Settings) -> int:
    """The bound of a count in a start's body."""
    bound: int = getattr(settings, "max_scripts" if count == "top_n" else f"max_{count.removeprefix('num_')}")
    return bound


class VideoBody(BaseModel):
    """An order for the video of one of a run's results."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    run_id: ShortText
    script_id: ShortText
    video_model: ShortText | None = None
    """By which provider; default: the one that the run was started with, else animatic."""


async def start_body(request: Request, settings: Settings) -> StartBody:
    """The order in a request. Raises ValidationError, and HTTPException for what is no JSON or too much of it."""
    body = StartBody.model_validate(await json_body(request, settings), context={"settings": settings})
    unsaid = set(COUNTS) - body.model_fields_set
    return body.model_copy(update={name: min(getattr(body, name), most(name, settings)) for name in unsaid})


async def json_body(request: Request, settings: Settings) -> object:
    """The JSON of a request, of bounded size and depth."""
    raw = bytearray()
    async for part in request.stream():
        raw += part
        if len(raw) > settings.max_body_bytes:
            raise HTTPException(413, f"The body is larger than {settings.max_body_bytes:,} bytes.")
    try:
        return from_json(bytes(raw), allow_inf_nan=False)
    except ValueError as err:
        raise HTTPException(422, f"The body is not JSON: {err}.") from None
