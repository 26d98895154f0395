"""Whether a text mentions something: whole words, whatever their case, singular or plural.

Words are compared, not meanings: "diet" is found in "no diets, ever", and not in "I stopped counting calories".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

_UNSPACED = re.compile("[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]")
"""Letters of scripts that put no space between words (Thai, Lao, Japanese, Chinese): a word may begin anywhere."""


@lru_cache(maxsize=256)
def phrase_pattern(phrases: Sequence[str]) -> re.Pattern[str]:
    """Matches any of the phrases as whole words, whatever their case; no phrase matches nothing."""
    longest_first = sorted((p for p in phrases if p), key=len, reverse=True)
    if not longest_first:
        return re.compile(r"(?!)")
    anywhere = [re.escape(p) for p in longest_first if _UNSPACED.search(p)]
    whole = [re.escape(p) for p in longest_first if not _UNSPACED.search(p)]
    words = [rf"(?<!\w)(?:{'|'.join(whole)})(?!\w)"] if whole else []
    return re.compile("|".join((*words, *anywhere)), re.IGNORECASE)


def topic_pattern(topics: Iterable[str]) -> re.Pattern[str]:
    """Matches a mention of any topic, singular or plural."""
    plain = {" ".join(t.split()).strip(" .,;:!?\"'") for t in topics} - {""}
    return phrase_pattern(tuple(sorted(plain | {t + "s" for t in plain} | {t[:-1] for t in plain if _is_plural(t)})))


def _is_plural(text: str) -> bool:
    return len(text) > 4 and text.endswith("s") and not text.endswith(("ss", "us", "is", "ics"))
