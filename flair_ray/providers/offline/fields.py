"""Fields of interest: recognizing one in words, and the tips and places that belong to it (``niches.toml``).

A field may have parts (skin, hair, makeup): a theme about one part is not given tips of another. The field
"any" matches nothing by itself and stands in for whatever is not in the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from flair_ray.domain.topics import phrase_pattern
from flair_ray.providers.offline.text import stem, stems, table, words

_PERSON = {"you": "I", "your": "my", "yours": "mine", "yourself": "myself"}
_VIEWER = {word: word for word in _PERSON}


@dataclass(frozen=True, slots=True)
class Tip:
    """One plain piece of advice, cut to fit into sentences: "you keep {slip}", "just {fix}"."""

    part: str
    """The part of the field it is about, "" for all of it."""
    slip: str
    fix: str
    why: str
    win: str
    sight: str
    """What a camera sees of it."""

    def said(self, mine: bool, theme: str = "this") -> tuple[str, ...]:
        """Slip, fix, why and win, of the viewer or of the speaker."""
        words = {**(_PERSON if mine else _VIEWER), "theme": theme}
        return tuple(part.format_map(words) for part in (self.slip, self.fix, self.why, self.win))

    @property
    def text(self) -> str:
        return " ".join((*self.said(False), self.sight))


@dataclass(frozen=True, slots=True)
class Field:
    """What is known about one field."""

    name: str
    parts: dict[str, frozenset[str]]
    """Stems that tell the field, by part; "all" are those of no part."""
    rare: frozenset[str]
    """Parts whose tips suit nothing but themes that name the part."""
    places: tuple[str, ...]
    tips: tuple[Tip, ...]

    def matches(self, found: frozenset[str]) -> int:
        return sum(len(known & found) for known in self.parts.values())

    def about(self, found: frozenset[str]) -> set[str]:
        """The parts these words are about; empty when they name none."""
        return {part for part, known in self.parts.items() if part != "all" and known & found}

    def tips_for(self, theme: str, niche: str) -> list[Tip]:
        """Tips that suit the theme, or the niche where the theme names no part."""
        parts = self.about(stems(theme)) or self.about(stems(niche))
        suits = parts or set(self.parts) - self.rare
        return [t for t in self.tips if not t.part or t.part in suits]


@lru_cache(maxsize=1)
def fields() -> dict[str, Field]:
    """All fields by name."""
    return {
        name: Field(
            name,
            {part: frozenset(map(stem, words(known))) for part, known in row["words"].items()},
            frozenset(row.get("rare", ())),
            tuple(row["places"]),
            tuple(Tip(*tip) for tip in row["tips"]),
        )
        for name, row in table("niches").items()
    }


def anything() -> Field:
    """The field that stands in for all others."""
    return fields()["any"]


SURE = 2.5
"""Evidence it takes: one word of the niche, or two words anywhere else."""


@lru_cache(maxsize=256)
def recognize(niche: str, theme: str, *others: str) -> Field:
    """The field that a profile is about, for one theme; ``anything()`` when there is too little to tell."""
    found = [(3.0, stems(niche or theme)), (1.5, stems(theme)), (0.5, stems(*others))]
    scores = {name: sum(weight * field.matches(s) for weight, s in found) for name, field in fields().items()}
    best = max(scores, key=lambda name: scores[name])
    return fields()[best] if scores[best] >= SURE else anything()


@lru_cache(maxsize=4096)
def names_of(text: str) -> frozenset[str]:
    """Every field that a text touches."""
    found = stems(text)
    return frozenset(name for name, field in fields().items() if field.matches(found))


def spoken_tip(text: str, field: Field) -> tuple[str, str]:
    """The words in which a tip of the field (or of any) stands in the text, and what a camera sees of it.

    ("", "") when none does.
    """
    for tip in (*field.tips, *anything().tips):
        if found := phrase_pattern((*tip.said(False)[1:], *tip.said(True)[1:])).search(text):
            return found[0], tip.sight
    return "", ""
