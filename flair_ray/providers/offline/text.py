"""Reading words: cleaning, sentences, stems.

Everything here takes any string (lone surrogates, control characters, no spaces at all) and is linear in it.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import resources
from typing import Any, TypeVar

T = TypeVar("T")

_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]")
_SENTENCE_END = re.compile(r"(?<!\b(?:Mr|Ms|Dr|St|vs)\.)(?<!\bMrs\.)(?:(?<=[.!?…])|(?<=[.!?…][\"”’)]))\s+")
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_SUFFIX = re.compile(r"(?:ations?|ings?|ies|ed|es|s|y|e)$")


@lru_cache(maxsize=8)
def table(name: str) -> Mapping[str, Any]:
    """One of the provider's own TOML files, read once."""
    return tomllib.loads(resources.files(__package__).joinpath(f"{name}.toml").read_text(encoding="utf-8"))


def printable(text: str) -> str:
    """The text without control characters and lone surrogates; white space is kept."""
    return _CONTROLS.sub(" ", text.encode("utf-8", "replace").decode())


def clean(text: str) -> str:
    """One printable line with single spaces."""
    return " ".join(printable(text).split())


def sentences(text: str) -> list[str]:
    """The sentences of one clean line, none empty, which joined by spaces are the line again."""
    return [s for s in _SENTENCE_END.split(text) if s]


def words(text: str) -> list[str]:
    """Lower-case words, apostrophes and hyphens inside them kept."""
    return _WORD.findall(text.lower().replace("’", "'"))


@lru_cache(maxsize=16_384)
def stem(word: str) -> str:
    """A crude stem: "cooking", "cooked" and "cooks" meet; short words stay."""
    cut = _SUFFIX.sub("", word) if len(word) > 4 else word.removesuffix("s") if len(word) > 3 else word
    return cut if len(cut) >= 3 else word


def stems(*texts: str) -> frozenset[str]:
    """Stems of all words that carry meaning."""
    small = _small_words()
    return frozenset(stem(w) for text in texts for w in words(text) if len(w) > 2 and w not in small)


@lru_cache(maxsize=1)
def _small_words() -> frozenset[str]:
    return frozenset(table("listen")["small_words"].split())


def clip(text: str, max_words: int, max_chars: int) -> str:
    """The first words of a line, whole ones where possible, never more than ``max_chars``."""
    cut = " ".join(text.split()[:max_words])
    if len(cut) <= max_chars:
        return cut
    shorter = cut[:max_chars].rsplit(" ", 1)[0] if " " in cut[:max_chars] else cut[:max_chars]
    return shorter.rstrip()


def capital(text: str) -> str:
    """The same with an upper-case first letter."""
    return text[:1].upper() + text[1:]


def rng(*parts: object) -> random.Random:
    """A generator that depends on the parts and on nothing else, in any process."""
    return random.Random("/".join(map(str, parts)).encode("utf-8", "replace"))  # noqa: S311  # a seeded choice, not a secret


def dealt(options: Sequence[T], turn: int, *parts: object) -> list[T]:
    """The options in a seeded order that starts one further every turn: as first, none comes twice in a round."""
    order = rng(*parts).sample(options, len(options))
    start = turn % len(options)
    return order[start:] + order[:start]
