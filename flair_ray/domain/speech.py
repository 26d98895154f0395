"""How much there is to say in a text."""

from __future__ import annotations

import unicodedata

WORDS_PER_WIDE_CHARACTER = 0.55
"""Chinese and Japanese run at about 4.7 characters per second where English runs at 2.6 words."""


def is_wide(character: str) -> bool:
    """Of a writing without spaces between words."""
    return character.isalnum() and unicodedata.east_asian_width(character) in "WF"


def spoken_words(text: str) -> float:
    """Words, and what is written without spaces by its characters."""
    wide = sum(map(is_wide, text))
    words = sum(any(c.isalnum() and not is_wide(c) for c in word) for word in text.split())
    return words + WORDS_PER_WIDE_CHARACTER * wide
