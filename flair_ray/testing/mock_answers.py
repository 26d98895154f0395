"""Answers that fit a JSON schema, made of the words of the prompt they answer.

The schema is walked once from its root and one value is made for each node. Every choice comes from one
generator seeded with the prompt, so an equal question has an equal answer and another question another
one; strings are short sentences of words drawn from the question, so scripts and hooks differ and can be
read. The text means nothing. Lists of enumerated items have distinct items as long as there are enough. A bound that a
vendor's schema has no keyword for is read where a model would read it: "At most 300 characters." in the description.

Schemas come from outside: one that recurses without end, asks for a huge answer, contradicts itself or uses a keyword
that is not understood here (``pattern``, ``format`` …) is an InputError, never a wrong answer.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

from flair_ray.errors import InputError

PARAGRAPH_LENGTH = 1_000
"""A string that may be this long gets a paragraph. Hook, body and payoff together come to about 80 spoken
words, half a minute, and never leave a script's 15 to 45 s by much."""
SENTENCE_LENGTH = 100
"""A string that may be this long gets a whole sentence, a shorter one a few words."""
SOURCE_LENGTH = 1_000
"""Characters at the end of the prompt that words are drawn from: what varies comes last."""
COPIED = "word for word"
"""In a string's description: it gets a few words as they stand in the longest paragraph of the last material."""
MAX_DEPTH, MAX_NODES, MAX_STRING = 60, 20_000, 100_000
OPTIONAL_DEPTH = 6
"""Below this depth optional properties, nulls and items are left out, so that a recursive schema ends."""

_WORD = re.compile(r"[^\W\d_][^\W\d_']{0,14}")
_AVOIDED = re.compile(r"^(?:Topics to avoid|Catchphrases): .*$", re.MULTILINE)
"""Lines of the question that no model would take words from at random."""
_FENCED = re.compile(r"^<([\w-]+)>\n(.*?)\n</\1>$", re.MULTILINE | re.DOTALL)
"""Material in the question; the last of it is what is asked about."""
_SPARE_WORDS = ["one", "small", "change", "made", "the", "whole", "morning", "easier", "and", "then", "nobody", "asked"]
"""Added to a question of fewer words, so that short questions have different answers too."""
_TOLD = re.compile(r"(at least|at most|more than|less than) (\d+(?:\.\d+)?)( items| characters)?", re.IGNORECASE)
_TOLD_KEYWORDS: Mapping[tuple[str, str], str] = {
    ("at least", " items"): "minItems",
    ("at most", " items"): "maxItems",
    ("at least", " characters"): "minLength",
    ("at most", " characters"): "maxLength",
    ("at least", ""): "minimum",
    ("at most", ""): "maximum",
    ("more than", ""): "exclusiveMinimum",
    ("less than", ""): "exclusiveMaximum",
}
_NOT_UNDERSTOOD = ("pattern", "format", "multipleOf", "uniqueItems", "not", "if", "minProperties", "contains")

Schema = Mapping[str, Any]


def write_answer(schema: object, question: str, seed: int) -> Any:
    """A value for a JSON schema. The same three arguments give the same value; raises InputError."""
    try:
        return _Writer(schema, question, random.Random(seed)).value(schema, 0)  # noqa: S311  # not secret
    except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError) as err:
        raise InputError(f"The mock cannot answer this schema: {type(err).__name__}: {err}.") from None


