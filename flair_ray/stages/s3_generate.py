"""S3, a map: the pattern library and the creator's brief → N candidate scripts.

The N scripts are first allocated over patterns, angles and emotions, each by the largest remainder, so that the slots
always sum to N: patterns in proportion to their weight, emotions to what the library's videos work on, angles evenly.
Themes are the creator's. Angles turn with the themes, and each pattern gets the emotions that its own videos work on as
long as they last, so that no two slots ask for the same thing. Then one call per slot. A script's id is its slot's and
never changes.

A slot whose call failed, or whose script is nearly a copy of another or of a video, is asked for once more as a further
script, from another angle: ``REDRAWN`` bounds how many. Where that brings nothing better, the near-copy stays and is
named: a run has as many scripts as it has answers for.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import lcm

from pydantic import BaseModel

from flair_ray.domain.allocation import largest_remainder
from flair_ray.domain.answers import ScriptDraft
from flair_ray.domain.calls import ChatRequest
from flair_ray.domain.copies import near_copies
from flair_ray.domain.events import EventDraft, EventName
from flair_ray.domain.ids import ItemId, ScriptId, StageName
from flair_ray.domain.patterns import EMOTION_OF, Emotion, PatternEntry, PatternLibrary
from flair_ray.domain.people import CreatorProfile
from flair_ray.domain.scripts import CandidateScript, ScriptSlot
from flair_ray.domain.topics import topic_pattern
from flair_ray.domain.videos import Video
from flair_ray.domain.work import Work, WritingBrief
from flair_ray.prompts import AGAIN, bullet_list, feedback_prompt, fence, joined, prompt
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
REDRAWN = 1 / 4
"""Of the slots, those that may be asked for once more, one at least: a model that only copies is not fed for ever."""


def work(
    library: PatternLibrary, profile: CreatorProfile, count: int, seed: int, feedback: str = ""
) -> Work[WritingBrief, ScriptSlot]:
    """``count`` slots, dealt as said above; no pair of theme and angle comes twice before all came."""
    shares = largest_remainder([e.weight for e in library.entries], count)
    patterns = [e for e, n in zip(library.entries, shares, strict=True) for _ in range(n)]
    emotions = _emotions(library, patterns)
    themes = _themes(profile)
    angles = list(ANGLES)
    random.Random(f"angles {seed}").shuffle(angles)  # noqa: S311  # a seeded choice, not a secret
    period = lcm(len(themes), len(angles))  # by then every pair that both turning in step can make has come up
    slots = tuple(
        ScriptSlot(
            script_id=_script_id(i),
            pattern=pattern,
            theme=themes[i % len(themes)],
            angle=angles[(i + i // period) % len(angles)],
            emotion=emotion,
        )
        for i, (pattern, emotion) in enumerate(zip(patterns, emotions, strict=True))
    )
    return Work(WritingBrief(profile, library, seed, feedback), tuple((ItemId(s.script_id), s) for s in slots))


def _script_id(place: int) -> ScriptId:
    return ScriptId(f"S{place + 1:02d}")


def _themes(profile: CreatorProfile) -> tuple[str, ...]:
    """The creator's, without those that are to be avoided; the niche where there are none."""
    unwanted = topic_pattern(profile.topics_to_avoid)
    themes = tuple(theme for theme in profile.content_themes if not unwanted.search(theme))
    return themes or ((profile.niche,) if profile.niche else ("what you know best",))


def _emotions(library: PatternLibrary, patterns: Sequence[PatternEntry]) -> list[Emotion]:
    """One per pattern in ``patterns``: as often in all as the library's videos work on it, where it fits best."""
    weights = dict.fromkeys(Emotion, 0.0)
    for entry in library.entries:
        for place, trigger in enumerate(entry.triggers, start=1):
            weights[EMOTION_OF[trigger]] += entry.weight / place
    known = [*weights.values()] if any(weights.values()) else [1.0] * len(weights)
    left = Counter(dict(zip(weights, largest_remainder(known, len(patterns)), strict=True)))
    dealt = []
    for pattern in patterns:
        own = {EMOTION_OF[trigger] for trigger in pattern.triggers}
        dealt.append(max((e for e in weights if left[e]), key=lambda e: (e in own, left[e])))
        left[dealt[-1]] -= 1
    return dealt


def faults(scripts: Mapping[ItemId, CandidateScript], videos: Sequence[Video]) -> dict[ItemId, str]:
    """The scripts that are nearly copies, each with the reason."""
    said = ((video.video_id, video.transcript) for video in videos)
    return near_copies({item_id: script.text for item_id, script in scripts.items()}, said)


def again(
    slots: Sequence[tuple[ItemId, ScriptSlot]], scripts: Mapping[ItemId, CandidateScript], bad: Sequence[ItemId]
) -> tuple[tuple[ItemId, ScriptSlot], ...]:
    """Further slots in place of the bad ones, at most REDRAWN of all; none where several slots brought nothing."""
    room = max(1, int(REDRAWN * len(slots)))
    if not scripts and len(slots) > room:
        return ()
    by_id = dict(slots)
    return tuple(
        (ItemId(slot.script_id), slot)
        for slot in (
            replace(
                by_id[item_id],
                script_id=_script_id(len(slots) + n),
                angle=ANGLES[(ANGLES.index(by_id[item_id].angle) + len(ANGLES) // 2) % len(ANGLES)],
                unlike=scripts[item_id].hook if item_id in scripts else "",
            )
            for n, item_id in enumerate(bad[:room])
        )
    )


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
                    together=_together_line(shared.library),
                ),
                shared.feedback,
            ),
            varying=joined(
                text.varying.format(
                    script_id=item.script_id,
                    pattern=item.pattern.label,
                    triggers=", ".join(t.value.replace("_", " ") for t in item.pattern.triggers),
                    emotion=item.emotion.value,
                    loops=_loops_line(item.pattern),
                    structures=fence("beats", bullet_list(tuple(" → ".join(s) for s in item.pattern.structures))),
                    assignment=fence("assignment", f"Theme: {item.theme}\nAngle: {item.angle}"),
                ),
                feedback_prompt(AGAIN).format(draft=fence("draft", item.unlike)) if item.unlike else "",
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
            theme=item.theme,
            angle=item.angle,
            emotion=item.emotion.value,
        )

    def started(self, item: ScriptSlot) -> EventDraft:
        return EventDraft(
            EventName.S3_TASK_STARTED,
            {
                "script_id": item.script_id,
                "pattern_used": item.pattern.label,
                "theme": item.theme,
                "angle": item.angle,
                "emotion": item.emotion.value,
            },
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


def _together_line(library: PatternLibrary) -> str:
    pairs = (f"{t.first} with {t.second} ({t.support} videos)" for t in library.together)
    return f"Often together: {', '.join(pairs)}." if library.together else ""


def _loops_line(entry: PatternEntry) -> str:
    if entry.loop_opens is None:
        return ""
    closes = f" and close it at {entry.loop_closes:.0%}" if entry.loop_closes is not None else ""
    return f"Its videos open a loop at {entry.loop_opens:.0%} of what is said{closes}.\n"
