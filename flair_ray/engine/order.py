"""From what somebody asks for to a run that can be recorded: checked, clamped, fingerprinted.

More videos than exist, or more results than scripts, is less than was hoped for and no mistake: it is
clamped, and the run says so. A count that makes no sense is an InputError before anything is spent.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import TypeVar

from flair_ray.config import Settings
from flair_ray.domain import answers
from flair_ray.domain.codec import adapter, encode
from flair_ray.domain.events import EventDraft, EventName
from flair_ray.domain.ids import RunId, StageName, digest
from flair_ray.domain.money import MOST_USD, Money, Price
from flair_ray.domain.panel import default_panel
from flair_ray.domain.people import CreatorProfile, Persona
from flair_ray.domain.rigor import Rigor
from flair_ray.domain.runs import VOTING, Feedback, Limits, ModelChoice, RunInputs, RunSpec
from flair_ray.domain.videos import Video
from flair_ray.engine.estimate import allowances, estimate
from flair_ray.errors import InputError
from flair_ray.prompts import prompts_version
from flair_ray.providers.prices import known_price, thinking_tokens

T = TypeVar("T")
ANSWER_MODELS = (
    answers.VideoAnalysis,
    answers.ScriptDraft,
    answers.ballot_form(("A", "B")),
    answers.EditDraft,
    answers.comparison_form(answers.ChoiceForm, (("A", "B"),)),
    answers.comparison_form(answers.VerdictForm, (("A", "B"),)),
    answers.PersonalizedDraft,
)


_MATERIAL = {"inputs_key": "videos or personas"}
_NO_OTHER_ORDER = {"fingerprint", "cache", "limits", "voter_limits", "feedback", "warnings", "money"}


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody asks for. Counts are wishes; ``prepare`` makes them facts."""

    profile: CreatorProfile
    videos: tuple[Video, ...]
    personas: tuple[Persona, ...]
    model: ModelChoice
    num_videos: int = 100
    num_scripts: int = 20
    num_personas: int = 42
    top_n: int = 10
    seed: int = 7
    cache: bool = True
    limits: Limits = field(default_factory=Limits)
    max_usd: float | None = None
    price: Price | None = None
    voter_model: ModelChoice | None = None
    """Who votes; None: the model that writes."""
    voter_limits: Limits = field(default_factory=Limits)
    rigor: Rigor = Rigor.STANDARD
    refine: bool = False
    session_id: str = "anonymous"
    feedback: Feedback = field(default_factory=Feedback)
    video_model: str | None = None
    version: str = ""
    """Of prompts and answers, where stages are not the studio's own."""
    remarks: tuple[str, ...] = ()
    """What was left out while reading the input: becomes part of the run's warnings."""


@cache
def answers_version() -> str:
    """Of the prompts and the answer schemas: runs under different ones do not mix."""
    schemas = (json.dumps(m.model_json_schema(), sort_keys=True) for m in ANSWER_MODELS)
    return digest(prompts_version(), *schemas, length=12)


def prepare(order: Order, settings: Settings) -> tuple[RunSpec, RunInputs]:
    """The spec and inputs of a run. Raises InputError as ``check`` does."""
    check(order, settings)
    if order.voter_model == order.model:
        order = replace(order, voter_model=None)
    warnings = list(order.remarks)
    videos = _distinct("videos", order.videos, lambda v: v.video_id, warnings)[: order.num_videos]
    personas = _distinct("personas", order.personas, lambda p: p.persona_id, warnings)
    if order.num_videos > len(videos):
        warnings.append(f"{order.num_videos} videos were asked for, {len(videos)} are there: using {len(videos)}.")
    panel = default_panel(personas, order.num_personas, order.seed)
    if order.num_personas > len(panel):
        warnings.append(f"{order.num_personas} personas were asked for, {len(panel)} are there: using {len(panel)}.")
    top_n = min(order.top_n, order.num_scripts)
    if top_n < order.top_n:
        warnings.append(f"{order.top_n} results were asked for from {order.num_scripts} scripts: giving {top_n}.")
    inputs = RunInputs(videos, panel)
    spec = RunSpec(
        profile=order.profile,
        model=order.model,
        num_videos=len(videos),
        num_scripts=order.num_scripts,
        num_personas=len(panel),
        top_n=top_n,
        seed=order.seed,
        inputs_key=digest(encode(inputs), length=32),
        fingerprint="",
        session_id=order.session_id,
        cache=order.cache,
        limits=order.limits,
        feedback=order.feedback,
        voter_model=order.voter_model,
        voter_limits=order.voter_limits,
        rigor=order.rigor,
        refine=order.refine,
        video_model=order.video_model,
        warnings=tuple(warnings),
    )
    return replace(spec, fingerprint=_fingerprint(spec, order.version), money=_money(order, spec, inputs)), inputs


