"""From a subtitle file to the words that were spoken, each of them once.

SRT and WebVTT are parsed by pysubs2, YouTube's json3 here. Automatic captions *roll*: a new line appears
under the last one, so that every line is in the file two or three times, often with a time tag before each
word. Rolling is told from a genuine repetition ("No." "No.") by its share: when time tags occur, or at least
half of the cues begin with what the cue before ended with, such a beginning is dropped.

Sound notes in square brackets ([Music]), musical notes and speaker arrows (>>) are not speech and go too.

pysubs2 gets text that is already free of tags and of long runs of blanks: its own patterns for these take
quadratic time on hostile input, and read a line with two inline time tags as a new cue. Every cue is given
the number "0", because pysubs2 takes a last line of digits for the next cue's number.

Sources: https://www.w3.org/TR/webvtt1/ · https://pysubs2.readthedocs.io
"""

from __future__ import annotations

import html
import re
from itertools import pairwise

import pysubs2

from flair_ray.inputs.files import Unreadable, parse_json
from flair_ray.inputs.text import clean

_TIME_TAG = re.compile(r"<[0-9][0-9:.]{4,15}>")
_TAG = re.compile(r"</?[a-zA-Z][^<>\n]{0,100}>|\{\\[^{}\n]{0,100}\}")
_BLOCK = re.compile(r"(?<=\n\n)(?:NOTE|STYLE|REGION)\b[^\n]*(?:\n[^\n]+)*")
_CUE_START = re.compile(r"\n\n(?:[^\n]*\n)?(?=[^\n]*-->)")
_NOT_SPEECH = re.compile(r"\[[^\[\]\n]{0,40}\]|[♪♫]|^\s*>>+|(?<=\s)>>+(?=\s)")
_CUES = re.compile(r"[0-9]{2}:[0-9]{2}[.,][0-9]{2,3}\s*-->")


def looks_like_cues(text: str) -> bool:
    """Whether a text, for example a table's cell, is a subtitle file's content."""
    return _CUES.search(text[:2000]) is not None


def spoken_text(text: str, form: str, where: str) -> str:
    """The words of a subtitle file on one line; ``form`` is srt, vtt or json3.

    Raises Unreadable when the text is no such file or has no cue.
    """
    lines = _json3_lines(text, where) if form == "json3" else _cue_lines(text, form, where)
    return clean(" ".join(lines))


def _cue_lines(text: str, form: str, where: str) -> list[str]:
    tidy = _TAG.sub("", _TIME_TAG.sub("", _tidy(text)))
    numbered = _CUE_START.sub("\n\n0\n", _BLOCK.sub("", tidy)) + "\n\n0"
    try:
        events = pysubs2.SSAFile.from_string(numbered, format_=form, keep_html_tags=True)
    except (pysubs2.exceptions.Pysubs2Error, ValueError, OverflowError) as err:
        raise Unreadable(where, f"not a readable {form.upper()} file: {err}") from None
    if not len(events):
        raise Unreadable(where, f"no cue found; is it a {form.upper()} file?")
    cues = [_speech(event.text.split(r"\N")) for event in events]
    spoken = [cue for cue in cues if cue]
    if _TIME_TAG.search(text) or _rolls(spoken):
        return _unroll(spoken)
    return [line for cue in spoken for line in cue]


def _tidy(text: str) -> str:
    text = re.sub(r"\r\n?", "\n", text.replace("\0", ""))
    return re.sub(r"\n{3,}", "\n\n", "\n\n" + re.sub(r"[^\S\n]+", " ", text))


def _speech(lines: list[str]) -> list[str]:
    spoken = (clean(_NOT_SPEECH.sub(" ", html.unescape(line))) for line in lines)
    return [line for line in spoken if line]


def _rolls(cues: list[list[str]]) -> bool:
    repeats = sum(_repeated(before, cue) > 0 or _grows(before, cue) for before, cue in pairwise(cues))
    return repeats > 0 and repeats * 2 >= len(cues) - 1


def _unroll(cues: list[list[str]]) -> list[str]:
    said: list[str] = []
    for cue in cues:
        if _grows(said, cue):
            said.pop()
        said.extend(cue[_repeated(said, cue) :])
    return said


def _repeated(said: list[str], cue: list[str]) -> int:
    """How many first lines of the cue are the last lines said. No screen shows more than a few at once."""
    return next((k for k in range(min(len(cue), 8), 0, -1) if said[-k:] == cue[:k]), 0)


def _grows(said: list[str], cue: list[str]) -> bool:
    """Whether the cue says the last line again with more words after it."""
    return bool(said) and cue[0].startswith(said[-1] + " ")


def _json3_lines(text: str, where: str) -> list[str]:
    document = parse_json(text, where)
    events = document.get("events") if isinstance(document, dict) else None
    if not isinstance(events, list):
        raise Unreadable(where, "not a json3 subtitle file: it has no list of events")
    return json3_lines(events)


def json3_lines(events: list[object]) -> list[str]:
    """One line per event of a json3 document; what is no event with text is passed over."""
    lines = []
    for event in events:
        parts = event.get("segs") if isinstance(event, dict) else None
        words = [seg.get("utf8") for seg in parts if isinstance(seg, dict)] if isinstance(parts, list) else []
        lines += _speech(["".join(word for word in words if isinstance(word, str))])
    return lines
