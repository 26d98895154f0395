"""What people report of a post: the wire model, and its faults in words."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    StringConstraints,
    ValidationError,
    field_validator,
)

from flair_ray.errors import InputError
from flair_ray.inputs.text import clean
from flair_ray.inputs.wire import ShortText, faults

MOST_COUNT = 10**12
MOST_SECONDS = 86_400
MOST_URL_CHARS = 2_000

Count = Annotated[int, Strict(), Field(ge=0, le=MOST_COUNT)]
Word = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,31}$"),
    BeforeValidator(lambda value: value.strip().lower() if isinstance(value, str) else value),
]


class PostBody(BaseModel):
    """How a posted script has done. The same script, platform and address again replaces what was there."""

    model_config = ConfigDict(extra="ignore", frozen=True, use_attribute_docstrings=True)

    run_id: ShortText
    script_id: ShortText
    platform: Word
    """One word, such as tiktok."""
    post_url: Annotated[str, StringConstraints(strip_whitespace=True, max_length=MOST_URL_CHARS)]
    """Where it can be seen: http or https."""
    views: Count
    likes: Count
    comments: Count
    shares: Count
    watch_time_avg: Annotated[float, Strict(), Field(ge=0, le=MOST_SECONDS, allow_inf_nan=False)] | None = None
    """Seconds."""
    completion_rate: Annotated[float, Strict(), Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    """Share of viewers who saw it to its end."""

    @field_validator("post_url")
    @classmethod
    def _is_address(cls, url: str) -> str:
        parts = urlsplit(url)  # raises ValueError for what is no address
        if parts.scheme not in ("http", "https") or not parts.hostname or clean(url) != url or " " in url:
            raise ValueError("an address begins with http:// or https://, names a host and has no spaces")
        return url

    def facts(self) -> dict[str, Any]:
        """Everything but the ids, by the names that ``Post`` has."""
        return self.model_dump(exclude={"run_id", "script_id"})


def parse_post(obj: object) -> PostBody:
    """The post in a JSON value. Raises InputError with every fault."""
    try:
        return PostBody.model_validate(obj)
    except ValidationError as err:
        raise InputError(f"This post cannot be used: {faults(err)}.") from None
