"""Whether words that a model says it copied were really said.

A quote counts when it stands in the transcript once white space, case and punctuation are evened out: captions and
models set them as they like. Words are whole. Everything else, an elision, a correction, a translation, is not a quote.
"""

from __future__ import annotations

import re
import unicodedata

from flair_ray.domain.patterns import Quote
from flair_ray.domain.topics import phrase_pattern

_INSIDE_WORDS = re.compile("['’‘`´\u00ad\u200b-\u200d\ufeff]")
_BETWEEN_WORDS = re.compile(r"[\W_]+")


def plain_words(text: str) -> str:
    """The words alone: compatible forms made one, lower case, one space between them."""
    even = unicodedata.normalize("NFKC", text).casefold()
    return _BETWEEN_WORDS.sub(" ", _INSIDE_WORDS.sub("", even)).strip()


class Spoken:
    """One transcript, and the count of the quotes that were looked for in it."""

    def __init__(self, transcript: str) -> None:
        self._said = plain_words(transcript)
        self.given = 0
        self.dropped = 0

    def quote(self, text: str, since: float = 0.0) -> Quote | None:
        """``text`` with its place, the first one from ``since`` on; None, and counted, where it was never said."""
        wanted = plain_words(text)
        self.given += 1
        found = phrase_pattern((wanted,)).search(self._said, round(since * len(self._said)))  # whole words
        if not found:
            self.dropped += 1
            return None
        return Quote(text, round(found.start() / len(self._said), 3))
