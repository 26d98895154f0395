"""S1, a map: each video's transcript → the mechanics that hold attention in it.

N videos → at most N patterns, one model call each. A video that cannot be analyzed is skipped with a
reason. The answer does not depend on the creator, so it can be shared by everyone who uses the video.

What the model claims it has to show: the hook, the loops and the engagement driver come with quotes, and a quote that
is not in the transcript is dropped and counted, never corrected and never a reason to ask again.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel

from flair_ray.domain.answers import LoopDraft, VideoAnalysis
from flair_ray.domain.calls import ChatRequest
from flair_ray.domain.events import EventDraft, EventName
from flair_ray.domain.ids import ItemId, StageName
from flair_ray.domain.patterns import Loop, Pattern
from flair_ray.domain.quotes import Spoken
from flair_ray.domain.videos import Video
from flair_ray.domain.work import Work
from flair_ray.prompts import fence, prompt

DESCRIPTION_SHOWN = 80
"""Characters of the description that viewers of a run are shown; part of the event contract."""
HOOK_WORDS, HOOK_CHARS = 25, 300


def work(videos: Sequence[Video]) -> Work[None, Video]:
    """One item per video, in input order."""
    return Work(None, tuple((ItemId(v.video_id), v) for v in videos))


class Analyze:
    """One video → one Pattern."""

    name = StageName.S1
    output = Pattern
    shareable = True

    def request(self, shared: None, item: Video) -> ChatRequest:
        text = prompt("s1")
        length = f"{item.duration_s:.0f} seconds" if item.duration_s else "unknown"
        video = f"Description: {item.description or '(none)'}\nLength: {length}\n\nTranscript:\n{item.transcript}"
        return ChatRequest(
            stage=self.name,
            system=text.system,
            shared=text.shared,
            varying=text.varying.format(video=fence("video", video)),
            answer=VideoAnalysis,
            material=(shared, item),
        )

    def parse(self, shared: None, item: Video, answer: BaseModel) -> Pattern:
        assert isinstance(answer, VideoAnalysis)  # noqa: S101  # the engine validated it as request.answer
        spoken = Spoken(item.transcript)
        hook = spoken.quote(answer.hook)
        loops = tuple(filter(None, (_loop(draft, spoken) for draft in answer.loops)))
        shown = spoken.quote(answer.engagement_quote)
        return Pattern(
            video_id=item.video_id,
            hook_type=answer.hook_type,
            pacing=answer.pacing,
            emotional_arc=answer.emotional_arc,
            triggers=tuple(dict.fromkeys(answer.triggers)),
            hook=hook.text if hook else _opening(item.transcript),
            structure=tuple(answer.structure),
            pattern_interrupts=answer.pattern_interrupts,
            engagement_driver=answer.engagement_driver,
            words_per_second=item.words_per_second,
            engagement_quote=shown,
            loops=loops,
            quotes=spoken.given,
            quotes_dropped=spoken.dropped,
        )

    def started(self, item: Video) -> EventDraft:
        return EventDraft(
            EventName.S1_TASK_STARTED,
            {"video_id": item.video_id, "description": item.description[:DESCRIPTION_SHOWN]},
        )

    def progress(self, item: Video, output: Pattern) -> EventDraft:
        return EventDraft(
            EventName.S1_PROGRESS,
            {
                "video_id": item.video_id,
                "hook_type": output.hook_type.value,
                "pacing": output.pacing.value,
                "trigger_count": len(output.triggers),
                "quotes": output.quotes,
                "quotes_dropped": output.quotes_dropped,
            },
        )

    def skipped(self, item: Video, reason: str) -> EventDraft:
        return EventDraft(EventName.S1_VIDEO_SKIPPED, {"video_id": item.video_id, "reason": reason})


def _loop(draft: LoopDraft, spoken: Spoken) -> Loop | None:
    """The loop, where its opening was said; it closes nowhere before that."""
    opens = spoken.quote(draft.opens)
    closes = spoken.quote(draft.closes, opens.at if opens else 0.0) if draft.closes.strip() else None
    return Loop(opens, closes) if opens else None


def _opening(transcript: str) -> str:
    return " ".join(transcript.split()[:HOOK_WORDS])[:HOOK_CHARS]
