"""S6 without a model: the same script in the creator's voice, and how to film it.

The structure stays. Sentences take the endings and rhythm of the tone, remarks in that tone are added, up to
two words of the creator's vocabulary are worked in (where such a noun already stands, or as a short sentence of their
own), and a catchphrase ends it. Last of all every text that goes out is searched for topics to avoid: a sentence
that mentions one is dropped, and where nothing is left a neutral one stands in. The shot list follows the
sentences; its seconds are in proportion to the words spoken and add up to the script's length.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

from flair_ray.domain.answers import PersonalizedDraft, ShotDraft
from flair_ray.domain.people import CreatorProfile
from flair_ray.domain.topics import phrase_pattern, topic_pattern
from flair_ray.domain.work import Placed, VoiceBrief
from flair_ray.providers.offline.fields import Field, recognize, spoken_tip
from flair_ray.providers.offline.text import capital, clean, clip, dealt, sentences, table

MOST_CATCHPHRASES = 2
VOCABULARY_PER_SCRIPT = 2
ROOM_FOR_ASIDE = 80
"""Words of hook and body up to which a remark does not make the script too long."""
SHOTS = (4, 7)
CAPTION_CHARS = 60


Tones = Mapping[str, Mapping[str, Any]]
"""The tones that a profile names, in the order it names them."""


@dataclass(frozen=True, slots=True)
class _Voice:
    """How one script is to sound."""

    profile: CreatorProfile
    turn: int
    """Counts scripts from 0, so that neighbors differ."""
    key: tuple[int, int]
    avoid: re.Pattern[str]
    tones: Tones

    def pick(self, options: Sequence[str], *name: str) -> str:
        return dealt(options, self.turn, *self.key, *name)[0]

    def allowed(self, phrases: Sequence[str]) -> list[str]:
        """The creator's own phrases that mention nothing to avoid."""
        return [p for p in map(clean, phrases) if p and not self.avoid.search(p)]

    def scrub(self, text: str, part: str) -> str:
        """A part of the answer without sentences that mention a topic to avoid; never empty."""
        kept = " ".join(s for s in sentences(clean(text)) if not self.avoid.search(s))
        if kept and not self.avoid.search(kept):
            return kept
        safe = table("people")["safe"]
        spare = [*dealt(safe[part], self.turn), *safe["last"]]
        return next((s for s in spare if not self.avoid.search(s)), "…")


def personalize(brief: VoiceBrief, placed: Placed, seed: int) -> PersonalizedDraft:
    """One ranked script → the same in the creator's words, with 4 to 7 shots and a video prompt."""
    profile, script = brief.profile, placed.script
    avoid = topic_pattern(profile.topics_to_avoid)
    voice = _Voice(profile, max(0, placed.rank - 1), (seed, brief.seed), avoid, _tones(profile))
    hook, body, payoff = (
        voice.scrub(_toned(voice, clean(text)), part)
        for part, text in (("hook", script.hook), ("body", script.body), ("payoff", script.payoff))
    )
    hook, body = _with_remarks(voice, hook, body)
    ending = _catchphrase(voice, f"{hook} {body} {payoff}")
    body, payoff = _with_vocabulary(voice, body, payoff, f"{hook} {ending}")
    hook = voice.scrub(clip(hook, 80, 300), "hook")
    body = voice.scrub(clip(body, 450, 2500), "body")
    payoff = voice.scrub(clip(f"{payoff} {ending}".strip(), 450, 2500), "payoff")
    shots = _shots(voice, hook, body, payoff, script.estimated_duration)
    look = _look(voice)
    prompt = _video_prompt(voice, look, shots, script.estimated_duration)
    look = voice.scrub(capital(look), "look")
    return PersonalizedDraft(hook=hook, body=body, payoff=payoff, shots=shots, look=look, video_prompt=prompt)


def _tones(profile: CreatorProfile) -> Tones:
    said = clean(profile.tone)
    found = [
        (m.start(), name)
        for name, tone in table("people")["tones"].items()
        if (m := phrase_pattern(tuple(tone["words"])).search(said))
    ]
    return {name: table("people")["tones"][name] for _, name in sorted(found)}