def _money(order: Order, spec: RunSpec, inputs: RunInputs) -> Money:
    """The price that was given, else the one that is known; the cap's shares, from what the run is expected to take."""
    price, voters = order.price or known_price(order.model), order.voter_model
    money = Money(price, order.max_usd, thinking_tokens=thinking_tokens(order.model))
    if voters:
        rates: dict[StageName, Price | None] = dict.fromkeys(VOTING, known_price(voters))
        room = dict.fromkeys(VOTING, thinking_tokens(voters))
        money = replace(money, stage_prices=rates, stage_thinking=room)
    if not money.known or money.free:
        return money
    expected = estimate(replace(spec, money=money), inputs, more=False)
    capped = {} if order.max_usd is None else allowances(expected, order.max_usd)
    return replace(money, estimate_usd=expected.stage_usd(), allowances=capped)


def _distinct(kind: str, items: Sequence[T], id_of: Callable[[T], str], warnings: list[str]) -> tuple[T, ...]:
    """The first of each id. Results are recorded by id: two items of one id would be paid for and one lost."""
    firsts: dict[str, T] = {}
    for item in items:
        firsts.setdefault(id_of(item), item)
    if repeated := len(items) - len(firsts):
        warnings.append(f"{repeated} of the {kind} had the id of an earlier one: left out.")
    return tuple(firsts.values())


def _fingerprint(spec: RunSpec, version: str) -> str:
    decides = replace(spec, session_id="", cache=True, limits=Limits(), money=Money(), warnings=())
    said = (
        adapter(RunSpec)
        .dump_json(decides, exclude={"feedback", "video_model", "voter_model", "voter_limits", "rigor", "refine"})
        .decode()
    )
    voters = encode(spec.voter_model) if spec.voter_model else ""
    rigor = "" if spec.rigor is Rigor.STANDARD else spec.rigor.value
    refine = "refine" if spec.refine else ""
    told = [
        text for text in (spec.feedback.s3, spec.feedback.s4, voters, rigor, refine) if text
    ]  # none: as before there was any
    return f"{version or answers_version()}-{digest(said, *told, length=12)}"


def check(order: Order, settings: Settings) -> None:
    """Raises InputError for counts below 1 or above the settings' bounds, and for a cap that nobody can keep."""
    if not order.videos or not order.personas:
        raise InputError("A run needs at least one video and one persona.")
    bounds = {
        "num_videos": settings.max_videos,
        "num_scripts": settings.max_scripts,
        "num_personas": settings.max_personas,
        "top_n": settings.max_scripts,
    }
    available = {"num_videos": len(order.videos), "top_n": max(order.num_scripts, 1)}  # more is clamped, not refused
    for name, most in bounds.items():
        count: int = getattr(order, name)
        count = min(count, available.get(name, count))
        option = "--" + name.replace("_", "-")
        if count < 1:
            raise InputError(f"{option} must be at least 1, not {count}.")
        if count > most:
            raise InputError(f"{option} {count} is above the limit of {most}.")
    for name in ("max_in_flight", "rpm", "tpm"):
        limit: int | None = getattr(order.limits, name)
        if limit is not None and limit < 1:
            raise InputError(f"--{name.replace('_', '-')} must be at least 1, not {limit}.")
    if order.max_usd is not None and not 0 < order.max_usd <= MOST_USD:
        raise InputError(
            f"--max-usd must be a number of dollars above 0, at most {MOST_USD:,.0f}, not {order.max_usd:g}."
        )
    if order.max_usd is not None and (order.price or known_price(order.model)) is None:
        raise InputError(
            f"--max-usd cannot be kept: nobody here knows the price of {order.model.model}. "
            "Give it with --price IN/OUT, in dollars per million tokens."
        )
    voters = order.voter_model if order.voter_model != order.model else None
    if order.max_usd is not None and voters and known_price(voters) is None:
        raise InputError(
            f"--max-usd cannot be kept: nobody here knows the price of {voters.model}. Choose another --voter-model."
        )


def differences(known: RunSpec, asked: RunSpec) -> list[str]:
    """The options in which a run that exists differs from what is asked for now; none: it is the same order.

    What says how fast and not what, and what earlier results have taught since, makes no other order.
    """
    names = [f.name for f in fields(RunSpec) if f.name not in _NO_OTHER_ORDER]
    found = [_MATERIAL.get(name, name) for name in names if getattr(known, name) != getattr(asked, name)]
    return found + ["max_usd"] * (known.money.max_usd != asked.money.max_usd)


def first_event(run_id: RunId, spec: RunSpec) -> EventDraft:
    """``pipeline_started``: the first entry of every run's log."""
    return EventDraft(
        EventName.PIPELINE_STARTED,
        {
            "run_id": run_id,
            "total_videos": spec.num_videos,
            "total_scripts": spec.num_scripts,
            "total_personas": spec.num_personas,
            "top_n": spec.top_n,
            "provider": spec.model.provider,
            "model": spec.model.model,
            "warnings": list(spec.warnings),
        },
    )
