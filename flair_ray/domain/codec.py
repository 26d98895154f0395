"""Frozen dataclasses to JSON text and back, checked by pydantic on the way in.

Inside the library values are plain frozen dataclasses; what goes to Redis, to a file or over HTTP
passes here. Adapters are built once per type: building one costs milliseconds, using it microseconds.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")


def adapter(kind: Any) -> TypeAdapter[Any]:
    """The one adapter of this type."""
    return _adapter(kind)


@lru_cache(maxsize=128)
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def encode(value: object, kind: Any = None) -> str:
    """JSON text of a dataclass (or of ``kind``, for containers such as ``tuple[Video, ...]``)."""
    return adapter(kind or type(value)).dump_json(value).decode()


def decode(kind: type[T], text: str | bytes) -> T:
    """The value of type ``kind`` in this JSON text.

    Raises pydantic.ValidationError when the text does not describe one.
    """
    value: T = adapter(kind).validate_json(text)
    return value


def plain(value: object) -> Any:
    """The same value as dicts, lists, strings and numbers, ready for any JSON writer."""
    return adapter(type(value)).dump_python(value, mode="json")