def _toned(voice: _Voice, text: str) -> str:
    """Endings, rhythm and a few words as the first tone has them."""
    tone = next(iter(voice.tones.values()), None)
    if tone is None:
        return text
    for pattern, instead in tone["swaps"]:
        text = re.sub(pattern, instead, text)
    spoken = [part for s in sentences(text) for part in (_split(s) if tone["split"] else (s,))]
    if tone["ends"] == "!":
        loud = [i for i, s in enumerate(spoken) if len(s.split()) <= 6 and s.endswith(".") and not s.endswith("..")][:2]
        spoken = [s[:-1] + "!" if i in loud else s for i, s in enumerate(spoken)]
    elif tone["ends"] == ".":
        spoken = [re.sub(r"!+$", ".", s) for s in spoken]
    return capital(" ".join(spoken))


def _split(sentence: str) -> tuple[str, ...]:
    """A long sentence in two, at its first ", and" or ", but"."""
    found = re.search(r", (and|but|so) (?=\w+ )", sentence)
    if len(sentence.split()) < 14 or not found or "?" in sentence or ":" in sentence:
        return (sentence,)
    return f"{sentence[: found.start()]}.", capital(sentence[found.start() + 2 :])


def _with_remarks(voice: _Voice, hook: str, body: str) -> tuple[str, str]:
    """Small remarks in the creator's tones: before every third hook, and at the end of the body."""
    tones = list(voice.tones.values())[:2]
    opens = voice.allowed([o for tone in tones for o in tone["opens"]])
    asides = voice.allowed([a for tone in tones for a in tone["asides"]])
    if opens and voice.turn % 3 == 1:
        hook = f"{opens[voice.turn // 3 % len(opens)]} {hook}"
    short = len(f"{hook} {body}".split()) < ROOM_FOR_ASIDE
    return hook, f"{body} {voice.pick(asides, 'aside')}" if asides and short else body


def _with_vocabulary(voice: _Voice, body: str, payoff: str, spoken: str) -> tuple[str, str]:
    """Two of the creator's words: where such a noun stands it grows into theirs, else one short sentence at the end.

    ``spoken`` is what else will be said: a word that is in there counts.
    """
    text = f"{body} {payoff} {spoken}".lower()
    vocabulary = voice.allowed(voice.profile.vocabulary)
    fresh = [w for w in vocabulary if w.lower() not in text]
    used = len(vocabulary) - len(fresh)
    grown = next((longer for w in fresh if (longer := _grown(body, w))), "")
    left = [w for w in fresh if w not in grown]
    used, body = used + bool(grown), grown or body
    if used < VOCABULARY_PER_SCRIPT and left:
        payoff = f"{payoff} {_framed(voice, dealt(left, voice.turn, *voice.key, 'frame')[0])}"
    return body, payoff


def _grown(text: str, phrase: str) -> str:
    """The text where "the pan" has become "the good pan"; "" when no such noun stands there."""
    bare = _bare(phrase)
    if bare == phrase or len(bare.split()) < 2:
        return ""
    pattern = re.compile(rf"\b(the|your|my|that|this) {re.escape(bare.split()[-1])}\b(?!-)")
    return pattern.sub(lambda m: f"{m[1]} {bare}", text, count=1) if pattern.search(text) else ""


def _kind(phrase: str) -> str:
    """Which sentences a phrase fits into."""
    lists, low = table("people")["words"], phrase.lower().split()
    if phrase.lower() in lists["address"]:
        return "address"
    if low[0] in lists["verbs"] and len(low) > 1:
        return "verb"
    if low[0] in lists["adverbs"] or "'" in low[0] or len(low) > 3 or len(_bare(phrase).split()) < len(low) == 2:
        return "adverb"
    return "noun"


def _framed(voice: _Voice, word: str) -> str:
    """A short sentence that the word fits into."""
    kind = _kind(word)
    bare = _bare(word) if kind == "noun" else word
    frame = voice.pick(table("people")["words"][f"say_{kind}"], "frame", kind)
    return frame.format(w=bare.rstrip(".!?"), W=capital(bare.rstrip(".!?")))


def _bare(phrase: str) -> str:
    return re.sub(r"^(?:the|an?)\s+", "", phrase, flags=re.IGNORECASE)


