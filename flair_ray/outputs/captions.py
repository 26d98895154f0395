"""When each line of a script is spoken: subtitles, and the teleprompter's speed, from one pace.

A text that nobody has spoken yet has no clock, so time is words divided by pace. The pace is the median
of the videos that the patterns came from, kept within what people can say and follow; 2.6 words per
second where no video had a duration. Writing without spaces between words is counted by characters.
Cues follow one another without overlap, each at most 2 lines of 42 characters.

Written by hand rather than with pysubs2, which takes braces for styling and drops them, and leaves
markup in WebVTT unescaped. Formats: https://www.w3.org/TR/webvtt1/ (SRT is the same with commas).
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flair_ray.domain.patterns import PatternLibrary
from flair_ray.domain.scripts import FinalScript
from flair_ray.domain.speech import spoken_words

DEFAULT_PACE, SLOWEST, FASTEST = 2.6, 1.5, 4.5
"""Words per second: an unhurried short-video voice; a slow reader; the limit of what can be followed."""
LINE_CHARACTERS, LINES = 42, 2
SHORTEST_CUE_S = 0.7

_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])|\n+")


@dataclass(frozen=True, slots=True)
class Cue:
    """One subtitle: from when to when, milliseconds, and what it shows."""

    start_ms: int
    end_ms: int
    text: str


def speaking_pace(library: PatternLibrary | None) -> float:
    """Words per second for this run."""
    measured = library.median_words_per_second if library else None
    return min(max(measured, SLOWEST), FASTEST) if measured else DEFAULT_PACE


def cues(script: FinalScript, pace: float) -> list[Cue]:
    """The script as subtitles from 0 on; hook, body and payoff never share one."""
    timed: list[Cue] = []
    at_ms = 0
    for paragraph in (script.hook, script.body, script.payoff):
        for text in _cue_texts(paragraph):
            until_ms = at_ms + round(1000 * max(spoken_words(text) / pace, SHORTEST_CUE_S))
            timed.append(Cue(at_ms, until_ms, text))
            at_ms = until_ms
    return timed


def srt(timed: Sequence[Cue]) -> str:
    """SubRip text."""
    return "\n".join(
        f"{number}\n{_clock(cue.start_ms, ',')} --> {_clock(cue.end_ms, ',')}\n{cue.text.replace('-->', '→')}\n"
        for number, cue in enumerate(timed, start=1)
    )


def vtt(timed: Sequence[Cue]) -> str:
    """WebVTT text; markup in a script shows as it is written."""
    escapes = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
    blocks = [
        f"{_clock(cue.start_ms, '.')} --> {_clock(cue.end_ms, '.')}\n{cue.text.translate(escapes)}\n" for cue in timed
    ]
    return "\n".join(["WEBVTT\n", *blocks])


def _cue_texts(paragraph: str) -> Iterator[str]:
    """Short sentences share a line; a long one is spread over cues of its own."""
    held = ""
    for sentence in filter(None, map(str.strip, _SENTENCE_END.split(paragraph))):
        if held and len(held) + 1 + len(sentence) > LINE_CHARACTERS:
            yield from _wrapped(held)
            held = sentence
        else:
            held = f"{held} {sentence}".strip()
    yield from _wrapped(held)


def _wrapped(text: str) -> Iterator[str]:
    """Cues of one text, lines of about equal length: the narrowest width that needs no further line."""
    lines = textwrap.wrap(text, LINE_CHARACTERS)
    for width in range(LINE_CHARACTERS // 2, LINE_CHARACTERS):
        if len(narrower := textwrap.wrap(text, width)) == len(lines):
            lines = narrower
            break
    for first in range(0, len(lines), LINES):
        yield "\n".join(lines[first : first + LINES])


def _clock(at_ms: int, point: str) -> str:
    seconds, ms = divmod(at_ms, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{point}{ms:03d}"
