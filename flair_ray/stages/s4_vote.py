"""S4, a map: each persona sees all scripts and ranks its favourites.

M personas over N scripts → at most M ballots, exactly one call per persona: several personas in one prompt
would agree with one another. What is done about position bias, the tendency to prefer what stands first:

- personas are spread over min(6, N, M) order blocks; block b shows the scripts rotated by b·N/blocks from one
  seeded permutation, so that over the blocks every script stands early, late and in the middle;
- labels are neutral letter pairs that say nothing of order;
- within a block the prompt is byte-identical up to the persona, so providers can cache it; what earlier results have
  taught comes before the scripts and is the same for all blocks.

The order that was shown is kept in the ballot. A ballot names exactly min(5, N) distinct scripts; any other
gets one re-ask with the reason and is then spoiled: counted, never scored.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from pydantic import BaseModel

from flair_ray.domain.answers import BallotForm, ballot_form
from flair_ray.domain.ballots import BALLOT_LENGTH, Ballot
from flair_ray.domain.calls import ChatRequest
from flair_ray.domain.events import EventDraft, EventName
from flair_ray.domain.ids import ItemId, StageName
from flair_ray.domain.labels import labels
from flair_ray.domain.people import Persona
from flair_ray.domain.rigor import AGAIN, Rigor, controls, replicates, without_controls
from flair_ray.domain.scripts import CandidateScript
from flair_ray.domain.work import PollSheet, Voter, Work
from flair_ray.errors import InvalidAnswer
from flair_ray.prompts import joined, prompt
from flair_ray.stages.briefs import script_brief, viewer_brief

BLOCKS = 6
"""Six cyclic orders over 42 voters recover what 42 random orders would, and share cached prefixes."""


def work(
    scripts: Sequence[CandidateScript],
    personas: Sequence[Persona],
    seed: int,
    feedback: str = "",
    rigor: Rigor = Rigor.STANDARD,
) -> Work[PollSheet, Voter]:
    """One item per persona; blocks are dealt round, so their sizes differ by at most one. Careful runs ask more."""
    if not scripts:  # a cap may end a run before its first script: there is nothing to ask anybody about
        return Work(PollSheet((), (), (), seed), ())
    again: tuple[Persona, ...] = ()
    blocks = min(BLOCKS, len(scripts), len(personas))
    if rigor is Rigor.CAREFUL:
        scripts, again = (*scripts, *controls(scripts, seed)), replicates(personas, seed)
    orders = cyclic_orders(len(scripts), blocks, seed)
    sheet = PollSheet(tuple(scripts), labels(len(scripts), seed), orders, seed, feedback)
    voters = [Voter(p, i % blocks) for i, p in enumerate(personas)]
    block = {voter.persona.persona_id + AGAIN: voter.block for voter in voters}
    voters += [Voter(p, (block[p.persona_id] + blocks // 2) % blocks) for p in again]  # far from where it stood
    return Work(sheet, tuple((ItemId(voter.persona.persona_id), voter) for voter in voters))


def cyclic_orders(count: int, blocks: int, seed: int) -> tuple[tuple[int, ...], ...]:
    """``blocks`` rotations of one seeded permutation, evenly spaced."""
    base = list(range(count))
    random.Random(f"order {seed}").shuffle(base)  # noqa: S311  # a seeded choice, not a secret
    starts = [b * count // blocks for b in range(blocks)]
    return tuple(tuple(base[s:] + base[:s]) for s in starts)


class Vote:
    """One persona → one Ballot."""

    name = StageName.S4
    output = Ballot
    shareable = False

    def request(self, shared: PollSheet, item: Voter) -> ChatRequest:
        text = prompt("s4")
        order = shared.orders[item.block]
        shown = "\n\n".join(script_brief(shared.scripts[i], f"script-{shared.labels[i]}") for i in order)
        return ChatRequest(
            stage=self.name,
            system=text.system,
            shared=joined(shared.feedback, text.shared.format(count=len(shared.scripts), scripts=shown)),
            varying=text.varying.format(viewer=viewer_brief(item.persona), length=_length(shared)),
            answer=ballot_form(tuple(sorted(shared.labels))),
            material=(shared, item),
            seed=shared.seed,
            max_output_tokens=512,
        )

    def parse(self, shared: PollSheet, item: Voter, answer: BaseModel) -> Ballot:
        assert isinstance(answer, BallotForm)  # noqa: S101  # the engine validated it as request.answer
        by_label = {label: s.script_id for label, s in zip(shared.labels, shared.scripts, strict=True)}
        unknown = [label for label in answer.top if label not in by_label]
        if unknown or len(set(answer.top)) != len(answer.top) or len(answer.top) != _length(shared):
            raise InvalidAnswer(
                f"The ballot must name exactly {_length(shared)} different labels from the sheet, best first; "
                f"it names {', '.join(answer.top) or 'none'}."
            )
        return Ballot(
            persona_id=item.persona.persona_id,
            top=tuple(by_label[label] for label in answer.top),
            order=tuple(shared.scripts[i].script_id for i in shared.orders[item.block]),
            block=item.block,
            reaction=answer.reaction,
            record=item.record,
        )

    def started(self, item: Voter) -> EventDraft:
        p = item.persona
        return EventDraft(
            EventName.S4_TASK_STARTED,
            {
                "persona_id": p.persona_id,
                "name": p.name,
                "location": p.location,
                "age": p.age,
                "occupation": p.occupation,
                "description": p.description,
            },
        )

    def progress(self, item: Voter, output: Ballot) -> EventDraft:
        again = item.persona.persona_id.endswith(AGAIN)  # a replicate scores nothing, and so do controls
        return EventDraft(
            EventName.VOTE_CAST,
            {
                "persona_id": item.persona.persona_id,
                "persona_name": item.persona.name,
                "top_5": list(() if again else without_controls(output.top)),
                "persona_description": item.persona.description,
                "reaction": output.reaction,
            },
        )

    def skipped(self, item: Voter, reason: str) -> EventDraft:
        return EventDraft(
            EventName.ITEM_SKIPPED,
            {"stage": self.name.value, "item_id": item.persona.persona_id, "reason": reason},
        )


def _length(sheet: PollSheet) -> int:
    return min(BALLOT_LENGTH, len(sheet.scripts))
