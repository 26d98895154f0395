"""Names and places for texts on a sheet that say nothing of them: no rank, no order, no word."""

from __future__ import annotations

import random

CONSONANTS = "BCDFGHJKLMNPQRSTVWXZ"
"""No vowels: no label spells a word."""


def labels(count: int, seed: int) -> tuple[str, ...]:
    """``count`` distinct labels in a seeded random order; two letters up to 400, three beyond."""
    letters = 2 if count <= len(CONSONANTS) ** 2 else 3
    chosen = random.Random(f"labels {seed}").sample(range(len(CONSONANTS) ** letters), count)  # noqa: S311
    return tuple(_spell(number, letters) for number in chosen)


def _spell(number: int, letters: int) -> str:
    base = len(CONSONANTS)
    return "".join(CONSONANTS[number // base**place % base] for place in reversed(range(letters)))


def first_of(group: int, order: int, versions: int) -> int:
    """The version of a group that stands first; the others follow in turn.

    Each order moves all groups on by one, so that every version stands everywhere; neighbours on a sheet begin
    differently, so that no place on it always has the edited one.
    """
    return (group + order) % versions
