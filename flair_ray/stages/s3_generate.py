"""S3, a map: the pattern library and the creator's brief → N candidate scripts.

The N scripts are first allocated: over the library's patterns in proportion to their weight (largest
remainder, so that the slots always sum to N), and round the creator's themes and a list of angles, so that
no two slots ask for the same thing. Then one call per slot. A script's id is its slot's and never changes.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import lcm

from pydantic import BaseModel

from flair_ray.domain.allocation import largest_remainder
from flair_ray.domain.answers import ScriptDraft
from flair_ray.domain.calls import ChatRequest
from flair_ray.domain.events import EventDraft, EventName
from flair_ray.domain.ids import ItemId, ScriptId, StageName
from flair_ray.domain.patterns import PatternEntry, PatternLibrary
from flair_ray.domain.people import CreatorProfile
from flair_ray.domain.scripts import CandidateScript, ScriptSlot
from flair_ray.domain.work import Work, WritingBrief
from flair_ray.prompts import bullet_list, fence, joined, prompt
from flair_ray.stages.briefs import creator_brief

ANGLES = (
    "a mistake nearly everyone makes",
    "the version for absolute beginners",
    "what changed my mind",
    "the unpopular opinion",
    "three steps, no more",
    "before and after",
    "what nobody tells you at the start",
    "a day it all went wrong",
    "the smallest change that mattered",
    "myth against reality",
    "a question I get every week",
    "if I had to start again",
)
ENTRIES_SHOWN = 12
"""Library entries in the shared part of the prompt; the tail has little support and costs tokens."""


def work(
    library: PatternLibrary, profile: CreatorProfile, count: int, seed: int, feedback: str = ""
) -> Work[WritingBrief, ScriptSlot]:
    """``count`` slots, allocated to patterns by weight; themes and angles rotate, no pair twice before all came."""
    shares = largest_remainder([e.weight for e in library.entries], count)
    patterns = [e for e, n in zip(library.entries, shares, strict=True) for _ in range(n)]
    themes = profile.content_themes or ((profile.niche,) if profile.niche else ("what you know best",))
    angles = list(ANGLES)
    random.Random(f"angles {seed}").shuffle(angles)  # noqa: S311  # a seeded choice, not a secret
    period = lcm(len(themes), len(angles))  # by then every pair that both turning in step can make has come up
    slots = tuple(
        ScriptSlot(
            script_id=ScriptId(f"S{i + 1:02d}"),
            pattern=pattern,
            theme=themes[i % len(themes)],
            angle=angles[(i + i // period) % len(angles)],
        )
        for i, pattern in enumerate(patterns)
    )
    return Work(WritingBrief(profile, library, seed, feedback), tuple((ItemId(s.script_id), s) for s in slots))


class Generate:
    """One slot → one CandidateScript."""

    name = StageName.S3
    output = CandidateScript
    shareable = False

    def request(self, shared: WritingBrief, item: ScriptSlot) -> ChatRequest:
        text = prompt("s3")
        return ChatRequest(
            stage=self.name,
            system=text.system,
            shared=joined(
                text.shared.format(
                    creator=creator_brief(shared.profile),
                    videos=shared.library.videos,
                    library=_library_lines(shared.library.entries[:ENTRIES_SHOWN]),
                ),
                shared.feedback,
            ),
            varying=text.varying.format(
                script_id=item.script_id,
                pattern=item.pattern.label,
                triggers=", ".join(t.value.replace("_", " ") for t in item.pattern.triggers),
                structures=fence("beats", bullet_list(tuple(" → ".join(s) for s in item.pattern.structures))),
                assignment=fence("assignment", f"Theme: {item.theme}\nAngle: {item.angle}"),
            ),
            answer=ScriptDraft,
            material=(shared, item),
            seed=shared.seed,
        )

    def parse(self, shared: WritingBrief, item: ScriptSlot, answer: BaseModel) -> CandidateScript:
        assert isinstance(answer, ScriptDraft)  # noqa: S101  # the engine validated it as request.answer
        return CandidateScript(
            script_id=item.script_id,
            pattern_used=item.pattern.label,
            hook=answer.hook,
            body=answer.body,
            payoff=answer.payoff,
            estimated_duration=round(answer.estimated_duration, 1),
            structural_notes=answer.structural_notes,
        )

    def started(self, item: ScriptSlot) -> EventDraft:
        return EventDraft(
            EventName.S3_TASK_STARTED,
            {"script_id": item.script_id, "pattern_used": item.pattern.label, "theme": item.theme},
        )

    def progress(self, item: ScriptSlot, output: CandidateScript) -> EventDraft:
        return EventDraft(EventName.S3_PROGRESS, {"script_id": item.script_id, "hook": output.hook})

    def skipped(self, item: ScriptSlot, reason: str) -> EventDraft:
        return EventDraft(
            EventName.ITEM_SKIPPED, {"stage": self.name.value, "item_id": item.script_id, "reason": reason}
        )


def _library_lines(entries: Sequence[PatternEntry]) -> str:
    return "\n".join(
        f"- {e.label}: {e.support} videos" + (f", engagement {e.lift:.2f} × the median" if e.lift is not None else "")
        for e in entries
    )
