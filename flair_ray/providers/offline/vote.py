"""S4 without a model: a persona's ballot from what the texts do and what this persona cares for.

Each script has traits counted in its text (a short hook, open loops, concrete things, …). Its appeal to a viewer
is a sum of three parts, each scaled over the sheet: quality, the same for all; taste, by the persona's interests,
attention style, habits and age; and a seeded whim of this persona about this text. Labels and the order in which
scripts are shown play no part.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import fsum, sqrt
from statistics import fmean

from flair_ray.domain.answers import BallotForm
from flair_ray.domain.ballots import BALLOT_LENGTH
from flair_ray.domain.ids import digest
from flair_ray.domain.people import Persona
from flair_ray.domain.scripts import CandidateScript
from flair_ray.domain.topics import phrase_pattern
from flair_ray.domain.work import PollSheet, Voter
from flair_ray.providers.offline.analyze import count
from flair_ray.providers.offline.fields import anything, fields, names_of, recognize
from flair_ray.providers.offline.text import clean, clip, printable, rng, sentences, stems, table

QUALITY, TASTE, WHIM = 0.6, 0.7, 0.8


def vote(sheet: PollSheet, voter: Voter, seed: int) -> BallotForm:
    """One voter's top min(5, N), best first, with a line on the favourite."""
    persona, texts = voter.persona, tuple(_text(s) for s in sheet.scripts)
    tastes = tastes_of(persona)
    appeal = _appeal(texts, persona, tastes, (seed, sheet.seed))
    order = sorted(range(len(texts)), key=lambda i: (-appeal[i], texts[i], sheet.labels[i]))
    favourite = sheet.scripts[order[0]]
    top = [sheet.labels[i] for i in order[:BALLOT_LENGTH]]
    return BallotForm(reaction=_reaction(favourite, persona, tastes, sheet.seed), top=top)


def _text(script: CandidateScript) -> str:
    return "\n".join((clean(script.hook), clean(script.body), clean(script.payoff)))


def appeal_of(scripts: Sequence[CandidateScript], persona: Persona, key: tuple[int, int]) -> list[float]:
    """How much each of these scripts appeals to a viewer, among each other."""
    return _appeal(tuple(map(_text, scripts)), persona, tastes_of(persona), key)


def _appeal(texts: Sequence[str], persona: Persona, tastes: dict[str, int], key: tuple[int, int]) -> list[float]:
    traits = [_traits(text) | {"fresh": fresh} for text, fresh in zip(texts, _freshness(texts), strict=True)]
    scaled = {name: _scaled([t[name] for t in traits]) for name in traits[0]}
    likes = _likes(persona, tastes)
    interest = _scaled([_interest(persona.interests, text) for text in texts])

    def weighted(weights: dict[str, float], i: int) -> float:
        return fsum(weight * scaled[name][i] for name, weight in weights.items())

    quality = _scaled([weighted(table("people")["merits"], i) for i in range(len(texts))])
    taste = _scaled([weighted(likes, i) + 1.5 * interest[i] for i in range(len(texts))])
    whims = [rng(*key, printable(persona.persona_id), digest(text)).gauss(0, 1) for text in texts]
    return [QUALITY * q + TASTE * t + WHIM * w for q, t, w in zip(quality, taste, whims, strict=True)]


@lru_cache(maxsize=4096)
def _traits(text: str) -> dict[str, float]:
    """What a text does, each trait in its own unit; read-only."""
    hook, body, payoff = text.split("\n")
    spoken = sentences(text.replace("\n", " ")) or [text]
    size = max(1, len(text.split()))
    return {
        "short_hook": -float(len(hook.split())),
        "brisk": -fmean(len(s.split()) for s in spoken),
        "question": 2.0 * ("?" in hook) + body.count("?"),
        "loop": float(count("open_loop", text) + ("?" in hook)),
        "turn": float(count("turn", text)),
        "steps": float(count("list_mark", text)),
        "story": float(count("first_person", text) + 2 * count("story", text)),
        "you": float(count("address", text)),
        "hype": float(text.count("!") + count("shock", text)),
        "humor": float(count("laughter", text)),
        "payoff": float(count("positive", payoff) - 0.1 * abs(len(payoff.split()) - 22)),
        "concrete": len(stems(text) & _things()) / sqrt(size),
    }


@lru_cache(maxsize=1)
def _things() -> frozenset[str]:
    """Stems that only a particular field has: what can be pictured, not what any script would say."""
    particular = (tip.text for field in fields().values() if field is not anything() for tip in field.tips)
    common = (str(plans) for kind in ("hooks", "bodies", "payoffs") for plans in table("plans")[kind].values())
    return stems(*particular) - stems(*common, *(tip.text for tip in anything().tips))


@lru_cache(maxsize=32)
def _freshness(texts: tuple[str, ...]) -> list[float]:
    """How little each text shares with the one most like it; read-only."""
    bags = [stems(text) for text in texts]
    return [
        -max((len(a & b) / (len(a | b) or 1) for j, b in enumerate(bags) if j != i), default=0.0)
        for i, a in enumerate(bags)
    ]


def _scaled(values: Sequence[float]) -> list[float]:
    """Mean 0 and deviation 1; all 0 where there is no difference. Exact sums: the order of values plays no part."""
    mean = fsum(values) / len(values)
    deviation = sqrt(fsum((v - mean) ** 2 for v in values) / len(values))
    return [(v - mean) / deviation if deviation > 1e-9 else 0.0 for v in values]


def tastes_of(persona: Persona) -> dict[str, int]:
    """How strongly each taste shows in what is said of the persona; the attention style says it twice."""
    style, habits = clean(persona.attention_style), clean(persona.platform_behavior)
    said = f"{style} {style} {habits} {clean(' '.join(persona.interests))}"
    found = {
        name: len(phrase_pattern(tuple(t["words"])).findall(said)) for name, t in table("people")["tastes"].items()
    }
    return {name: min(n, 3) for name, n in found.items() if n}


def _likes(persona: Persona, tastes: dict[str, int]) -> dict[str, float]:
    """Weights of the traits for this persona."""
    ages = table("people")["ages"]
    total: dict[str, float] = dict(ages["young"] if persona.age < 25 else ages["old"] if persona.age > 50 else {})
    for name, strength in tastes.items():
        for trait, weight in table("people")["tastes"][name]["likes"].items():
            total[trait] = total.get(trait, 0.0) + weight * strength / 2
    return total


def _interest(interests: Sequence[str], text: str) -> float:
    """How much of the text is about what somebody is interested in."""
    return fsum(2.0 * len(stems(i) & stems(text) & _things()) + (_topic(text) in names_of(i)) for i in interests)


@lru_cache(maxsize=4096)
def _topic(text: str) -> str:
    return recognize("", text).name


def _reaction(favourite: CandidateScript, persona: Persona, tastes: dict[str, int], seed: int) -> str:
    hook = clean(favourite.hook).rstrip(".,;:") or "this one"
    quote = clip(hook, 12, 100)
    quote = quote if quote == hook else f"{quote}…"
    strongest = max(tastes, key=lambda name: tastes[name], default="practical")
    line = str(rng(seed, printable(persona.persona_id)).choice(table("people")["tastes"][strongest]["says"]))
    shared = [clean(i) for i in persona.interests if _topic(_text(favourite)) in names_of(i)]
    more = f" And I'm here for anything about {shared[0]}." if shared else ""
    return clip(line.format(quote=quote) + more, 60, 290)