class _Writer:
    """One answer in the making. Raises whatever a senseless schema leads to."""

    def __init__(self, root: object, question: str, rng: random.Random) -> None:
        self._root = root
        self._rng = rng
        source = _AVOIDED.sub("", question[-3 * SOURCE_LENGTH :])[-SOURCE_LENGTH:]
        words: list[str] = _WORD.findall(source.lower())
        fenced = [text for _, text in _FENCED.findall(question)]
        self._material: list[str] = _WORD.findall(max(fenced[-1].split("\n\n"), key=len).lower()) if fenced else []
        self._words = words if len(words) > len(_SPARE_WORDS) else words + _SPARE_WORDS
        self._nodes = 0
        self._by_type: Mapping[str, Callable[[Schema, int], Any]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": self._integer,
            "number": self._number,
            "boolean": lambda schema, depth: self._rng.random() < 0.5,
            "null": lambda schema, depth: None,
        }

    def value(self, schema: object, depth: int) -> Any:
        self._nodes += 1
        if self._nodes > MAX_NODES or depth > MAX_DEPTH:
            raise ValueError("it asks for an answer without end")
        node = self._resolved(schema, depth)
        if (choices := _choices(node)) is not None:
            return self._rng.choice(choices)
        if unknown := [keyword for keyword in _NOT_UNDERSTOOD if node.get(keyword)]:
            raise ValueError(f"it uses {unknown[0]!r}")
        return self._by_type[_type(node)](node, depth)

    def _resolved(self, schema: Any, depth: int) -> Schema:
        """The schema without $ref, allOf, anyOf and oneOf: one branch is taken, not null if there is another."""
        schema = {} if schema is True else schema
        for _ in range(MAX_DEPTH):
            keyword = next((k for k in ("$ref", "allOf", "anyOf", "oneOf") if schema.get(k)), None)
            if keyword is None:
                return {**_told_bounds(schema), **schema}
            parts = schema[keyword]
            if keyword == "$ref":
                parts = [_at(self._root, parts)]
            elif keyword != "allOf":
                parts = [self._branch(parts, depth)]
            own = {name: value for name, value in schema.items() if name != keyword}
            schema = reduce(lambda merged, part: merged | part, (p for p in parts if p is not True), {}) | own
        raise ValueError("it refers to itself and to nothing else")

    def _branch(self, branches: list[Any], depth: int) -> Any:
        null = [b for b in branches if isinstance(b, dict) and b.get("type") == "null"]
        if null and depth > OPTIONAL_DEPTH:
            return null[0]
        return self._rng.choice([b for b in branches if b not in null] or null)

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        properties, required = schema.get("properties", {}), schema.get("required", ())
        names = required if depth > OPTIONAL_DEPTH else dict.fromkeys((*properties, *required))
        return {name: self.value(properties[name], depth + 1) for name in names}

    def _array(self, schema: Schema, depth: int) -> list[Any]:
        first = [self.value(item, depth + 1) for item in schema.get("prefixItems", ())]
        items = schema.get("items", not first)
        low = schema.get("minItems", 0)
        high = min(schema.get("maxItems", low + 2), low + 2)
        fewest = items is False or depth > OPTIONAL_DEPTH
        count = low if fewest and high >= low else self._rng.randint(max(low, min(1, high)), high)
        return first + self._items(items, count - len(first), depth)

    def _items(self, schema: object, count: int, depth: int) -> list[Any]:
        choices = _choices(self._resolved(schema, depth)) if count > 0 else None
        if choices is None:
            return [self.value(schema, depth + 1) for _ in range(count)]
        picked = self._rng.sample(choices, min(count, len(choices)))
        return picked + self._rng.choices(choices, k=count - len(picked))

    def _string(self, schema: Schema, depth: int) -> str:
        low = schema.get("minLength", 0)
        high = schema.get("maxLength", low + SENTENCE_LENGTH)
        if COPIED in str(schema.get("description", "")):
            return self._phrase(8, self._material)[:high]
        if not low <= min(high, MAX_STRING):
            raise ValueError(f"it asks for a text of {low} to {high} characters")
        text = self._paragraph() if high >= PARAGRAPH_LENGTH else self._sentence(6 if high >= SENTENCE_LENGTH else 2)
        while len(text) < low:
            text += " " + self._paragraph()
        if len(text) <= high:
            return text
        return (text[: high - 1].rstrip() + ".").ljust(low, ".") if high else ""

    def _paragraph(self) -> str:
        return " ".join(self._sentence(6) for _ in range(self._rng.randint(3, 4)))

    def _sentence(self, length: int) -> str:
        """Two phrases of the question, ``length`` words at least and twice as many at most."""
        text = f"{self._phrase(length)}, {self._phrase(length)}."
        return text[0].upper() + text[1:]

    def _phrase(self, length: int, words: list[str] | None = None) -> str:
        words = words or self._words
        draw = self._rng.random  # 23 phrases an answer: randint would be a third of its cost
        count = length - int(draw() * (length // 2 + 1))
        start = int(draw() * max(1, len(words) - count + 1))
        return " ".join(words[start : start + count])

    def _integer(self, schema: Schema, depth: int) -> int:
        low, high = _bounds(schema)
        first, last = math.ceil(low), math.floor(high)
        return self._rng.randint(
            first + (first == schema.get("exclusiveMinimum")), last - (last == schema.get("exclusiveMaximum"))
        )

    def _number(self, schema: Schema, depth: int) -> float:
        low, high = _bounds(schema)
        if low > high or (low == high and ("exclusiveMinimum" in schema or "exclusiveMaximum" in schema)):
            raise ValueError(f"it leaves no number between {low:g} and {high:g}")
        exact = low + (high - low) * self._rng.uniform(0.1, 0.9)
        return round(exact, 1) if low < round(exact, 1) < high else exact


def _at(root: Any, reference: str) -> Any:
    """What "#/$defs/Name" points to."""
    for part in reference.removeprefix("#").split("/")[1:]:
        root = root[part]
    return root


def _type(schema: Schema) -> Any:
    declared = schema.get("type")
    if isinstance(declared, list):
        return next((t for t in declared if t != "null"), "null")
    return declared or ("object" if "properties" in schema else "array" if "items" in schema else "string")


def _told_bounds(schema: Schema) -> dict[str, Any]:
    """Keywords for the bounds that the description tells; lengths and counts are whole."""
    bounds: dict[str, Any] = {}
    for limit, number, unit in _TOLD.findall(str(schema.get("description", ""))):
        if keyword := _TOLD_KEYWORDS.get((limit.lower(), unit)):
            bounds[keyword] = int(float(number)) if unit else float(number)
    return bounds


def _choices(schema: Schema) -> list[Any] | None:
    return [schema["const"]] if "const" in schema else schema.get("enum") or None


def _bounds(schema: Schema) -> tuple[float, float]:
    """Lowest and highest, ten apart where only one is given."""
    lows = [schema[k] for k in ("minimum", "exclusiveMinimum") if k in schema]
    highs = [schema[k] for k in ("maximum", "exclusiveMaximum") if k in schema]
    low = max(lows) if lows else min(highs) - 10 if highs else 0
    return low, min(highs) if highs else low + 10
