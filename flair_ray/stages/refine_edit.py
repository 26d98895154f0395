"""First step of a refinement, a map: a viewer whom a script left cold → one edit of it.

K best scripts, three viewers each → at most 3K edits. The writer's model answers as the viewer. An edit replaces one
passage, which is looked up in the script; one that is not in it, that changes nothing, makes the script too long or
mentions a topic to avoid gets one re-ask with the reason and is then left out. A script without any stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel

from flair_ray.domain.answers import EditDraft
from flair_ray.domain.ballots import BALLOT_LENGTH, Ballot
from flair_ray.domain.calls import ChatRequest
from flair_ray.domain.events import EventDraft, EventName
from flair_ray.domain.ids import ItemId, ScriptId, StageName
from flair_ray.domain.people import CreatorProfile, Persona
from flair_ray.domain.refining import Edit, edited, proposers
from flair_ray.domain.scripts import CandidateScript
from flair_ray.domain.topics import topic_pattern
from flair_ray.domain.work import EditBrief, Request, Work
from flair_ray.errors import InvalidAnswer
from flair_ray.prompts import prompt
from flair_ray.stages.briefs import creator_brief, script_brief, viewer_brief


def work(
    top: Sequence[ScriptId],
    scripts: Sequence[CandidateScript],
    ballots: Sequence[Ballot],
    personas: Sequence[Persona],
    profile: CreatorProfile,
    seed: int,
) -> Work[EditBrief, Request]:
    """``top``: the best scripts, the winner first. An item's id names the script and the how manieth viewer."""
    by_id = {script.script_id: script for script in scripts}
    places = {ballot.persona_id: {s: n for n, s in enumerate(ballot.top, start=1)} for ballot in ballots}
    asked = proposers(top, ballots, personas, seed)
    items = tuple(
        (ItemId(f"{script_id}/{n}"), Request(persona, by_id[script_id], places[persona.persona_id].get(script_id)))
        for script_id, viewers in asked.items()
        for n, persona in enumerate(viewers, start=1)
    )
    return Work(EditBrief(profile, min(BALLOT_LENGTH, len(scripts)), seed), items)


class ProposeEdit:
    """One viewer and a script → one Edit."""

    name = StageName.R1
    output = Edit
    shareable = False

    def request(self, shared: EditBrief, item: Request) -> ChatRequest:
        text = prompt("refine_edit")
        named = f"You put this script at place {item.place} of your {shared.length} favourites."
        return ChatRequest(
            stage=self.name,
            system=text.system,
            shared=text.shared.format(creator=creator_brief(shared.profile)),
            varying=text.varying.format(
                viewer=viewer_brief(item.persona),
                place=named if item.place else f"You did not name this script among your {shared.length} favourites.",
                script=script_brief(item.script),
            ),
            answer=EditDraft,
            material=(shared, item),
            seed=shared.seed,
            max_output_tokens=512,
        )

    def parse(self, shared: EditBrief, item: Request, answer: BaseModel) -> Edit:
        assert isinstance(answer, EditDraft)  # noqa: S101  # the engine validated it as request.answer
        if found := topic_pattern(shared.profile.topics_to_avoid).search(answer.instead):
            raise InvalidAnswer(f"The edit mentions a topic to avoid: {found.group()}.")
        passage, script = edited(item.script, answer.passage, answer.instead)
        return Edit(
            script_id=item.script.script_id,
            persona_id=item.persona.persona_id,
            persona_name=item.persona.name,
            reason=answer.reason,
            passage=passage,
            instead=answer.instead,
            script=script,
        )

    def started(self, item: Request) -> None:
        """Its progress is told, and its beginning is not: a default run's log stays under 500 events."""

    def progress(self, item: Request, output: Edit) -> EventDraft:
        return EventDraft(
            EventName.REFINE_PROGRESS,
            {
                "step": self.name.value,
                "script_id": output.script_id,
                "persona_id": output.persona_id,
                "persona_name": output.persona_name,
                "reason": output.reason,
            },
        )

    def skipped(self, item: Request, reason: str) -> EventDraft:
        told = {"script_id": item.script.script_id, "persona_id": item.persona.persona_id, "reason": reason}
        return EventDraft(EventName.REFINE_SKIPPED, {"step": self.name.value, **told})
