"""A run's result made up for these tests: synthetic, seeded, of any size, with any text in it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest

from flair_ray.domain.ballots import Ballot
from flair_ray.domain.calls import CallTally, Usage
from flair_ray.domain.ids import SIX, ItemId, PersonaId, RunId, ScriptId, StageName, VideoId
from flair_ray.domain.patterns import (
    EmotionalArc,
    Exemplar,
    HookType,
    Loop,
    Pacing,
    Pattern,
    PatternEntry,
    PatternLibrary,
    Quote,
    Together,
    Trigger,
)
from flair_ray.domain.people import CreatorProfile, Persona
from flair_ray.domain.refining import Edit, Preference, refinement
from flair_ray.domain.runs import ModelChoice, RunSpec, RunStatus, StageCounts
from flair_ray.domain.scripts import CandidateScript, FinalScript, Shot
from flair_ray.domain.videos import Engagement, Video
from flair_ray.result import Cost, RunResult, Timing
from flair_ray.stages.s5_rank import rank

HOOKS = (
    "You have been watering that plant wrong since the day you bought it.",
    "Nobody believed my balcony could feed four people. Then June happened.",
    "What does a dying fern and your phone battery have in common?",
    "I killed eleven basils before a neighbour told me this.",
    "Stop. Do not throw that avocado stone away.",
    "If your leaves are turning yellow, this is for you.",
    "Three euros. That is all this whole garden cost me.",
    "My landlord said no plants. So I did this instead.",
)
BODY = (
    "Look at the soil, not the calendar. Push a finger in up to the second knuckle; if it comes out clean, wait. "
    "Most of us drown the roots on a schedule, and they rot from below where you never look.\n"
    "Cut to the pot: I tip it out, and half of what should be white is brown."
)
PAYOFF = "Water when it is dry, not when it is Sunday. Tell me which plant you are about to save."
NAMES = ("Maya Lindqvist", "Tomás Herrera", "Aisha Bello", "Ken Watanabe", "Priya Raman", "Luca Ferri", "Nour Haddad")
PLACES = ("Malmö, Sweden", "Bogotá, Colombia", "Lagos, Nigeria", "Osaka, Japan", "Pune, India", "Turin, Italy")
WORK = ("nurse", "student", "line cook", "accountant", "bus driver", "retired teacher")


def _scripts(number: int) -> tuple[CandidateScript, ...]:
    return tuple(
        CandidateScript(
            script_id=ScriptId(f"script-{n:03d}"),
            pattern_used=_entry(n % 6).label,
            hook=HOOKS[n % len(HOOKS)] if n < len(HOOKS) else f"{HOOKS[n % len(HOOKS)]} Part {n}.",
            body=BODY,
            payoff=PAYOFF,
            estimated_duration=18.0 + n % 20,
            structural_notes="The interrupt is the tipped pot at second nine; the question stays open until the end.",
            theme="repotting",
            angle="a mistake nearly everyone makes",
            emotion="relief",
        )
        for n in range(number)
    )


def _personas(number: int) -> tuple[Persona, ...]:
    return tuple(
        Persona(
            persona_id=PersonaId(f"persona-{n:03d}"),
            name=f"{NAMES[n % len(NAMES)]}",
            age=16 + n % 60,
            location=PLACES[n % len(PLACES)],
            occupation=WORK[n % len(WORK)],
            interests=("plants", "cooking"),
            platform_behavior="Scrolls on the bus, saves recipes.",
            attention_style="Leaves after two seconds unless something moves.",
            description="A made-up viewer.",
        )
        for n in range(number)
    )


def _ballots(scripts: tuple[CandidateScript, ...], personas: tuple[Persona, ...]) -> tuple[Ballot, ...]:
    chance = random.Random(7)  # noqa: S311  # test data
    ids = [script.script_id for script in scripts]
    liking = {script_id: chance.gauss(0, 1) for script_id in ids}
    ballots = []
    for persona in personas:
        own = {script_id: liking[script_id] + chance.gauss(0, 0.9) for script_id in ids}
        top = tuple(sorted(ids, key=lambda script_id: -own[script_id])[:5])
        ballots.append(Ballot(persona.persona_id, top, tuple(ids), 0, "I would stay for the pot being tipped out."))
    return tuple(ballots)


def _entry(n: int) -> PatternEntry:
    return PatternEntry(
        pattern_id=f"P{n + 1:02d}",
        hook_type=list(HookType)[n % 4],
        pacing=list(Pacing)[(n + 1) % 4],
        emotional_arc=list(EmotionalArc)[(n // 2) % 4],
        support=31 - 4 * n,
        lift=None if n == 4 else round(1.9 - 0.2 * n, 2),
        weight=(0.32, 0.22, 0.17, 0.13, 0.1, 0.06)[n],
        triggers=(Trigger.CURIOSITY, Trigger.RELATABILITY, Trigger.UTILITY)[: 1 + n % 3],
        structures=(("claim", "proof", "turn", "ask"),),
        exemplars=tuple(
            Exemplar(VideoId(f"video-{n}-{i}"), "The first thing they teach you in the kitchen is how to fail.", quote)
            for i, quote in enumerate(("That pot is the whole trick.", "", "Ask me how I know.")[: 1 + n % 3])
        ),
        rated=0 if n == 4 else 20 - 3 * n,
        lift_per_follower=1.4 if n == 0 else None,
        loop_opens=0.05 if n < 3 else None,
        loop_closes=0.85 if n < 2 else None,
    )


def _pattern(video_id: VideoId) -> Pattern:
    return Pattern(
        video_id,
        HookType.SHOCK,
        Pacing.STEADY,
        EmotionalArc.CURIOSITY_GAP,
        (Trigger.UTILITY,),
        f"Hi from {video_id}.",
        ("claim", "proof"),
        2,
        "A number that nobody expects.",
        2.6,
        Quote("Eleven basils, all dead.", 0.31),
        (
            Loop(Quote("Guess what was in the pot.", 0.1), Quote("It was salt.", 0.92)),
            Loop(Quote("More later.", 0.5), None),
        ),
        quotes=6,
        quotes_dropped=2,
    )


def _final(script: CandidateScript, place: int, score: float) -> FinalScript:
    shots = (
        Shot(
            0.0,
            3.0,
            "Close on a drooping leaf, your hand enters from the left with a watering can.",
            "STOP 🛑",
            f"A can, take {place}.",
        ),
        Shot(3.0, 11.5, "Over the shoulder: a finger pushed into the soil, knuckle deep.", "2nd knuckle"),
        Shot(11.5, 21.0, "The pot is tipped out on newspaper, roots towards the lens.", ""),
    )
    return FinalScript(
        script_id=script.script_id,
        original_script=script,
        hook="Okay plant people: " + script.hook,
        body=script.body.replace("Look at", "Friends, look at"),
        payoff=script.payoff + " Grow on!",
        video_prompt="Vertical 9:16, handheld, warm morning light on a small balcony; a creator in a green apron "
        "tips a terracotta pot onto newspaper, macro of brown roots, quick cut to a healthy plant.",
        shots=shots,
        rank=place,
        vote_score=score,
        personalized=place != 4,
        notes=("Still mentions a topic to avoid: pesticides.",) if place == 3 else (),
    )


def _stages(videos: int, scripts: int, personas: int, top_n: int) -> dict[StageName, StageCounts]:
    totals = dict(zip(SIX, (videos, 1, scripts, personas, 1, top_n), strict=True))
    times = dict(zip(SIX, (4.12, 0.02, 1.4, 2.31, 0.04, 1.2), strict=True))
    return {
        name: StageCounts(
            status="completed",
            total=total,
            completed=total,
            skipped=3 if name is StageName.S1 and total > 3 else 0,
            elapsed_s=times[name],
            tally=CallTally()
            if total == 1
            else CallTally(total, 2, 1, 1, 0, usage=Usage(900 * total, 400 * total, 250 * total)),
        )
        for name, total in totals.items()
    }


def _profile() -> CreatorProfile:
    return CreatorProfile(
        tone="warm, dry, a little impatient with myths",
        vocabulary=("rootbound", "plant people"),
        catchphrases=("Grow on!",),
        topics_to_avoid=("pesticides",),
        niche="balcony gardening",
        content_themes=("watering", "cheap starts"),
    )


def build(
    scripts: int = 20, personas: int = 42, videos: int = 100, top_n: int = 10, provider: str = "offline", **changes: Any
) -> RunResult:
    """A completed run of these sizes; ``changes`` replace fields of the result."""
    candidates, people = _scripts(scripts), _personas(personas)
    ballots = _ballots(candidates, people)
    ranking = rank(ballots, candidates, spoiled=1, personas=people, top_n=top_n, seed=7)
    by_id = {script.script_id: script for script in candidates}
    top_n = min(top_n, scripts)
    stages = _stages(videos, scripts, personas, top_n)
    material = tuple(
        Video(VideoId(f"video-{n}"), "Words said.", "A video", 21.0, Engagement(views=1000)) for n in range(videos)
    )
    patterns = tuple(_pattern(v.video_id) for v in material)
    fields: dict[str, Any] = {
        "run_id": RunId("3f0c1a52-9d5e-4c7b-8a11-0a4f2f6f9b10"),
        "status": RunStatus.COMPLETED,
        "spec": RunSpec(
            profile=_profile(),
            model=ModelChoice(provider, "heuristic-1" if provider == "offline" else "some-model"),
            num_videos=videos,
            num_scripts=scripts,
            num_personas=personas,
            top_n=top_n,
            seed=7,
            inputs_key="inputs",
            fingerprint="fingerprint",
            warnings=("Asked for 120 videos; the folder holds 100, so 100 are used.",),
        ),
        "patterns": patterns[: videos - stages[StageName.S1].skipped],
        "library": PatternLibrary(
            tuple(_entry(n) for n in range(6)),
            videos,
            0.071,
            2.9,
            0.4,
            (Together("question hook", "curiosity gap", 31, 1.8),),
            400,
            12,
        ),
        "scripts": candidates,
        "personas": people,
        "videos": material,
        "ballots": ballots,
        "ranking": ranking,
        "results": tuple(_final(by_id[row.script_id], row.rank, row.score) for row in ranking.top(top_n)),
        "skipped": {
            StageName.S1: {
                ItemId("video-7"): "The answer was cut off at the token limit, twice.",
                ItemId("video-9"): "The answer was cut off at the token limit, twice.",
                ItemId("video-11"): "The model declined to answer.",
            }
        },
        "stages": stages,
        "timing": Timing(3.1, 9.2, {name.value: counts.elapsed_s or 0.0 for name, counts in stages.items()}),
        "cost": Cost(0.0, "the offline provider costs nothing"),
        "completed_at": datetime(2026, 3, 14, 9, 26, 53, tzinfo=UTC),
        "out_dir": None,
        "notices": (),
    }
    return RunResult(**(fields | changes))


HOSTILE = (
    "<script>alert(1)</script></style></title><img src=x onerror=\"alert(2)\">' onload='alert(3)' "
    "\u202eمرحبا\u202c 🌱👩‍👧 {{ 7*7 }} {b} ]]> --> & \\N"
)


def with_edits(result: RunResult, text: str = "Look at the saucer first.") -> RunResult:
    """The same run, had it asked what would change minds: the winner's edit helps, the next one's does nothing."""
    edits = []
    best = [final.original_script for final in result.results[:3]]
    for script, persona in product(best[:2], result.personas[1:3]):
        now = replace(script, hook=text)
        edits.append(Edit(script.script_id, persona.persona_id, text, text, script.hook, text, now))
    who = [f"viewer {n}" for n in range(20)]
    verdicts = [Preference(PersonaId(name), order, (1, order)) for name in who for order in (0, 1)]
    return replace(result, refinement=refinement([script.script_id for script in best], edits, (), verdicts, {}))


def build_hostile() -> RunResult:
    """A run in which every text that comes from outside tries to be markup."""
    result = build(scripts=3, personas=4, videos=5, top_n=2, provider="openai", notices=(HOSTILE,))
    scripts = tuple(
        replace(
            s,
            pattern_used=HOSTILE,
            hook=HOSTILE,
            body=HOSTILE * 30,
            payoff=HOSTILE,
            structural_notes=HOSTILE,
            theme=HOSTILE,
        )
        for s in result.scripts
    )
    finals = tuple(
        replace(
            final,
            original_script=scripts[0],
            hook=HOSTILE,
            body="这是一个没有空格的很长的句子。" * 9,
            payoff="Supercalifragilistic" * 30,
            video_prompt=HOSTILE,
            shots=tuple(
                replace(shot, visual=HOSTILE, on_screen_text=HOSTILE, video_prompt=HOSTILE) for shot in final.shots
            ),
            notes=(HOSTILE,),
        )
        for final in result.results
    )
    assert result.library is not None
    exemplar = Exemplar(VideoId("video-1"), HOSTILE, f"{HOSTILE} more")
    said = Quote(HOSTILE, 0.5)
    found = {"hook": HOSTILE, "engagement_driver": HOSTILE, "structure": (HOSTILE,), "loops": (Loop(said, said),)}
    profile = replace(result.spec.profile, niche=HOSTILE, tone=HOSTILE)
    return replace(
        with_edits(result, HOSTILE),
        scripts=scripts,
        results=finals,
        spec=replace(result.spec, profile=profile, warnings=(HOSTILE,), model=ModelChoice("openai", HOSTILE)),
        library=replace(
            result.library,
            entries=tuple(replace(e, exemplars=(exemplar,), structures=((HOSTILE,),)) for e in result.library.entries),
        ),
        patterns=tuple(
            replace(p, video_id=VideoId(HOSTILE), engagement_quote=said, **found)
            for p in result.patterns  # type: ignore[arg-type]
        ),
        personas=tuple(replace(p, name=HOSTILE, location=HOSTILE, occupation=HOSTILE) for p in result.personas),
        ballots=tuple(replace(ballot, reaction=HOSTILE) for ballot in result.ballots),
        skipped={StageName.S4: {ItemId("persona-9"): HOSTILE}},
        cost=Cost(None, HOSTILE),
    )


def build_partial() -> list[RunResult]:
    """Runs that ended early: after the vote, after the first stage, before anything, and with spare scripts."""
    full = build(scripts=6, personas=5, videos=5, top_n=3)
    nothing = replace(
        full, status=RunStatus.FAILED, patterns=(), library=None, scripts=(), ballots=(), ranking=None, results=(),
        skipped={}, stages={}, completed_at=None, timing=Timing(None, 0.0, {}), cost=Cost(None, "no price is known"),
    )  # fmt: skip
    empty_library = PatternLibrary((), 0, None, None)
    return [
        replace(full, status=RunStatus.CANCELLED, results=(), completed_at=None),
        replace(full, status=RunStatus.CANCELLED, ranking=None, results=(), ballots=full.ballots[:2]),
        replace(nothing, library=empty_library),
        nothing,
        replace(
            full,
            results=full.results[:1],
            scripts=(*full.scripts, replace(full.scripts[0], script_id=ScriptId("late"))),
        ),
    ]


@pytest.fixture(scope="session")
def make_result() -> Callable[..., RunResult]:
    return build


@pytest.fixture(scope="session")
def hostile() -> RunResult:
    return build_hostile()


@pytest.fixture(scope="session", params=range(5), ids=["ranked", "voting", "empty library", "nothing", "late script"])
def partial(request: pytest.FixtureRequest) -> RunResult:
    results = build_partial()
    return results[int(request.param)]


@pytest.fixture(scope="session")
def result() -> RunResult:
    return build()


@pytest.fixture(scope="session")
def edited(result: RunResult) -> RunResult:
    return with_edits(result)
