"""What would change your mind? Who is asked for an edit, what an edit is, which one is tried, and what it brought.

    viewers a script left cold ──▶ one edit each ──▶ a fifth of the panel chooses one ──▶ the rest judges it

Who chose an edit does not judge it, nor does who proposed it: a share of those who picked it would flatter it.
The rest of the panel sees each script without and with its edit, twice, in both orders. A viewer who would rather
watch the edited version both times counts 1, both times the other 0, and one who goes by the order a half. The gain is
the mean over viewers with its 95 % interval by Wilson, taken for the number of viewers that the weights leave: a
viewer is the unit, and a small panel of one mind is not thereby certain, as it is to a bootstrap.
https://www.itl.nist.gov/div898/handbook/prc/section2/prc241.htm
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from math import ceil, sqrt
from statistics import NormalDist
from typing import Literal

from flair_ray.domain.ballots import BALLOT_LENGTH, Ballot
from flair_ray.domain.copies import said_in_videos
from flair_ray.domain.ids import ItemId, PersonaId, ScriptId, digest
from flair_ray.domain.labels import first_of
from flair_ray.domain.people import Persona
from flair_ray.domain.quotes import plain_words
from flair_ray.domain.ranking import Weights
from flair_ray.domain.scripts import MAX_SECONDS, CandidateScript
from flair_ray.domain.videos import Video
from flair_ray.errors import InvalidAnswer

REFINED = 5
"""Scripts at most: a viewer compares them all on one sheet, and of forty edits that do nothing one seems to help."""
PROPOSERS = 3
CHOOSER_ONE_IN, MOST_CHOOSERS = 5, 30
"""A fifth of a panel chooses; more than thirty would choose no better."""
MOST_MORE_WORDS = 25
"""An edit may lengthen a script by about ten seconds of speech."""
CONFIDENCE = 0.95
METHOD = (
    "A part of the panel chose the edit; the rest, without who proposed it, saw the script without and with it, in "
    "both orders. Mean over viewers, 95 % interval by Wilson; no correction for the number of scripts."
)

Verdict = Literal["gain", "no_clear_gain", "loss"]


@dataclass(frozen=True, slots=True)
class Edit:
    """One change that a viewer asks for, and the script with it."""

    script_id: ScriptId
    persona_id: PersonaId
    persona_name: str
    reason: str
    """What kept this viewer from choosing the script, in the viewer's words."""
    passage: str
    """What stands there now, as the script has it."""
    instead: str
    script: CandidateScript
    """The whole of it with the edit; its length follows its words."""


@dataclass(frozen=True, slots=True)
class Preference:
    """What one viewer picked from each group of a sheet."""

    persona_id: PersonaId
    order: int
    """Which of the sheet's orders was shown."""
    picks: tuple[int, ...]
    """Per group the version, by its number and not by its place."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One script, the edit that was tried on it, and what the panel made of it."""

    script_id: ScriptId
    edit: Edit
    others: tuple[Edit, ...]
    """What else was proposed and could have been tried."""
    voters: int
    """Viewers who saw both orders and had not proposed the edit."""
    share: float | None
    """Who would rather watch the edited version; None without voters."""
    low: float
    high: float
    """The 95 % interval of the share."""
    verdict: Verdict
    shown_first: float | None
    """How often the version that stood first was picked: a half where the order plays no part."""

    @property
    def helps(self) -> bool:
        return self.verdict == "gain"

    @property
    def summary(self) -> str:
        """The verdict in words for a creator."""
        if self.share is None:
            return "Nobody could judge this edit. Your script stays as it was."
        told = {
            "gain": ("Clearly better with the edit", "Your script has it."),
            "no_clear_gain": ("No clear gain", "Your script stays as it was."),
            "loss": ("Clearly worse with the edit", "Your script stays as it was."),
        }
        found, so = told[self.verdict]
        viewers = "1 simulated viewer" if self.voters == 1 else f"{self.voters} simulated viewers"
        share = f"{100 * self.share:.0f} % prefer it edited"
        span = f"95 % interval {100 * self.low:.0f} to {100 * self.high:.0f} %"
        return f"{found}: {viewers} compared the two, and {share} ({span}). {so}"


