"""Bounded text at the border: the field types of what people send, and their faults in words.

Text is cleaned on the way in, blank list items are dropped (a form sends them for an empty box), and an
optional field that is null counts as not sent.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, Field, StringConstraints, ValidationError

from flair_ray.inputs.text import clean

MAX_CHARS, MAX_ITEMS = 2_000, 50


def _cleaned(value: object) -> object:
    return clean(value) if isinstance(value, str) else value


def _without_blanks(value: object) -> object:
    if not isinstance(value, list):
        return value
    return [item for item in value if not isinstance(item, str) or clean(item)]


def _split(value: object) -> object:
    return re.split("[;|]", value) if isinstance(value, str) else value


Text = Annotated[str, StringConstraints(max_length=MAX_CHARS), BeforeValidator(_cleaned)]
RequiredText = Annotated[str, StringConstraints(min_length=1, max_length=MAX_CHARS), BeforeValidator(_cleaned)]
ShortText = Annotated[str, StringConstraints(min_length=1, max_length=128), BeforeValidator(_cleaned)]
_Sent = Annotated[list[Text], Field(max_length=MAX_ITEMS)]
Texts = Annotated[
    list[RequiredText],
    Field(max_length=MAX_ITEMS),
    BeforeValidator(_without_blanks, json_schema_input_type=_Sent),
]
OptionalText = Annotated[
    Text, BeforeValidator(lambda value: "" if value is None else value, json_schema_input_type=Text | None)
]
OptionalTexts = Annotated[
    Texts, BeforeValidator(lambda value: [] if value is None else value, json_schema_input_type=_Sent | None)
]
SplitTexts = Annotated[Texts, BeforeValidator(_split)]
"""Also from one text, as a table's cell holds it: items between ; or |."""


def faults(err: ValidationError) -> str:
    """What is wrong, missing fields first, without repeating what was sent."""
    missing = [str(fault["loc"][0]) for fault in err.errors() if fault["type"] == "missing"]
    wrong = [
        f"{'.'.join(map(str, fault['loc'])) or 'it'}: {fault['msg']}"
        for fault in err.errors()
        if fault["type"] != "missing"
    ]
    return "; ".join(([f"missing {', '.join(missing)}"] if missing else []) + wrong)
