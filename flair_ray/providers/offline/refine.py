"""A refinement without a model: the edit that a viewer asks for by habit, and which version suits a viewer better.

An edit cuts a long sentence, has the opening promise an ending, or ends on something to try: the viewer's strongest
taste decides which. Versions are compared as the scripts on a ballot are; where they stand plays no part.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from flair_ray.domain.answers import Answer, ChoiceForm, EditDraft, VerdictForm, comparison_form
from flair_ray.domain.ids import StageName
from flair_ray.domain.quotes import plain_words
from flair_ray.domain.scripts import CandidateScript
from flair_ray.domain.topics import topic_pattern
from flair_ray.domain.work import Comparer, ComparisonSheet, EditBrief, Request
from flair_ray.providers.offline.text import capital, clip, printable, rng, sentences, table
from flair_ray.providers.offline.vote import appeal_of, tastes_of

SHORT_WORDS = 8
_DEPENDS = re.compile(r"(?:if|when|while|because|although|once|since)\b", re.IGNORECASE)
PASSAGE_CHARS, EDIT_CHARS = 200, 290


def propose(brief: EditBrief, request: Request, seed: int) -> EditDraft:
    """One viewer's edit of one script."""
    avoid = topic_pattern(brief.profile.topics_to_avoid)
    found = [(ask, old, new) for ask, old, new in _edits(request) if new and not avoid.search(new)]
    changes = [each for each in found if plain_words(each[1]) != plain_words(each[2])]
    ask, passage, instead = (changes or found or [("open", "…", "…")])[0]
    lines = table("people")["edits"][ask]["says"]
    said = rng(seed, brief.seed, printable(request.persona.persona_id), request.script.script_id).choice(lines)
    return EditDraft(reason=said, passage=passage, instead=instead)


def _edits(request: Request) -> Iterator[tuple[str, str, str]]:
    """What is asked for, the passage, and what should stand there: what this viewer cares most for comes first."""
    tastes, asks = tastes_of(request.persona), table("people")["edits"]
    strongest = max(tastes, key=lambda name: tastes[name], default="practical")
    for name in sorted(asks, key=lambda name: strongest not in asks[name]["tastes"]):
        passage = clip(_passage(name, request.script), 60, PASSAGE_CHARS).strip()
        if plain_words(passage):
            instead = asks[name]["instead"].format(passage=passage) if name != "cut" else _cut(passage)
            yield name, passage, clip(instead, 80, EDIT_CHARS)


def _passage(ask: str, script: CandidateScript) -> str:
    said = {"open": script.hook, "cut": script.body, "close": script.payoff}[ask]
    parts = sentences(printable(said)) or [""]
    return {"open": parts[0], "cut": max(parts, key=len), "close": parts[-1]}[ask]


def _cut(passage: str) -> str:
    """Its main clause, as far as a comma tells; else its first words."""
    clauses = [clause for clause in re.split(r"[,;:]\s+", passage) if len(clause.split()) > 2]
    if len(clauses) > 1:
        return capital(clauses[-1 if _DEPENDS.match(passage) else 0].rstrip(".,;:!?…")) + "."
    return " ".join(passage.split()[:SHORT_WORDS]).rstrip(".,;:!?…") + "."


def compare(stage: StageName, sheet: ComparisonSheet, comparer: Comparer, seed: int) -> Answer:
    """One viewer's version of each group."""
    base: type[ChoiceForm] | type[VerdictForm] = ChoiceForm if stage is StageName.R2 else VerdictForm
    form: type[Answer] = comparison_form(base, sheet.labels)
    groups = zip(sheet.groups, sheet.shown(comparer.order), sheet.labels, strict=True)
    picked = {}
    for n, (group, order, labels) in enumerate(groups, start=1):
        appeal = appeal_of(group, comparer.persona, (seed, sheet.seed))
        best = max(range(len(group)), key=lambda version: (appeal[version], group[version].text))
        picked[f"group_{n}"] = labels[order.index(best)]
    return form(**picked)
