"""The JSON schema that is sent with a question: as much of the answer's own as a vendor takes.

pydantic's schema of an answer is inlined (``$ref``), stripped to what every vendor knows (types, properties, items,
enumerations, descriptions) and to the bounds that this vendor documents. A bound that cannot be sent is said in the
description instead, where the model still reads it. Nothing is lost by stripping: the answer is validated against the
whole model when it comes.

Answers are trees of objects with every property required; recursion would have no end here and is not handled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from pydantic import BaseModel

_SPOKEN: Final = ("type", "enum", "description", "required", "additionalProperties")
"""Understood by everybody who takes a JSON schema at all."""
BOUNDS: Final[Mapping[str, str]] = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "more than {}",
    "exclusiveMaximum": "less than {}",
}


@dataclass(frozen=True, slots=True)
class SchemaDialect:
    """What of JSON Schema a vendor takes."""

    bounds: frozenset[str] = frozenset()
    """Of the keywords that limit a length, a count or a number."""
    titled: bool = False
    """Whether the answer's name goes along as the title, where there is no other place for it."""
    longest: int | None = None
    """Characters that no string may exceed, whatever the answer allows: a weak model fills what it is given."""
    most: int | None = None
    """Items that no list may exceed unless the answer wants more, likewise."""


@lru_cache(maxsize=256)
def answer_schema(answer: type[BaseModel], dialect: SchemaDialect) -> dict[str, Any]:
    """The schema to send. Cached and shared: do not change it."""
    whole = answer.model_json_schema()
    sent = _Sender(whole.get("$defs", {}), dialect).sent(whole)
    return {"title": answer.__name__, **sent} if dialect.titled else sent


@dataclass(frozen=True, slots=True)
class _Sender:
    definitions: Mapping[str, Any]
    dialect: SchemaDialect

    def sent(self, node: Mapping[str, Any]) -> dict[str, Any]:
        if "$ref" in node:
            node = self.definitions[node["$ref"].rpartition("/")[2]] | {k: v for k, v in node.items() if k != "$ref"}
        kept = {name: node[name] for name in _SPOKEN if name in node}
        if "const" in node:
            kept["enum"] = [node["const"]]
        if "properties" in node:
            kept.pop("description", None)  # a class docstring: written for programmers
            kept["properties"] = {name: self.sent(child) for name, child in node["properties"].items()}
        if "items" in node:
            kept["items"] = self.sent(node["items"])
        return kept | self._bounds(node, kept.get("description", ""))

    def _bounds(self, node: Mapping[str, Any], description: str) -> dict[str, Any]:
        limits = self._limits(node)
        bounds = {name: value for name, value in limits.items() if name in self.dialect.bounds}
        # A least length of one is not worth a sentence: nobody answers with nothing because it was not said.
        said = [BOUNDS[n].format(v) for n, v in limits.items() if n not in bounds and (n, v) != ("minLength", 1)]
        if said:
            bounds["description"] = f"{description} {', '.join(said).capitalize()}.".strip()
        return bounds

    def _limits(self, node: Mapping[str, Any]) -> dict[str, Any]:
        """The bounds of a node, drawn in where the dialect says so."""
        limits = {name: node[name] for name in BOUNDS if name in node}
        if self.dialect.longest and node.get("type") == "string" and "enum" not in node:
            limits["maxLength"] = min(self.dialect.longest, limits.get("maxLength", self.dialect.longest))
        if self.dialect.most and node.get("type") == "array":
            fewest = limits.get("minItems", 0)
            limits["maxItems"] = max(fewest, min(self.dialect.most, limits.get("maxItems", self.dialect.most)))
        return limits
