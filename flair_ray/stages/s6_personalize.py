"""S6, a map: each of the best scripts → the same script in the creator's voice, with video prompts.

K ranked scripts → K final scripts, one call each. The voice is the profile's and, where the creator has given any, that
of their own transcripts. No topic to avoid may be mentioned in anything that comes back, and at most MOST_CATCHPHRASES
said: one re-ask, then the script is taken as it is and flagged. Where a call fails for good the original text stands
in, flagged, so that a script that was voted for is never lost.

There are two video prompts: a quick one for the whole video, and one for each shot, made of the look that all shots
share, word for word, and of what this one shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from types import MappingProxyType

from pydantic import BaseModel

from flair_ray.domain.answers import PersonalizedDraft, ShotDraft
from flair_ray.domain.calls import ChatRequest
from flair_ray.domain.events import EventDraft, EventName
from flair_ray.domain.ids import ItemId, ScriptId, StageName
from flair_ray.domain.people import CreatorProfile
from flair_ray.domain.ranking import RankedScript
from flair_ray.domain.scripts import CandidateScript, FinalScript, Shot
from flair_ray.domain.topics import phrase_pattern, topic_pattern
from flair_ray.domain.work import Placed, VoiceBrief, Work
from flair_ray.errors import Flawed
from flair_ray.prompts import prompt
from flair_ray.stages.briefs import creator_brief, script_brief, voice_brief

MOST_CATCHPHRASES = 2
"""In one script: more sound like a parody."""
NONE: Mapping[ScriptId, CandidateScript] = MappingProxyType({})


def work(
    top: Sequence[RankedScript],
    scripts: Sequence[CandidateScript],
    profile: CreatorProfile,
    seed: int,
    edited: Mapping[ScriptId, CandidateScript] = NONE,
) -> Work[VoiceBrief, Placed]:
    """One item per row of ``top``, the winner first. ``edited``: scripts that the panel prefers with an edit."""
    by_id = {s.script_id: s for s in scripts}
    rows = ((row, by_id[row.script_id]) for row in top)
    placed = (Placed(edited.get(s.script_id, s), row.rank, row.score, voted=s) for row, s in rows)
    return Work(VoiceBrief(profile, seed), tuple((ItemId(p.script.script_id), p) for p in placed))


def original(shared: VoiceBrief, item: Placed, reason: str) -> FinalScript:
    """The script as the panel preferred it, where no personalized one could be had."""
    script = item.script
    return FinalScript(
        script_id=script.script_id,
        original_script=item.original,
        hook=script.hook,
        body=script.body,
        payoff=script.payoff,
        video_prompt="",
        shots=(),
        rank=item.rank,
        vote_score=item.score,
        personalized=False,
        notes=(f"Not personalized: {reason}", *_faults(shared.profile, [script.text], script.text)),
    )


class Personalize:
    """One ranked script → one FinalScript."""

    name = StageName.S6
    output = FinalScript
    shareable = False

    def request(self, shared: VoiceBrief, item: Placed) -> ChatRequest:
        text = prompt("s6")
        return ChatRequest(
            stage=self.name,
            system=text.system,
            shared=text.shared.format(creator=creator_brief(shared.profile), voice=voice_brief(shared.profile)).strip(),
            varying=text.varying.format(
                seconds=round(item.script.estimated_duration), rank=item.rank, script=script_brief(item.script)
            ),
            answer=PersonalizedDraft,
            material=(shared, item),
            seed=shared.seed,
        )

    def parse(self, shared: VoiceBrief, item: Placed, answer: BaseModel) -> FinalScript:
        assert isinstance(answer, PersonalizedDraft)  # noqa: S101  # the engine validated it as request.answer
        final = FinalScript(
            script_id=item.script.script_id,
            original_script=item.original,
            hook=answer.hook,
            body=answer.body,
            payoff=answer.payoff,
            video_prompt=answer.video_prompt,
            shots=timed_shots(answer.shots, item.script.estimated_duration, answer.look),
            rank=item.rank,
            vote_score=item.score,
        )
        spoken = final.personalized_script
        seen = (text for shot in answer.shots for text in (shot.visual, shot.on_screen_text))
        texts = (spoken, answer.video_prompt, answer.look, *seen)
        if faults := _faults(shared.profile, texts, spoken):
            raise Flawed(
                f"It mentions a topic to avoid or says more than {MOST_CATCHPHRASES} catchphrases. Look for both in "
                "every field: script, shots, look and video prompt.",
                replace(final, notes=faults),
            )
        return final

    def started(self, item: Placed) -> EventDraft:
        return EventDraft(EventName.S6_TASK_STARTED, {"script_id": item.script.script_id, "rank": item.rank})

    def progress(self, item: Placed, output: FinalScript) -> EventDraft:
        return EventDraft(EventName.S6_PROGRESS, {"script_id": item.script.script_id})

    def skipped(self, item: Placed, reason: str) -> EventDraft:
        return EventDraft(
            EventName.ITEM_SKIPPED, {"stage": self.name.value, "item_id": item.script.script_id, "reason": reason}
        )


def _faults(profile: CreatorProfile, texts: Sequence[str], spoken: str) -> tuple[str, ...]:
    """What a creator would not want in these texts, in words for them."""
    unwanted = topic_pattern(profile.topics_to_avoid)
    mentions = dict.fromkeys(found.lower() for text in texts for found in unwanted.findall(text))
    said = len(phrase_pattern(tuple(p.strip().rstrip(".!?…") for p in profile.catchphrases)).findall(spoken))
    notes = [f"Mentions a topic to avoid: {', '.join(mentions)}."] if mentions else []
    return (*notes, *([f"Says {said} catchphrases; two are enough."] if said > MOST_CATCHPHRASES else []))


def timed_shots(drafts: Sequence[ShotDraft], duration_s: float, look: str = "") -> tuple[Shot, ...]:
    """Shots end to end, stretched so that they fill the script exactly: models add badly."""
    total_s = sum(d.seconds for d in drafts)
    ends = list(accumulate(d.seconds / total_s * duration_s for d in drafts))
    starts = [0.0, *ends[:-1]]
    return tuple(
        Shot(round(start, 1), round(end, 1), d.visual, d.on_screen_text, _shot_prompt(look, d.visual, end - start))
        for start, end, d in zip(starts, ends, drafts, strict=True)
    )


def _shot_prompt(look: str, visual: str, seconds: float) -> str:
    return f"Vertical 9:16, about {max(1, round(seconds))} s. {_closed(look)} {_closed(visual)} No text in the picture."


def _closed(text: str) -> str:
    return text if text.endswith((".", "!", "?", "…", "。")) else f"{text}."
