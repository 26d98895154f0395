"""When each word of a script is seen: hook in the first three seconds, the rest by how much there is to say.

A script becomes beats (hook, body, payoff), a beat becomes pages of a few words that share the screen, and the words
of a page come one by one. Beats follow one another without a gap, from 0 to the script's estimated duration exactly.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from flair_ray.domain.scripts import FinalScript
from flair_ray.domain.speech import is_wide, spoken_words

HOOK_S = 3.0
HOOK_SHARE = 0.4
"""A script too short for three seconds of hook gives it this much at most."""
SHORTEST_S, LONGEST_S = 1.0, 180.0
"""Models and files say what they like; a video is no shorter and no longer."""
PAGE_WORDS, PAGE_CHARACTERS = 7, 42
LONGEST_WORD = 18
"""Characters; what is longer, as an address is, is cut in pieces that fit a line."""
WIDE_PIECE = 4
"""Characters that come at once where nothing separates words."""
SENTENCE_PAUSE, LAST_PAUSE = 0.8, 2.5
"""In words: a breath between sentences, and time to take in the last one."""
_SENTENCE_END = re.compile(r"[.!?…。！？][\"'”’)\]]*$")


@dataclass(frozen=True, slots=True)
class Word:
    text: str
    start_s: float
    """When it appears; it stays until its page ends."""


@dataclass(frozen=True, slots=True)
class Page:
    """What is on the screen together."""

    words: tuple[Word, ...]
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Beat:
    name: str
    """hook, body or payoff."""
    pages: tuple[Page, ...]
    start_s: float
    end_s: float


def beats(script: FinalScript) -> tuple[Beat, ...]:
    """The script as beats, at least one; a part without words has none."""
    total_s = duration_s(script)
    parts = {name: _words(getattr(script, name)) for name in ("hook", "body", "payoff")}
    spoken = {name: words for name, words in parts.items() if words} or {"hook": [" "]}
    weights = {name: sum(_weights(words, last=name == list(spoken)[-1])) for name, words in spoken.items()}
    hook_s = min(HOOK_S, HOOK_SHARE * total_s) if len(spoken) > 1 and "hook" in spoken else 0.0
    rest = sum(weight for name, weight in weights.items() if not (hook_s and name == "hook"))
    made, at_s = [], 0.0
    for name, words in spoken.items():
        is_hook, is_last = bool(hook_s) and name == "hook", name == list(spoken)[-1]
        end_s = at_s + (hook_s if is_hook else (total_s - hook_s) * weights[name] / rest)
        end_s = total_s if is_last else end_s
        made.append(Beat(name, tuple(_pages(words, at_s, end_s, last=is_last)), at_s, end_s))
        at_s = end_s
    return tuple(made)


def duration_s(script: FinalScript) -> float:
    """The script's own estimate, kept within what can be shown."""
    wanted_s = script.original_script.estimated_duration
    return min(max(wanted_s, SHORTEST_S), LONGEST_S) if math.isfinite(wanted_s) else LONGEST_S / 6


def _words(text: str) -> list[str]:
    return [piece for word in text.split() for piece in _pieces(word)]


def _pieces(word: str) -> Iterator[str]:
    size = WIDE_PIECE if sum(map(is_wide, word)) > len(word) / 2 else LONGEST_WORD
    return (word[i : i + size] for i in range(0, len(word), size))


def _weights(words: Sequence[str], *, last: bool) -> list[float]:
    """How long each word lasts, in words; the last of all stays for a while."""
    weights = [max(spoken_words(w), 0.3) + SENTENCE_PAUSE * bool(_SENTENCE_END.search(w)) for w in words]
    weights[-1] += LAST_PAUSE if last else 0
    return weights


def _pages(words: Sequence[str], start_s: float, end_s: float, *, last: bool) -> Iterator[Page]:
    weights = _weights(words, last=last)
    word_s = (end_s - start_s) / sum(weights)
    times = [start_s, *(start_s + word_s * so_far for so_far in accumulate(weights))]
    at = 0
    for size in _page_sizes(words):
        shown = tuple(Word(w, t) for w, t in zip(words[at : at + size], times[at:], strict=False))
        yield Page(shown, times[at], times[at + size])
        at += size


def _page_sizes(words: Sequence[str]) -> Iterator[int]:
    """Words per page: sentences apart where they are long, short ones together, a long one in about equal parts."""
    held: list[str] = []
    for sentence in _sentences(words):
        if held and not _fits([*held, *sentence]):
            yield len(held)
            held = []
        held += sentence
        while not _fits(held):
            size = _first_part(held)
            yield size
            held = held[size:]
    if held:
        yield len(held)


def _first_part(sentence: Sequence[str]) -> int:
    """How many words of a sentence that is too long go first: an equal share, or up to a comma near it."""
    parts = max(math.ceil(len(sentence) / PAGE_WORDS), math.ceil(len(" ".join(sentence)) / PAGE_CHARACTERS))
    size = max(1, min(math.ceil(len(sentence) / parts), PAGE_WORDS))
    while size > 1 and not _fits(sentence[:size]):
        size -= 1
    near = [n for n in range(max(2, size - 2), size + 1) if sentence[n - 1][-1] in ",;:–—、，"]
    return near[-1] if near else size


def _sentences(words: Sequence[str]) -> Iterator[list[str]]:
    sentence: list[str] = []
    for word in words:
        sentence.append(word)
        if _SENTENCE_END.search(word):
            yield sentence
            sentence = []
    if sentence:
        yield sentence


def _fits(words: Sequence[str]) -> bool:
    return len(words) <= PAGE_WORDS and len(" ".join(words)) <= PAGE_CHARACTERS
