"""Texts and numbers in the form that a terminal can show.

Transcripts, names and model answers are written by strangers, and a terminal obeys what it prints: escape
sequences move the cursor, set the title, fill the clipboard. ``clean`` takes that out; what it returns goes
into ``rich.text.Text``, never into markup, where square brackets would mean something.
"""

from __future__ import annotations

import math
import re

from flair_ray.domain.calls import CallTally
from flair_ray.domain.ids import StageName
from flair_ray.terminal.progress import MAP_STAGES, RunProgress

STAGE_LABELS = {
    StageName.S1: "Analyze videos",
    StageName.S2: "Find patterns",
    StageName.S3: "Write scripts",
    StageName.S4: "Panel votes",
    StageName.S5: "Rank",
    StageName.R1: "Ask for edits",
    StageName.R2: "Choose edits",
    StageName.R3: "Judge edits",
    StageName.S6: "Personalize",
}
STYLES = {"pending": "bright_black", "running": "cyan", "completed": "green", "failed": "red", "cancelled": "yellow"}
_ESCAPES = re.compile(
    r"(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"  # a string: title, clipboard
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # a command: cursor, colour
    r"|\x1b[ -/]*[0-~]?"
)
_CONTROLS = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029]+")
_REORDERING = re.compile(r"[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_SURROGATES = re.compile(r"[\ud800-\udfff]")


def clean(value: object) -> str:
    """One line without escape sequences, control characters, marks that reorder text, and lone surrogates."""
    text = _REORDERING.sub("", _ESCAPES.sub("", str(value)))
    return _SURROGATES.sub("\ufffd", _CONTROLS.sub(" ", text)).strip()


def clock(seconds: float) -> str:
    """12.3 → 0:12, 3723 → 1:02:03."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def span(seconds: float) -> str:
    """A length of time: 4.12 → 4.1s; from a minute on like ``clock``."""
    return f"{max(0.0, seconds):.1f}s" if seconds < 59.95 else clock(seconds)


def compact(number: float) -> str:
    """950 → 950, 41234 → 41.2k, 1300000 → 1.3M."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= 0.9995 * size:
            return f"{number / size:.3g}{unit}"
    return f"{number:g}"


def plural(count: int, noun: str) -> str:
    """(1, "video") → 1 video, (2000, "video") → 2,000 videos."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def eta_text(progress: RunProgress, now_ms: int) -> str:
    """ETA 0:31, rounded up; "ETA ..." while there is too little to go by; nothing when the run is over."""
    if progress.status.terminal:
        return ""
    eta_s = progress.eta_s(now_ms)
    return "ETA ..." if eta_s is None else f"ETA {clock(math.ceil(eta_s))}"


def calls_text(progress: RunProgress, tally: CallTally | None) -> str:
    """The calls and tokens that were counted; without a tally, the items done of those planned."""
    if tally is None:
        maps = [progress.stages[name] for name in MAP_STAGES]
        return f"{sum(s.completed for s in maps):,} of {plural(sum(s.total for s in maps), 'item')}"
    return f"{plural(tally.calls, 'call')}, {compact(tally.usage.input_tokens + tally.usage.output_tokens)} tokens"
