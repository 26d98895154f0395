"""Simulated viewers from a file: every persona complete, every id once, or one message that names the record.

Unlike videos, a faulty persona is not skipped: an electorate with silent gaps would be another electorate.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flair_ray.domain.codec import adapter
from flair_ray.domain.people import Persona
from flair_ray.errors import InputError
from flair_ray.inputs.columns import RawRecord, normal
from flair_ray.inputs.files import Unreadable
from flair_ray.inputs.report import SkippedRecord
from flair_ray.inputs.tabular import READERS, rows
from flair_ray.inputs.text import clean
from flair_ray.inputs.wire import RequiredText, ShortText, SplitTexts, faults

MAX_PERSONAS = 10_000


class PersonaBody(BaseModel):
    """A persona as it is sent; unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    persona_id: ShortText
    name: RequiredText
    age: Annotated[int, Field(ge=13, le=120)]
    location: RequiredText
    occupation: RequiredText
    interests: SplitTexts
    platform_behavior: RequiredText
    attention_style: RequiredText
    description: RequiredText
    weight: Annotated[float, Field(ge=0.001, le=1000)] = 1.0
    """How much its ballot counts beside those of others."""

    def to_domain(self) -> Persona:
        """The same facts inside the library."""
        persona: Persona = adapter(Persona).validate_python(self.model_dump())
        return persona


_FIELDS = {normal(name): name for name in PersonaBody.model_fields} | {"id": "persona_id"}


def read_personas(path: Path) -> tuple[Persona, ...]:
    """The personas in a JSON, JSON lines, CSV or Parquet file, in file order.

    Raises InputError naming the file and the record, for duplicate ids too, and past MAX_PERSONAS.
    """
    path = Path(path)
    if path.suffix.lower() not in READERS:
        raise InputError(f"{path}: personas are read from {', '.join(READERS)} files")
    try:
        return _read(path)
    except Unreadable as err:
        raise InputError(f"{path}: {err.reason}") from None


def _read(path: Path) -> tuple[Persona, ...]:
    found: dict[str, Persona] = {}
    for record in rows(path, clean(path.name)):
        persona = _parse(record)
        if persona.persona_id in found:
            raise InputError(f"{record.where}: persona_id {persona.persona_id!r} was already used. Give each its own")
        found[persona.persona_id] = persona
        if len(found) > MAX_PERSONAS:
            raise InputError(f"{path}: more than {MAX_PERSONAS:,} personas. Take fewer")
    if not found:
        raise InputError(f"{path}: no persona in it")
    return tuple(found.values())


def _parse(record: RawRecord | SkippedRecord) -> Persona:
    if isinstance(record, SkippedRecord):
        raise InputError(f"{record.where}: {record.reason}")
    values = {_FIELDS.get(normal(key), str(key)): value for key, value in record.values.items()}
    try:
        return PersonaBody.model_validate(values).to_domain()
    except ValidationError as err:
        raise InputError(f"{record.where}: this persona cannot be used: {faults(err)}") from None
