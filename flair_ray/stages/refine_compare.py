"""Second and third step of a refinement, maps: a viewer and versions of scripts → which of each it would rather watch.

Choosing: a fifth of the panel sees the edits of each script, once. Judging: the rest sees each script without and with
the edit that was chosen, once in each of two orders. All groups stand on one sheet, so that prompts are byte-identical
up to the viewer within an order. Labels belong to places on the sheet: over the orders every version has each of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import lcm

from pydantic import BaseModel

from flair_ray.domain.answers import ChoiceForm, VerdictForm, comparison_form
from flair_ray.domain.calls import ChatRequest
from flair_ray.domain.events import EventDraft, EventName
from flair_ray.domain.ids import ItemId, StageName
from flair_ray.domain.labels import labels
from flair_ray.domain.people import Persona
from flair_ray.domain.refining import PROPOSERS, Preference, choosers, judges
from flair_ray.domain.scripts import CandidateScript
from flair_ray.domain.work import Comparer, ComparisonSheet, Work
from flair_ray.prompts import prompt
from flair_ray.stages.briefs import script_brief, viewer_brief

Groups = Sequence[Sequence[CandidateScript]]
EDIT_ORDERS = lcm(*range(2, PROPOSERS + 1))
"""In which groups of two and of three edits show each of them equally often in each place."""
BOTH = 2


def choosing(groups: Groups, personas: Sequence[Persona], seed: int) -> Work[ComparisonSheet, Comparer]:
    """``groups``: the edits of scripts that have several. One item per viewer who chooses."""
    viewers = enumerate(choosers(personas, seed))
    return _work(groups, [Comparer(persona, n % EDIT_ORDERS) for n, persona in viewers], seed)


def judging(pairs: Groups, personas: Sequence[Persona], seed: int) -> Work[ComparisonSheet, Comparer]:
    """``pairs``: a script as it was, and edited. Two items per viewer who judges."""
    return _work(pairs, [Comparer(p, order) for p in judges(personas, seed) for order in range(BOTH)], seed + 1)


def _work(groups: Groups, comparers: Sequence[Comparer], seed: int) -> Work[ComparisonSheet, Comparer]:
    names = iter(labels(sum(map(len, groups)), seed))
    sheet = ComparisonSheet(
        groups=tuple(map(tuple, groups)),
        labels=tuple(tuple(next(names) for _ in group) for group in groups),
        seed=seed,
    )
    items = ((ItemId(f"{comparer.order}:{comparer.persona.persona_id}"), comparer) for comparer in comparers)
    return Work(sheet, tuple(items) if groups else ())


class _Compare:
    """One viewer and a sheet → one Preference."""

    output = Preference
    shareable = False

    def __init__(self, name: StageName, form: type[ChoiceForm] | type[VerdictForm]) -> None:
        self.name = name
        self._form = form

    def request(self, shared: ComparisonSheet, item: Comparer) -> ChatRequest:
        text = prompt("refine_compare")
        versions = zip(shared.groups, shared.shown(item.order), shared.labels, strict=True)
        told = (
            "\n\n".join(script_brief(group[v], f"version-{label}") for v, label in zip(order, names, strict=True))
            for group, order, names in versions
        )
        groups = (f"Group {n}\n\n{versions}" for n, versions in enumerate(told, start=1))
        return ChatRequest(
            stage=self.name,
            system=text.system,
            shared=text.shared.format(count=len(shared.groups), groups="\n\n".join(groups)),
            varying=text.varying.format(viewer=viewer_brief(item.persona)),
            answer=comparison_form(self._form, shared.labels),
            material=(shared, item),
            seed=shared.seed,
            max_output_tokens=512,
        )

    def parse(self, shared: ComparisonSheet, item: Comparer, answer: BaseModel) -> Preference:
        picked = [getattr(answer, f"group_{n}") for n in range(1, len(shared.groups) + 1)]
        sheet = zip(picked, shared.labels, shared.shown(item.order), strict=True)
        return Preference(
            item.persona.persona_id, item.order, tuple(order[names.index(label)] for label, names, order in sheet)
        )

    def started(self, item: Comparer) -> None:
        """Not told, as for edits."""

    def progress(self, item: Comparer, output: Preference) -> EventDraft:
        told = {"persona_id": item.persona.persona_id, "persona_name": item.persona.name}
        return EventDraft(EventName.REFINE_PROGRESS, {"step": self.name.value, **told})

    def skipped(self, item: Comparer, reason: str) -> EventDraft:
        told = {"persona_id": item.persona.persona_id, "reason": reason}
        return EventDraft(EventName.REFINE_SKIPPED, {"step": self.name.value, **told})


class Choose(_Compare):
    """Among the edits of each script."""

    def __init__(self) -> None:
        super().__init__(StageName.R2, ChoiceForm)


class Judge(_Compare):
    """Between a script and its edit."""

    def __init__(self) -> None:
        super().__init__(StageName.R3, VerdictForm)
