"""The creator's profile: from JSON of unknown quality to a CreatorProfile, or one message with every fault."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from flair_ray.domain.codec import adapter
from flair_ray.domain.people import CreatorProfile
from flair_ray.errors import InputError
from flair_ray.inputs.files import Unreadable, read_json
from flair_ray.inputs.wire import OptionalText, OptionalTexts, RequiredText, Texts, faults


class ProfileBody(BaseModel):
    """A creator profile as it is sent; unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    tone: RequiredText
    vocabulary: Texts
    catchphrases: Texts
    topics_to_avoid: Texts
    niche: OptionalText = ""
    audience_description: OptionalText = ""
    content_themes: OptionalTexts = []
    example_hooks: OptionalTexts = []
    recent_topics: OptionalTexts = []
    own_transcripts: OptionalTexts = []

    def to_domain(self) -> CreatorProfile:
        """The same facts inside the library."""
        profile: CreatorProfile = adapter(CreatorProfile).validate_python(self.model_dump())
        return profile


def read_profile(path: Path) -> CreatorProfile:
    """The profile in a JSON file. Raises InputError naming the file and every field at fault."""
    try:
        return parse_profile(read_json(Path(path), str(path)), str(path))
    except Unreadable as err:
        raise InputError(
            f"{err}. A profile is a JSON object with tone, vocabulary, catchphrases, topics_to_avoid"
        ) from None


def parse_profile(obj: object, where: str) -> CreatorProfile:
    """The profile in a JSON value. ``where`` names it in the InputError, whose cause has each field at fault."""
    if not isinstance(obj, dict):
        raise InputError(f"{where}: not an object. A profile has tone, vocabulary, catchphrases and topics_to_avoid")
    try:
        return ProfileBody.model_validate(obj).to_domain()
    except ValidationError as err:
        raise InputError(f"{where}: this profile cannot be used: {faults(err)}") from err