@dataclass(frozen=True, slots=True)
class Refinement:
    """What came of asking."""

    trials: tuple[Trial, ...]
    """In the order of the ranking."""
    untried: tuple[ScriptId, ...]
    """The scripts for which nobody proposed an edit that could be used."""
    method: str = METHOD

    @property
    def edited(self) -> dict[ScriptId, CandidateScript]:
        """The scripts that clearly gained, with their edit."""
        return {trial.script_id: trial.edit.script for trial in self.trials if trial.helps}


def proposers(
    top: Sequence[ScriptId], ballots: Sequence[Ballot], personas: Sequence[Persona], seed: int
) -> dict[ScriptId, tuple[Persona, ...]]:
    """For each of the best scripts PROPOSERS viewers who ranked it lowest: equals in turn, then by lot."""
    points = {ballot.persona_id: {s: BALLOT_LENGTH - i for i, s in enumerate(ballot.top)} for ballot in ballots}
    voted = [persona for persona in personas if persona.persona_id in points]
    asked: Counter[PersonaId] = Counter()
    found = {}
    for script_id in top[:REFINED]:

        def low(persona: Persona, script_id: ScriptId = script_id) -> tuple[int, int, str]:
            name = persona.persona_id
            return points[name].get(script_id, 0), asked[name], digest("edit", str(seed), script_id, name)

        found[script_id] = tuple(sorted(voted, key=low)[:PROPOSERS])
        asked.update(persona.persona_id for persona in found[script_id])
    return found


def choosers(personas: Sequence[Persona], seed: int) -> tuple[Persona, ...]:
    """One in CHOOSER_ONE_IN and at most MOST_CHOOSERS, by lot, in the panel's order."""
    by_lot = sorted(personas, key=lambda persona: digest("choose", str(seed), persona.persona_id))
    chosen = {persona.persona_id for persona in by_lot[: min(MOST_CHOOSERS, ceil(len(by_lot) / CHOOSER_ONE_IN))]}
    return tuple(persona for persona in personas if persona.persona_id in chosen)


def judges(personas: Sequence[Persona], seed: int) -> tuple[Persona, ...]:
    """All who do not choose; a panel of one does both."""
    busy = {persona.persona_id for persona in choosers(personas, seed)}
    return tuple(persona for persona in personas if persona.persona_id not in busy) or tuple(personas)


def edited(script: CandidateScript, passage: str, instead: str) -> tuple[str, CandidateScript]:
    """The passage as the script has it, and the script with the edit. Raises InvalidAnswer, for a model to read.

    The passage is found as quotes are: white space, case and punctuation do not matter.
    """
    parts = {"hook": script.hook, "body": script.body, "payoff": script.payoff}
    place = next(((name, at) for name, text in parts.items() if (at := _find(text, passage, instead))), None)
    if place is None:
        raise InvalidAnswer("The passage is not in the script: copy it word for word, from one part of it.")
    name, at = place
    text = parts[name]
    parts[name] = f"{text[: at.start()]}{instead}{text[at.end() :]}"
    now = replace(script, hook=parts["hook"], body=parts["body"], payoff=parts["payoff"])
    if plain_words(now.text) == plain_words(script.text):
        raise InvalidAnswer("The edit changes nothing: say what should stand there instead.")
    before, after = len(script.text.split()), len(now.text.split())
    seconds = round(script.estimated_duration * after / before, 1)
    if after > before + MOST_MORE_WORDS or (after > before and seconds > MAX_SECONDS):
        raise InvalidAnswer(f"The edit makes the script too long: it has {after} words, and had {before}.")
    return at.group(), replace(now, estimated_duration=seconds)


def _find(text: str, passage: str, instead: str) -> re.Match[str] | None:
    """The passage, with the end of its sentence where that was copied or is said anew."""
    words = re.findall(r"[^\W_]+", passage)
    if not words:
        return None
    ends = r"[.!?…,;:]*" if any(re.search(r"[.!?…,;:]\s*$", said) for said in (passage, instead)) else ""
    return re.search(r"(?<!\w)" + r"[\W_]+".join(map(re.escape, words)) + r"(?!\w)" + ends, text, re.IGNORECASE)


