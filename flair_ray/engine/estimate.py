"""What a run will take, before anything is spent: calls, tokens, dollars, time; and how a cap is shared out.

S1's prompts are the real ones. What later stages ask depends on answers that do not exist yet, so their prompts are
rendered from stand-ins of typical length, at most SAMPLE of them a stage. Tokens come from ``domain/tokens.py``.

    low ........ everything that repeats comes from the vendor's cache, answers are short
    expected ... half of what repeats does (calls that are sent at once all miss), answers are typical
    high ....... nothing is cached, answers are twice as long, one call in ten is made again

A cap is shared out once, when the run is submitted. S6's expected cost is held back first and in full. Then comes
slack: what a reservation is larger than the call that it is for, once, as only one stage at a time is at its last
calls. The rest goes to S1, S3, S4 and a refinement's steps in proportion to what they are expected to cost. Allowances
are cumulative: a stage may use what earlier ones left, and never what is held back for S6.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, cycle, islice, product
from typing import Any

from flair_ray.domain.ballots import BALLOT_LENGTH
from flair_ray.domain.calls import Usage
from flair_ray.domain.codec import plain
from flair_ray.domain.ids import REFINING, ItemId, ScriptId, StageName
from flair_ray.domain.money import INPUT_MARGIN, MICROS, Price
from flair_ray.domain.patterns import EmotionalArc, HookType, Pacing, Pattern, Trigger
from flair_ray.domain.refining import PROPOSERS, REFINED
from flair_ray.domain.runs import Limits, RunInputs, RunSpec
from flair_ray.domain.scripts import CandidateScript
from flair_ray.domain.tokens import estimated_tokens, request_tokens
from flair_ray.domain.videos import Video
from flair_ray.domain.work import EditBrief, Placed, Request, VoiceBrief, Work
from flair_ray.engine.plan import MAP_STAGES
from flair_ray.providers.prices import thinking_tokens
from flair_ray.stages import refine_compare, s1_analyze, s2_aggregate, s3_generate, s4_vote

ANSWER_TOKENS = {
    StageName.S1: 340,
    StageName.S3: 400,
    StageName.S4: 80,
    StageName.R1: 100,
    StageName.R2: 60,
    StageName.R3: 60,
    StageName.S6: 800,
}
"""Of a typical answer, as JSON."""
THINKING_SHARE = 1 / 8
"""Of the room for reasoning that a call uses at low effort."""
CACHED_SHARE = 0.5
LEAST_CACHED = 1024
"""Shorter prefixes are not cached (https://developers.openai.com/api/docs/guides/prompt-caching)."""
SHORT, LONG, REPEATED = 0.6, 2.0, 1.1
SAMPLE = 50
FIRST_TOKEN_S, TOKENS_PER_S = 1.0, 60.0
"""Of a typical call to a hosted model, for the duration only."""
IN_FLIGHT = 29
"""Calls at once where nobody has declared more or less."""


@dataclass(frozen=True, slots=True)
class StageEstimate:
    """One map stage; ``low`` and ``high`` are bounds in practice, not guarantees."""

    calls: int
    low: Usage
    expected: Usage
    high: Usage
    worst_call: Usage
    """The most that one call reserves."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run is expected to take. S1 answers that a cache holds already are not known here and not deducted."""

    stages: Mapping[StageName, StageEstimate]
    """Those that the run goes through."""
    price: Price | None
    duration_s: float
    stage_prices: Mapping[StageName, Price | None] = field(default_factory=dict)
    """Of stages that another model answers."""
    refining: Mapping[StageName, StageEstimate] = field(default_factory=dict)
    """What a refinement takes or, where it was not asked for, would take."""

    def price_of(self, stage: StageName) -> Price | None:
        return self.stage_prices.get(stage, self.price)

    def usd(self, bound: str = "expected") -> float | None:
        """Dollars of the whole run at ``low``, ``expected`` or ``high``; None where a price is unknown."""
        return self._usd(self.stages, bound)

    def _usd(self, stages: Mapping[StageName, StageEstimate], bound: str) -> float | None:
        costs = [p.usd(getattr(s, bound)) if (p := self.price_of(n)) else None for n, s in stages.items()]
        known = [cost for cost in costs if cost is not None]
        return sum(known) if len(known) == len(costs) else None

    def document(self) -> dict[str, Any]:
        """The whole of it as plain JSON values."""
        bounds = ("low", "expected", "high")
        return {
            "stages": {
                name.value: {"calls": s.calls, **{b: _bound(getattr(s, b), self.price_of(name)) for b in bounds}}
                for name, s in self.stages.items()
            },
            "calls": sum(s.calls for s in self.stages.values()),
            "usd": {bound: self.usd(bound) for bound in bounds},
            "refine": {
                "calls": sum(s.calls for s in self.refining.values()),
                "usd": {bound: self._usd(self.refining, bound) for bound in bounds},
                "included": self.refining.keys() <= self.stages.keys(),
            },
            "price": plain(self.price) if self.price else None,
            "duration_s": self.duration_s,
        }

    def stage_usd(self) -> dict[StageName, float]:
        """Expected dollars by stage, of those with a price."""
        return {n: price.usd(s.expected) for n, s in self.stages.items() if (price := self.price_of(n))}


def _bound(usage: Usage, price: Price | None) -> dict[str, Any]:
    return {**plain(usage), "usd": price.usd(usage) if price else None}


def estimate(spec: RunSpec, inputs: RunInputs, *, more: bool = True) -> Estimate:
    """What the run of this spec is expected to take; ``more``: also what a refinement would that was not asked for."""
    works = zip(ANSWER_TOKENS, _works(spec, inputs), strict=True)
    wanted = ((name, work) for name, work in works if work.items and (more or name in spec.stages))
    every = {name: _stage(name, work, thinking_tokens(spec.model_of(name))) for name, work in wanted}
    stages = {name: found for name, found in every.items() if name in spec.stages}
    lasts = sum(_duration_s(s, spec.limits_of(n), spec.model_of(n).provider == "offline") for n, s in stages.items())
    refining = {name: every[name] for name in REFINING if name in every}
    return Estimate(stages, spec.money.price, round(lasts, 1), spec.money.stage_prices, refining)


def allowances(estimated: Estimate, max_usd: float) -> dict[StageName, int]:
    """Per stage the micro-dollars that the run may have spent in all by its end."""
    prices = {name: price for name in estimated.stages if (price := estimated.price_of(name))}
    if len(prices) < len(estimated.stages):
        return {}
    cap = math.floor(max_usd * MICROS)
    costs = {name: prices[name].micros(s.expected) for name, s in estimated.stages.items()}
    *earlier, last = costs
    slack = max(prices[name].micros(s.worst_call) - costs[name] / s.calls for name, s in estimated.stages.items())
    held = max(0.0, cap - costs[last])
    rest = max(0.0, held - slack)
    planned = sum(costs[name] for name in earlier) or 1.0
    reached = (min(held, share + slack) for share in accumulate(rest * costs[name] / planned for name in earlier))
    return dict(zip(earlier, map(math.floor, reached), strict=True)) | {last: cap}


def _works(spec: RunSpec, inputs: RunInputs) -> Iterator[Work[Any, Any]]:
    """What each map stage will have to do, with stand-ins for what no model has said yet."""
    yield s1_analyze.work(inputs.videos)
    library = s2_aggregate.aggregate(_patterns(inputs.videos), inputs.videos)
    yield s3_generate.work(library, spec.profile, spec.num_scripts, spec.seed, spec.feedback.s3)
    scripts = [_script(n) for n in range(spec.num_scripts)]
    yield s4_vote.work(scripts, inputs.personas, spec.seed, spec.feedback.s4, spec.rigor)
    best = scripts[: min(spec.top_n, REFINED)]
    viewers = list(islice(cycle(inputs.personas), min(PROPOSERS, len(inputs.personas)) * len(best)))
    edits = [(ItemId(str(n)), Request(p, best[n % len(best)], None)) for n, p in enumerate(viewers)]
    yield Work(EditBrief(spec.profile, BALLOT_LENGTH, spec.seed), tuple(edits))
    rivals = [[script] * PROPOSERS for script in best] if len(viewers) > len(best) else []
    yield refine_compare.choosing(rivals, inputs.personas, spec.seed)
    yield refine_compare.judging([(script, script) for script in best], inputs.personas, spec.seed)
    top = (Placed(script, rank, 0.0) for rank, script in enumerate(scripts[: spec.top_n], start=1))
    yield Work(VoiceBrief(spec.profile, spec.seed), tuple((ItemId(p.script.script_id), p) for p in top))


def _stage(name: StageName, work: Work[Any, Any], room: int) -> StageEstimate:
    count = len(work.items)
    items = work.items if name is StageName.S1 else work.items[:: max(1, len(work.items) // SAMPLE)]
    requests = [MAP_STAGES[name].request(work.shared, item) for _, item in items]
    scale = count / len(requests)
    sizes = [request_tokens(r) for r in requests]
    given = round(scale * sum(sizes))
    prefixes = Counter((r.system, r.shared) for r in requests)
    lengths = {prefix: estimated_tokens("".join(prefix)) for prefix in prefixes}
    repeated = sum(lengths[p] * (n * scale - 1) for p, n in prefixes.items() if lengths[p] >= LEAST_CACHED)
    answer, thought = count * ANSWER_TOKENS[name], round(count * room * THINKING_SHARE)

    def usage(cached: float, length: float, times: float = 1.0) -> Usage:
        out, thinking = round(answer * length * times), round(thought * length * times)
        return Usage(round(given * times), round(repeated * cached), out + thinking, thinking)

    limit = max(r.max_output_tokens for r in requests) + room
    return StageEstimate(
        calls=count,
        low=usage(1.0, SHORT),
        expected=usage(CACHED_SHARE, 1.0),
        high=usage(0.0, LONG, REPEATED),
        worst_call=Usage(math.ceil(max(sizes) * INPUT_MARGIN), 0, limit, room),
    )


def _duration_s(stage: StageEstimate, limits: Limits, offline: bool) -> float:
    """Waves of typical calls, or as long as the declared rates let them out, whichever is slower; offline, none."""
    if offline:
        return 0.0
    latency_s = FIRST_TOKEN_S + stage.expected.output_tokens / stage.calls / TOKENS_PER_S
    tokens = stage.expected.input_tokens + stage.expected.output_tokens
    return max(
        math.ceil(stage.calls / (limits.max_in_flight or IN_FLIGHT)) * latency_s,
        60 * stage.calls / limits.rpm if limits.rpm else 0.0,
        60 * tokens / limits.tpm if limits.tpm else 0.0,
    )


def _patterns(videos: Sequence[Video]) -> list[Pattern]:
    """One a video, spread over the combinations as a collection's are: a dozen or so that recur."""
    kinds = islice(cycle(islice(product(HookType, Pacing, EmotionalArc), 0, None, 5)), len(videos))
    return [
        Pattern(
            video_id=video.video_id,
            hook_type=hook,
            pacing=pacing,
            emotional_arc=arc,
            triggers=tuple(Trigger)[:3],
            hook="You have been told to do this every day, and it is wrong.",
            structure=("opens on the problem", "raises the stakes", "breaks the pattern", "pays it off"),
            pattern_interrupts=3,
            engagement_driver="People want to say whether they agree.",
        )
        for video, (hook, pacing, arc) in zip(videos, kinds, strict=True)
    ]


def _script(number: int) -> CandidateScript:
    """About 30 seconds of speech."""
    spoken = "So I tried it for a week, and what happened on the third day is what nobody tells you about it. "
    return CandidateScript(
        script_id=ScriptId(f"S{number + 1:02d}"),
        pattern_used="question hook, escalating, curiosity gap",
        hook="What if the thing you do every morning is the reason?",
        body=spoken * 3,
        payoff=spoken,
        estimated_duration=30.0,
        structural_notes="",
    )
