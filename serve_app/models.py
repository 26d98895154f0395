"""What may be sent, checked before anything is done: pydantic models with the bounds of the settings."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationInfo, field_validator
from pydantic_core import from_json
from starlette.exceptions import HTTPException
from starlette.requests import Request

from flair_ray.config import Settings
from flair_ray.inputs import ProfileBody
from flair_ray.inputs.wire import ShortText

MAX_BODY_BYTES = 1024**2
"""Of a JSON body; the longest profile that passes takes half of it."""

Count = Annotated[int, Strict(), Field(ge=1)]
UNKNOWN_HERE = ("voter_model", "rigor")
"""Fields of the contract that change nothing yet; whoever sends one is told so among the run's warnings."""


class StartBody(BaseModel):
    """An order for a run. More videos than exist, or results than scripts, is clamped; the run's warnings say so."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    creator_profile: ProfileBody
    reasoning_model: ShortText
    num_videos: Count = 100
    num_scripts: Count = 20
    num_personas: Count = 42
    top_n: Count = 10
    seed: Annotated[int, Strict(), Field(ge=0, le=2**63 - 1)] = 7
    max_usd: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    video_set_id: ShortText | None = None
    video_model: ShortText | None = None
    voter_model: ShortText | None = None
    rigor: ShortText | None = None

    @field_validator("num_videos", "num_scripts", "num_personas", "top_n")
    @classmethod
    def _within_bounds(cls, count: int, info: ValidationInfo) -> int:
        assert info.context is not None  # noqa: S101  # ``start_body`` gives it
        settings: Settings = info.context["settings"]
        most = getattr(settings, {"top_n": "max_scripts"}.get(str(info.field_name), f"max_{str(info.field_name)[4:]}"))
        if count > most:
            raise ValueError(f"{count} is above the limit of {most}")
        return count

    def remarks(self) -> tuple[str, ...]:
        """What was sent and changes nothing."""
        return tuple(f"{name} has no effect here." for name in UNKNOWN_HERE if getattr(self, name) is not None)


class VideoBody(BaseModel):
    """An order for the video of one of a run's results."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    run_id: ShortText
    script_id: ShortText
    video_model: ShortText | None = None
    """By which provider; default: the one that the run was started with, else animatic."""


async def start_body(request: Request, settings: Settings) -> StartBody:
    """The order in a request. Raises ValidationError, and HTTPException for what is no JSON or too much of it."""
    return StartBody.model_validate(await json_body(request), context={"settings": settings})


async def json_body(request: Request) -> object:
    """The JSON of a request, of bounded size and depth."""
    raw = bytearray()
    async for part in request.stream():
        raw += part
        if len(raw) > MAX_BODY_BYTES:
            raise HTTPException(413, f"The body is larger than {MAX_BODY_BYTES:,} bytes.")
    try:
        return from_json(bytes(raw), allow_inf_nan=False)
    except ValueError as err:
        raise HTTPException(422, f"The body is not JSON: {err}.") from None