def unusable(edits: Mapping[ItemId, Edit], videos: Sequence[Video]) -> dict[ItemId, str]:
    """Edits that are not to be tried: what brings in the words of a video, and what was proposed before."""
    texts = {item_id: edit.script.text for item_id, edit in edits.items()}
    found = said_in_videos(texts, ((video.video_id, video.transcript) for video in videos))
    first: dict[tuple[ScriptId, str], ItemId] = {}
    for item_id, edit in edits.items():
        twin = first.setdefault((edit.script_id, plain_words(edit.script.text)), item_id)
        if twin != item_id:
            found.setdefault(item_id, f"The same edit as {twin}.")
    return found


def rivals(edits: Sequence[Edit]) -> tuple[tuple[Edit, ...], ...]:
    """The edits of each script together, in the order in which they were asked for."""
    return tuple(tuple(group) for _, group in groupby(edits, key=lambda edit: edit.script_id))


def contested(edits: Sequence[Edit]) -> tuple[tuple[Edit, ...], ...]:
    """Those between which somebody has to choose."""
    return tuple(group for group in rivals(edits) if len(group) > 1)


def tried(edits: Sequence[Edit], choices: Sequence[Preference]) -> tuple[Edit, ...]:
    """One edit a script: what most chose, of equals the one of who ranked the script lower."""
    picks = [Counter(choice.picks[at] for choice in choices) for at in range(len(contested(edits)))]
    votes = iter(picks)
    groups = ((group, next(votes) if len(group) > 1 else Counter()) for group in rivals(edits))
    return tuple(group[max(range(len(group)), key=lambda i: (votes[i], -i))] for group, votes in groups)


def refinement(
    asked: Sequence[ScriptId],
    edits: Sequence[Edit],
    choices: Sequence[Preference],
    verdicts: Sequence[Preference],
    weights: Weights,
) -> Refinement:
    """What the panel made of the edits. In ``verdicts`` version 0 is the script as it was, 1 the edited one."""
    applied = tried(edits, choices)
    twice: dict[PersonaId, dict[int, Preference]] = {}
    for verdict in verdicts:
        twice.setdefault(verdict.persona_id, {})[verdict.order] = verdict
    both = {name: seen for name, seen in twice.items() if len(seen) == 2}
    trials = tuple(
        _trial(at, edit, group, both, weights)
        for at, (edit, group) in enumerate(zip(applied, rivals(edits), strict=True))
    )
    untried = set(asked) - {trial.script_id for trial in trials}
    return Refinement(trials, tuple(script_id for script_id in asked if script_id in untried))


def _trial(
    at: int,
    edit: Edit,
    group: Sequence[Edit],
    both: Mapping[PersonaId, Mapping[int, Preference]],
    weights: Weights,
) -> Trial:
    counted = {name: seen for name, seen in both.items() if name != edit.persona_id and weights.get(name, 1.0) > 0}
    scores = {name: sum(seen[order].picks[at] for order in (0, 1)) / 2 for name, seen in counted.items()}
    share, low, high = _interval([(scores[name], weights.get(name, 1.0)) for name in scores])
    first = [seen[order].picks[at] == first_of(at, order, 2) for seen in counted.values() for order in (0, 1)]
    return Trial(
        script_id=edit.script_id,
        edit=edit,
        others=tuple(other for other in group if other is not edit),
        voters=len(scores),
        share=share,
        low=low,
        high=high,
        verdict="gain" if low > 0.5 else "loss" if high < 0.5 else "no_clear_gain",
        shown_first=round(sum(first) / len(first), 4) if first else None,
    )


def _interval(scores: Sequence[tuple[float, float]]) -> tuple[float | None, float, float]:
    """The weighted mean of scores from 0 to 1, and Wilson's interval; (score, weight) each."""
    total = sum(weight for _, weight in scores)
    if not total:
        return None, 0.0, 1.0
    n = total**2 / sum(weight**2 for _, weight in scores)  # so many equal viewers know as much
    mean, z = sum(score * weight for score, weight in scores) / total, NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    middle = (mean + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * sqrt(mean * (1 - mean) / n + z**2 / (4 * n**2))
    return round(mean, 4), round(max(0.0, middle - half), 4), round(min(1.0, middle + half), 4)