def _catchphrase(voice: _Voice, text: str) -> str:
    """One to end on; "" when there is none, or when the text has two already."""
    phrases = voice.allowed(voice.profile.catchphrases)
    said = len(phrase_pattern(tuple(p.rstrip(".!?") for p in phrases)).findall(text))
    if not phrases or said >= MOST_CATCHPHRASES:
        return ""
    ending = voice.pick(phrases, "catchphrase")
    return ending if ending[-1] in ".!?…" else f"{ending}."


def _shots(voice: _Voice, hook: str, body: str, payoff: str, duration_s: float) -> list[ShotDraft]:
    """4 to 7 shots: the hook, the body in even parts, the payoff in one or two."""
    profile = voice.profile
    field = recognize(profile.niche, " ".join(profile.content_themes), f"{hook} {body} {payoff}")
    groups = [("hook", hook), *_parts("body", body, 4), *_parts("payoff", payoff, 2)]
    while len(groups) < SHOTS[0]:
        groups.insert(-1, ("interrupt", payoff))
    total = sum(len(text.split()) for _, text in groups)
    weights = [max(len(text.split()), total / 30) for _, text in groups]
    ends = [round(duration_s * sum(weights[: i + 1]) / sum(weights), 1) for i in range(len(groups))]
    seconds = [round(b - a, 1) for a, b in pairwise((0.0, *ends))]
    return [
        ShotDraft(
            seconds=s, visual=_visual(voice, i, role, text, field), on_screen_text=_caption(voice, role, text, field)
        )
        for i, (s, (role, text)) in enumerate(zip(seconds, groups, strict=True))
    ]


def _parts(role: str, text: str, most: int) -> list[tuple[str, str]]:
    """Sentences in up to ``most`` runs of about equal length; the second of the body breaks the flow."""
    spoken = sentences(text)
    count = max(1, min(most, len(spoken), round(len(text.split()) / 13)))
    bounds = [i * len(spoken) // count for i in range(count + 1)]
    runs = [" ".join(spoken[a:b]) for a, b in pairwise(bounds)]
    return [("interrupt" if role == "body" and i == 1 else role, run) for i, run in enumerate(runs)]


def _visual(voice: _Voice, number: int, role: str, text: str, field: Field) -> str:
    """How the camera looks, at what a tip shows or at the creator in a place of the field."""
    camera = table("people")["camera"]
    look = dealt(camera[role], voice.turn + number, *voice.key, role)[0]
    gesture, place = dealt(camera["gesture"], voice.turn + number)[0], voice.pick(field.places)
    seen = spoken_tip(text, field)[1] or f"{gesture}, {place} behind"
    return clip(voice.scrub(f"{look}: {seen}", "sight"), 40, 280)


def _caption(voice: _Voice, role: str, text: str, field: Field) -> str:
    """The tip that is spoken of, or the longest short sentence (of a hook: the longest); "" if it is to avoid."""
    spoken = sentences(text)
    short = [s for s in spoken if role == "hook" or (len(s) < CAPTION_CHARS and 1 < len(s.split()) < 9)]
    line = capital(spoken_tip(text, field)[0] or max(short or [text], key=len)).rstrip(".,;:")
    cut = clip(line, 10, CAPTION_CHARS - 1)
    caption = cut if cut == line else f"{cut}…"
    return "" if voice.avoid.search(caption) else caption


def _look(voice: _Voice) -> str:
    """What all shots share."""
    camera, niche = table("people")["camera"], clean(voice.profile.niche)
    look = camera["look"].format(
        mood=camera["mood"][next(iter(voice.tones), "plain")],
        who=f"one person who makes short videos about {clip(niche, 8, 80)}" if niche else "one person",
        light=voice.pick(camera["light"], "light"),
    )
    return clip(look, 60, 290)


def _video_prompt(voice: _Voice, look: str, shots: Sequence[ShotDraft], duration_s: float) -> str:
    """One paragraph for a text-to-video model."""
    starts = (0.0, *accumulate(shot.seconds for shot in shots))
    text = table("people")["camera"]["prompt"].format(
        seconds=duration_s,
        look=look,
        scenes=" ".join(f"{a:.0f}-{b:.0f} s: {s.visual}." for (a, b), s in zip(pairwise(starts), shots, strict=True)),
    )
    return voice.scrub(text, "prompt")
