"""Text from strangers made safe to show, store and count, before anything else looks at it.

``clean`` gives one line: runs of white space become one space; control characters, lone surrogates (which
cannot be encoded), byte order marks and direction overrides (which make a message read as something else)
are dropped. Emoji joiners and accents stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_UNWANTED = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]")
"""Thai, Lao, Burmese, Khmer, kana and Han: scripts written without spaces between words."""


def clean(text: str) -> str:
    """The same words on one line."""
    return " ".join(_UNWANTED.sub("", text).split())


def clip(text: str, limit: int) -> str:
    """At most ``limit`` characters of the cleaned text, with an ellipsis where it was cut."""
    line = clean(text[: limit * 4])  # enough to survive the cleaning; the rest need not be looked at
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def word_count(text: str) -> int:
    """Words spoken. In a script without spaces every character counts as one."""
    spaced = sum(any(c.isalnum() for c in token) for token in text.split())
    return max(spaced, len(_UNSPACED.findall(text)))


def listing(names: Iterable[object], most: int = 12) -> str:
    """Names for a message, comma-separated, cut to the first ``most``."""
    every = list(names)
    more = f" and {len(every) - most:,} more" if len(every) > most else ""
    return ", ".join(clip(str(name), 60) for name in every[:most]) + more
