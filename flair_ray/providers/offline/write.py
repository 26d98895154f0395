"""S3 without a model: a script from a pattern, a theme and a few plain tips.

A plan is dealt for each part from a seeded shuffle, by the slot's number: the hook's by the pattern's hook
type, the body's by its pacing, the payoff's by its arc. So no plan comes twice before all have been used. The
plans (``plans.toml``) are filled with tips of the creator's field; themes take turns in them, so that
scripts of one run have different ones. Plans and tips that touch a topic to avoid or a recent one are left
out. Where the pattern's exemplars ask for something at the end, so does the script. Numbers only count steps.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from flair_ray.domain.answers import ScriptDraft
from flair_ray.domain.patterns import HookType
from flair_ray.domain.people import CreatorProfile
from flair_ray.domain.scripts import MAX_SECONDS, MIN_SECONDS, ScriptSlot
from flair_ray.domain.topics import topic_pattern
from flair_ray.domain.work import WritingBrief
from flair_ray.providers.offline.fields import Tip, anything, recognize
from flair_ray.providers.offline.text import capital, clean, clip, dealt, rng, stems, table, words
from flair_ray.providers.offline.theme import agreement, audience, subject, with_own_label

SPOKEN_WORDS_PER_SECOND = 2.6
MAX_WORDS, ENOUGH_WORDS = 110, 96
"""Of a whole script; past the second nothing is added that is only nice to have."""

_PICK = re.compile(r"\[([^\]]*)\]")
_NAMED = re.compile(r"<([^|>]*)\|([^>]*)>")
_PARTS = ("slip", "fix", "why", "win")


@dataclass(frozen=True, slots=True)
class _Desk:
    """What one script is written from."""

    brief: WritingBrief
    slot: ScriptSlot
    key: tuple[int, int]
    """Both seeds: a different one gives different scripts."""

    @property
    def turn(self) -> int:
        digits = re.findall(r"[0-9]+", self.slot.script_id)
        return int(digits[-1][-9:]) - 1 if digits else rng(self.slot.script_id).randrange(1000)

    @property
    def profile(self) -> CreatorProfile:
        return self.brief.profile

    def plans(self, kind: str, entry: str) -> list[str]:
        """One list of plans in this slot's order, without those that touch a topic to avoid."""
        every = table("plans")[kind][entry]
        unwanted = topic_pattern(self.profile.topics_to_avoid)
        known = [p for p in every if "{Audience}" not in p or audience(self.profile)]
        usable = [p for p in known if not unwanted.search(p)] or known
        own, others = self._split(usable) if kind == "hooks" else ([], usable)
        if self.turn % 7 == 0 and self.turn // 7 < len(own):
            return dealt(own, self.turn // 7, *self.key, kind, entry)
        return dealt(others, self.turn, *self.key, kind, entry)

    def _split(self, hooks: Sequence[str]) -> tuple[list[str], list[str]]:
        """Up to three hooks that start with a word the creator's own start with, kept for every seventh slot."""
        starts = {words(example)[0] for example in self.profile.example_hooks if words(example)}
        own = [hook for hook in hooks if words(hook)[0] in starts][:3]
        return own, [hook for hook in hooks if hook not in own]

    def fill(self, plan: str, named: bool, facts: Mapping[str, str]) -> str:
        """The plan with its choices made and its places filled."""
        choice = rng(*self.key, self.slot.script_id, plan)
        plan = _NAMED.sub(lambda m: m[2] if named else m[1], plan)
        plan = _PICK.sub(lambda m: choice.choice(m[1].split("|")), plan)
        return plan.format_map(facts)


def write_script(brief: WritingBrief, slot: ScriptSlot, seed: int) -> ScriptDraft:
    """One slot → one script of 45 to 110 words that keeps to its pattern and off the topics to avoid."""
    desk = _Desk(brief, slot, (seed, brief.seed))
    pattern = slot.pattern
    tips = _tips(desk)
    facts = _facts(desk, tips)
    hook_plan = desk.plans("hooks", pattern.hook_type)[0]
    named = "slip}" in hook_plan
    hook = desk.fill(hook_plan, named, facts)
    if pattern.hook_type is HookType.SHOCK:
        hook = with_own_label(hook, desk.profile, desk.turn)
    payoff = desk.fill(desk.plans("payoffs", pattern.emotional_arc)[0], named, facts)
    room = MAX_WORDS - _length(hook, payoff)
    bodies = [desk.fill(p, named, facts) for p in desk.plans("bodies", pattern.pacing)]
    before, interrupt, after = next((b for b in bodies if _length(b) <= room), min(bodies, key=_length)).split("*", 2)
    about = tips[0] in anything().tips and facts["theme"].lower() not in hook.lower()
    lead = desk.fill(desk.plans("leads", "about" if about else _angle(slot))[0], named, facts)
    body, payoff = _rounded(desk, lead, hook, f"{before}{interrupt}{after}", payoff)
    seconds = _length(hook, body, payoff) / SPOKEN_WORDS_PER_SECOND
    return ScriptDraft(
        hook=clip(hook, 60, 300),
        body=body,
        payoff=payoff,
        estimated_duration=round(min(MAX_SECONDS, max(MIN_SECONDS, seconds)), 1),
        structural_notes=_notes(slot, interrupt, _length(hook, before) / SPOKEN_WORDS_PER_SECOND),
    )


def _length(*parts: str) -> int:
    return sum(len(part.split()) for part in parts)


def _tips(desk: _Desk) -> tuple[Tip, Tip, Tip]:
    """The main tip and two others. Themes share the field's tips out, then tips for everybody and the others'."""
    profile, theme = desk.profile, desk.slot.theme
    field = recognize(profile.niche, theme, *profile.content_themes, profile.audience_description)
    own = _shuffled(field.tips_for(theme, profile.niche), profile, *desk.key, field.name)
    common = _shuffled(anything().tips, profile, *desk.key, "any")
    themes = profile.content_themes or ("",)
    column = themes.index(theme) if theme in themes else 0
    mine, spare, again = own[column :: len(themes)], common[column :: len(themes)], own[column + 1 :: len(themes)]
    turns = (*mine, *chain.from_iterable(zip(spare, again, strict=False)), *own, *common)
    pool = list(dict.fromkeys(turns))
    main = pool[desk.turn // len(themes) % len(pool)]
    others = [t for t in (own if len(own) > 2 else pool) if t != main]
    second, third = rng(*desk.key, desk.slot.script_id, "others").sample(others, 2)
    return main, second, third


def _shuffled(tips: Sequence[Tip], profile: CreatorProfile, *key: object) -> list[Tip]:
    """Tips off the topics to avoid and not on a recent topic, in a seeded order; all when too few are left."""
    unwanted = topic_pattern(profile.topics_to_avoid)
    recent = [stems(topic) for topic in profile.recent_topics]
    fits = [t for t in tips if not unwanted.search(t.text) and all(len(stems(t.text) & r) < 2 for r in recent)]
    fits = fits if len(fits) > 2 or len(tips) <= 2 else list(tips)
    return rng(*key, "tips").sample(fits, len(fits))


def _facts(desk: _Desk, tips: Sequence[Tip]) -> dict[str, str]:
    """Everything a plan may ask for."""
    theme = subject(desk.slot.theme, desk.profile)
    facts = {"theme": theme, **agreement(theme), "audience": audience(desk.profile)}
    for number, tip in zip(("", "2", "3"), tips, strict=True):
        for prefix, mine in (("", False), ("m", True)):
            facts |= {prefix + part + number: text for part, text in zip(_PARTS, tip.said(mine, theme), strict=True)}
    return facts | {capital(name): capital(text) for name, text in facts.items()}


def _angle(slot: ScriptSlot) -> str:
    """The list of leads for the slot's angle."""
    return next((key for key in table("plans")["leads"] if key in slot.angle.lower()), "none")


def _rounded(desk: _Desk, lead: str, hook: str, body: str, payoff: str) -> tuple[str, str]:
    """Body and payoff with a lead before and a call after, as far as there is room."""
    room = ENOUGH_WORDS - _length(hook, body, payoff)
    if lead and _length(lead) <= room:
        body, room = f"{lead} {body}", room - _length(lead)
    call = _call(desk)
    return body, f"{payoff} {call}" if call and _length(call) <= room else payoff


def _call(desk: _Desk) -> str:
    """A closing line for one of the pattern's triggers, in every second script or where the exemplars have one."""
    pattern = desk.slot.pattern
    asked = any("call" in beat or "comment" in beat for beats in pattern.structures for beat in beats[-1:])
    if not pattern.triggers or not (asked or desk.turn % 2):
        return ""
    return desk.plans("calls", pattern.triggers[desk.turn // 2 % len(pattern.triggers)])[0]


def _notes(slot: ScriptSlot, interrupt: str, at_s: float) -> str:
    pattern = slot.pattern
    line = clean(interrupt)
    seen = f"Pattern {pattern.pattern_id}: {pattern.label}, seen in {pattern.support} of the videos."
    cut = f"Pattern interrupt about {at_s:.0f} s in, at “{clip(line, 12, 80)}”: change the shot on it."
    holds = str(table("plans")["holds"][pattern.pacing])
    angle = f"{clip(clean(slot.angle), 12, 90) or 'open'}, to end in {slot.emotion.value}"
    model = f" Opened like “{clip(clean(pattern.exemplars[0].hook), 12, 90)}”." if pattern.exemplars else ""
    return f"{seen} Angle: {angle}. {cut} {holds}{model}"
