"""S1 without a model: the mechanics of a video, counted in its transcript.

The transcript is cut into sentences (captions often have no punctuation: then their lines, or twelve words at
a time, stand in for sentences). The hook is its opening. Every category is decided by counting signals from
``listen.toml`` and comparing; ties go to the category that is named first. Only the head and the tail of a very
long transcript are read, so time is bounded. Nothing in the text is followed, only counted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, pstdev

from flair_ray.domain.answers import LoopDraft, VideoAnalysis
from flair_ray.domain.patterns import EmotionalArc, HookType, Pacing, Trigger
from flair_ray.domain.topics import phrase_pattern
from flair_ray.domain.videos import Video
from flair_ray.providers.offline.text import capital, clean, clip, printable, sentences, table

HEAD, TAIL = 8_000, 2_000
"""Characters read of a transcript: minutes of speech, and its ending."""
HOOK_WORDS = 25
PLAUSIBLE_PACE = (0.5, 6.0)
"""Words per second outside of this are a wrong duration, not a way of speaking."""

_CAPTION_LINE = re.compile(r"\s*\n\s*|\s{2,}")
_FIGURE = re.compile(
    r"[$€£]\s?\d|\d+\s?%|\d{2,}|\b(?:hundred|thousand|million|(?:four|five|six|seven|eight|nine|ten|eleven|\w+teen|\w+ty)"
    r"(?=\s(?:days|weeks|months|years|hours|minutes|times|people|dollars|pounds|of|\w+s\b)))",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Speech:
    """A transcript, read. At least one sentence, none empty."""

    sentences: tuple[str, ...]
    hook: str
    pace: float | None
    """Words per second, None when unknown or implausible."""

    @property
    def text(self) -> str:
        return " ".join(self.sentences)

    @property
    def lengths(self) -> list[int]:
        return [len(s.split()) for s in self.sentences]

    def part(self, start: float, end: float) -> str:
        """The sentences between two shares of the whole, at least one."""
        n = len(self.sentences)
        first = min(int(start * n), n - 1)
        return " ".join(self.sentences[first : max(first + 1, int(end * n + 0.5))])


def analyze(video: Video) -> VideoAnalysis:
    """One video → its mechanics. Any transcript will do."""
    speech = _read(video)
    triggers = _triggers(speech)
    hook_type = _hook_type(speech.hook)
    shown = next((s for s in speech.sentences if heard(triggers[0], "triggers").search(s)), speech.hook)
    return VideoAnalysis(
        hook=speech.hook,
        hook_type=hook_type,
        pacing=_pacing(speech),
        emotional_arc=_arc(speech, hook_type),
        triggers=triggers,
        structure=_beats(speech, hook_type),
        pattern_interrupts=_interrupts(speech),
        loops=_loops(speech),
        engagement_driver=_driver(shown, triggers[0]),
        engagement_quote=clip(shown, HOOK_WORDS, 280),
    )


def _read(video: Video) -> Speech:
    raw = printable(video.transcript)
    if len(raw) > HEAD + TAIL:
        raw = raw[:HEAD] + "\n" + raw[-TAIL:]
    found = _split(raw) or _split(printable(video.description[:HEAD])) or ["(nothing is said)"]
    pace = video.words_per_second
    plausible = pace is not None and PLAUSIBLE_PACE[0] <= pace <= PLAUSIBLE_PACE[1]
    return Speech(tuple(found), _opening(found), pace if plausible else None)


def _split(raw: str) -> list[str]:
    line = clean(raw)
    found = sentences(line)
    punctuated = len(found) > 1 or line.endswith((".", "!", "?", "…"))
    if punctuated and len(line.split()) <= 20 * len(found):
        return found
    captions = [part for part in map(clean, _CAPTION_LINE.split(raw)) if part]
    if len(captions) >= 3:
        return captions
    spoken = line.split()
    return [" ".join(spoken[i : i + 12]) for i in range(0, len(spoken), 12)]


def _opening(found: list[str]) -> str:
    """The first sentence; short cries ("Bacon. Avocado.") take the next along."""
    hook, rest = found[0], found[1:3]
    while rest and len(hook.split()) < 4:
        hook = f"{hook} {rest.pop(0)}"
    return clip(hook, HOOK_WORDS, 280)


def heard(signal: str, kind: str = "signals") -> re.Pattern[str]:
    """What one signal, or trigger, sounds like."""
    return phrase_pattern(tuple(table("listen")[kind][signal]))


def count(signal: str, text: str) -> int:
    """How often phrases of one signal occur."""
    return len(heard(signal).findall(text))


def _starts(signal: str, text: str) -> bool:
    return heard(signal).match(text) is not None


def _most(kind: str, facts: Mapping[str, float]) -> str:
    """The category of this kind for which the facts say most."""
    weights: Mapping[str, Mapping[str, float]] = table("listen")[kind]
    return max(weights, key=lambda name: sum(weight * facts.get(fact, 0) for fact, weight in weights[name].items()))


def _hook_type(hook: str) -> HookType:
    claims = "?" not in hook and hook.endswith(".") and len(hook.split()) <= 18
    found = {signal: count(signal, hook) for signal in ("address", "shock", "story", "first_person")}
    facts = {
        **found,
        "asks": "?" in hook,
        "wh": _starts("wh", hook) and not (found["address"] and claims),
        "call_out": _starts("call_out", hook),
        "address": min(found["address"], 3),
        "figure": bool(_FIGURE.search(hook)),
        "cry": "!" in hook,
        "claims": claims,
        "first_person": min(found["first_person"], 2),
        "always": 1,
    }
    return HookType(_most("hook_type", facts))


def _pacing(speech: Speech) -> Pacing:
    lengths = speech.lengths
    short = sum(n <= 4 for n in lengths) / len(lengths)
    if fmean(lengths) <= 5.5 or short > 0.5 or (speech.pace or 0) > 4.2:
        return Pacing.STACCATO
    if count("list_mark", speech.text) >= 3 and count("growth", speech.text) < 2:
        return Pacing.STEADY
    n = len(lengths)
    if n < 3:
        return Pacing.STEADY
    opening, middle, ending = (fmean(lengths[i * n // 3 : (i + 1) * n // 3]) for i in range(3))
    if middle > 1.2 * max(opening, ending):
        return Pacing.FAST_SLOW_FAST  # long sentences are slow ones
    if opening > 1.1 * middle > 1.2 * ending or count("growth", speech.text) >= 2 or count("live", speech.text) >= 4:
        return Pacing.ESCALATING
    return Pacing.STEADY


def _arc(speech: Speech, hook_type: HookType) -> EmotionalArc:
    early, late, lengths = speech.part(0, 0.5), speech.part(0.5, 1), speech.lengths
    low, high = min(count("negative", early), 2), min(count("positive", late), 2)
    facts = {
        f"after_{hook_type}": 1,
        "open_loop": min(count("open_loop", speech.text), 3),
        "turned": (low + high) * bool(low and high),
        "tension": min(count("tension", speech.text), 3),
        "laughter": min(count("laughter", late), 2),
        "reveal": min(count("reveal", late), 2),
        "uneven": pstdev(lengths) / fmean(lengths) > 0.7,  # a story told with sudden turns
    }
    return EmotionalArc(_most("arc", facts))


def _triggers(speech: Speech) -> list[Trigger]:
    found = {trigger: len(heard(trigger, "triggers").findall(speech.text)) for trigger in Trigger}
    found[Trigger.SPECIFICITY] += len(_FIGURE.findall(speech.text))
    found[Trigger.CURIOSITY] += "?" in speech.hook
    return sorted((t for t in Trigger if found[t]), key=lambda t: -found[t])[:4] or [Trigger.CURIOSITY]


def _beats(speech: Speech, hook_type: HookType) -> list[str]:
    """Three to six beats (two for a single word): where each sentence stands, and its first words."""
    parts = list(speech.sentences)
    if len(parts) < 3:
        spoken = speech.text.split()
        size = max(1, -(-len(spoken) // 3))
        parts = [" ".join(spoken[i : i + size]) for i in range(0, len(spoken), size)]
    while len(parts) > 3 and len(parts[0].split()) < 4:
        parts[:2] = [f"{parts[0]} {parts[1]}"]
    last = parts[-1]
    step = max(1, -(-(len(parts) - 2) // 4))
    middle = [_telling(parts[i : min(i + step, len(parts) - 1)]) for i in range(1, len(parts) - 1, step)]
    beats = [(table("listen")["openings"][hook_type], parts[0]), *((_role(m), m) for m in middle)]
    beats.append(("calls for action" if count("call", last) else "ends on", last))
    return [f"{role}: “{clip(text, 8, 70)}”" for role, text in beats]


def _telling(group: list[str]) -> str:
    """The sentence of a group that does most for the structure."""
    return max(group, key=lambda s: 2 * count("turn", s) + count("open_loop", s) + count("list_mark", s) + ("?" in s))


def _role(sentence: str) -> str:
    for role, signal, where in table("listen")["roles"]:
        if _starts(signal, sentence) if where == "first" else count(signal, sentence):
            return str(role)
    return "asks back" if "?" in sentence else "gives a number" if _FIGURE.search(sentence) else "goes on"


def _interrupts(speech: Speech) -> int:
    """Turns, cries, and short sentences right after long ones."""
    lengths = speech.lengths
    jolts = sum(a >= 8 and b <= 3 for a, b in pairwise(lengths))
    turns = sum(_starts("turn", s) for s in speech.sentences[1:])
    return min(30, jolts + turns + sum(s.endswith("!") for s in speech.sentences[1:]))


def _loops(speech: Speech) -> list[LoopDraft]:
    """What is held back and where it comes out: at the next reveal, in the last sentence, or nowhere."""
    spoken = speech.sentences
    opened = [i for i, s in enumerate(spoken[:-1]) if count("open_loop", s) or (i == 0 and "?" in s)][:2]
    drafts = []
    for i in opened:
        reveal = next((s for s in spoken[i + 1 :] if count("reveal", s)), spoken[-1] if "?" not in spoken[-1] else "")
        drafts.append(LoopDraft(opens=clip(spoken[i], HOOK_WORDS, 280), closes=clip(reveal, HOOK_WORDS, 280)))
    return drafts


def _driver(shown: str, trigger: Trigger) -> str:
    quote = capital(clip(shown, 14, 120).rstrip(".,;:"))
    return clip(str(table("listen")["drivers"][trigger]).format(quote=quote), 60, 290)
