"""Synthetic logs and results for the terminal's tests: made here, deterministic, no run behind them."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from flair_ray.domain.ballots import Ballot
from flair_ray.domain.calls import CallTally
from flair_ray.domain.events import Event, Json
from flair_ray.domain.ids import PersonaId, RunId, ScriptId, StageName
from flair_ray.domain.people import CreatorProfile
from flair_ray.domain.runs import ModelChoice, RunSpec, RunStatus, StageCounts
from flair_ray.domain.scripts import CandidateScript, FinalScript
from flair_ray.result import Cost, RunResult, Timing
from flair_ray.stages.s5_rank import rank

T0 = 1_760_000_000_000
"""When every log of these tests begins, milliseconds since the epoch."""


class Log:
    """Events one after the other, as a store would append them; ``at`` is seconds after the run's start."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def add(self, at: float, name: str, /, **data: Json) -> Event:
        event = Event(f"{T0 + round(at * 1000)}-{len(self.events)}", name, dict(data))
        self.events.append(event)
        return event

    def begin(self, videos: int = 4, scripts: int = 5, personas: int = 3, top_n: int = 2, **data: Json) -> None:
        asked: dict[str, Json] = {"total_videos": videos, "total_scripts": scripts, "total_personas": personas}
        more: dict[str, Json] = {"run_id": "3f0c1a52-9d5e", "provider": "offline", "model": "heuristic-1"}
        self.add(0, "pipeline_started", **(asked | more | {"top_n": top_n, "warnings": []} | data))

    def stage(self, at: float, stage: StageName, total: int) -> None:
        self.add(at, "stage_started", stage=stage.value, total_items=total)

    def end_stage(self, at: float, stage: StageName) -> None:
        self.add(at, "stage_completed", stage=stage.value, used=0, skipped=0)

    def video(self, at: float, number: int, total: int, hook_type: str = "story") -> None:
        self.add(at, "s1_progress", video_id=f"v{number}", completed=number, total=total, hook_type=hook_type)


def whole_run() -> Log:
    """4 videos (one skipped), 5 scripts, 3 voters, 2 results; 9 seconds."""
    log = Log()
    log.begin(warnings=["Only 4 videos were found; 4 are used."])
    log.stage(1, StageName.S1, 4)
    for n in range(1, 5):
        log.add(1, "s1_task_started", video_id=f"v{n}", description=f"Video number {n}")
    for n in range(1, 4):
        log.video(1 + n * 0.5, n, 4, ["story", "question", "story"][n - 1])
    log.add(3.0, "s1_video_skipped", video_id="v4", reason="The model declined to answer.", completed=4, total=4)
    log.end_stage(3.0, StageName.S1)
    log.stage(3.0, StageName.S2, 1)
    log.add(3.1, "s2_complete", pattern_count=2)
    log.end_stage(3.1, StageName.S2)
    log.stage(3.1, StageName.S3, 5)
    for n in range(1, 6):
        log.add(3.1, "s3_task_started", script_id=f"S0{n}", pattern_used="p", theme="t")
    for n in range(1, 6):
        log.add(3.1 + n * 0.4, "s3_progress", script_id=f"S0{n}", hook=f"Hook of script {n}", completed=n, total=5)
    log.end_stage(5.1, StageName.S3)
    log.stage(5.1, StageName.S4, 3)
    for n in range(1, 4):
        log.add(5.1, "s4_task_started", persona_id=f"p{n}", name=f"Viewer {n}")
    ballots: list[list[Json]] = [
        ["S03", "S01", "S02", "S04", "S05"],
        ["S03", "S02", "S01", "S05", "S04"],
        ["S01", "S03", "S05", "S04", "S02"],
    ]
    for n, top in enumerate(ballots, start=1):
        log.add(5.1 + n, "vote_cast", persona_id=f"p{n}", persona_name=f"Viewer {n}", top_5=top, completed=n, total=3)
    log.end_stage(8.1, StageName.S4)
    log.stage(8.1, StageName.S5, 1)
    log.add(8.2, "s5_complete", top_ids=["S03", "S01"], top_n=2)
    log.end_stage(8.2, StageName.S5)
    log.stage(8.2, StageName.S6, 2)
    for n, script_id in enumerate(("S03", "S01"), start=1):
        log.add(8.2, "s6_task_started", script_id=script_id, rank=n)
    for n, script_id in enumerate(("S03", "S01"), start=1):
        log.add(8.2 + n * 0.4, "s6_progress", script_id=script_id, completed=n, total=2)
    log.end_stage(9.0, StageName.S6)
    log.add(9.0, "pipeline_complete", run_id="3f0c1a52-9d5e", result_count=2)
    return log


def a_result(hook: str = "You water it wrong.", scripts: int = 4, top_n: int = 2) -> RunResult:
    """A completed run whose first script's hook is ``hook``; script S0 wins, then S1, and so on."""
    candidates = tuple(
        CandidateScript(ScriptId(f"S{n}"), "a pattern", hook if n == 0 else f"Hook {n}", "Body", "Payoff", 21.4, "x")
        for n in range(scripts)
    )
    ids = tuple(script.script_id for script in candidates)
    ballots = [Ballot(PersonaId(f"p{n}"), ids[: 5 - n % 2], ids, 0) for n in range(3)]
    ranking = rank(ballots, candidates)
    finals = tuple(
        FinalScript(s.script_id, s, s.hook, s.body, s.payoff, "", (), row.rank, row.score)
        for row in ranking.top(top_n)
        for s in candidates
        if s.script_id == row.script_id
    )
    profile = CreatorProfile("warm", (), (), ())
    spec = RunSpec(profile, ModelChoice("offline", "heuristic-1"), 4, scripts, 3, top_n, 7, "inputs", "fingerprint")
    fields: dict[str, Any] = {
        "run_id": RunId("3f0c1a52-9d5e-4c7b-8a11-0a4f2f6f9b10"),
        "status": RunStatus.COMPLETED,
        "spec": spec,
        "scripts": candidates,
        "ballots": tuple(ballots),
        "ranking": ranking,
        "results": finals,
        "skipped": {},
        "stages": {StageName.S4: StageCounts("completed", 3, 3, 0, 1.5, CallTally(calls=1234))},
        "timing": Timing(1.0, 9.0, {}),
        "cost": Cost(0.0, "the offline provider costs nothing"),
        "completed_at": datetime(2026, 3, 14, 9, 26, 53, tzinfo=UTC),
        "out_dir": None,
        "library": None,
        **dict.fromkeys(("patterns", "personas", "videos"), ()),
    }
    return RunResult(**fields)


def printed(*things: object, width: int = 100, **options: Any) -> str:
    """What a console that is no terminal (unless asked) writes for these."""
    stream = io.StringIO()
    console = Console(file=stream, width=width, **options)
    for thing in things:
        console.print(thing)
    return stream.getvalue()


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def run_log() -> list[Event]:
    return whole_run().events


@pytest.fixture(scope="session")
def make_result() -> Callable[..., RunResult]:
    return a_result


@pytest.fixture(scope="session")
def show() -> Callable[..., str]:
    return printed
