"""Final tables: everything there, in order, readable at 80 columns, and no text is markup."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flair_ray.domain.calls import CallTally, Usage
from flair_ray.domain.ids import PersonaId, RunId, StageName
from flair_ray.domain.insights import insights
from flair_ray.domain.money import Money, Price
from flair_ray.domain.refining import Edit, Preference, refinement
from flair_ray.domain.runs import StageCounts
from flair_ray.engine.estimate import Estimate, StageEstimate
from flair_ray.inputs import read_videos
from flair_ray.result import Cost, RunResult
from flair_ray.terminal.tables import (
    Check,
    doctor_table,
    edits_table,
    estimate_table,
    ingest_table,
    insights_table,
    ranking_table,
    receipt_table,
    run_document,
    runs_table,
)
from tests.posting import posts

EVIL = "[bold red]not red[/] \x1b[31mred\x1b[0m \x1b]0;title\x07[link=http://x]x"
SHOWN = "[bold red]not red[/] red [link=http://x]x"
RUN_ID = RunId("3f0c1a52-9d5e-4c7b-8a11-0a4f2f6f9b10")


def test_the_ranking_is_in_order_with_its_votes(
    make_result: Callable[..., RunResult], show: Callable[..., str]
) -> None:
    lines = show(ranking_table(make_result())).splitlines()
    assert lines[0].split() == ["#", "hook", "script", "places", "score", "1st", "length"]
    assert [line.split()[0] for line in lines[2:] if line.strip()] == ["1", "2", "3", "4"]
    assert lines[2].split() == ["1", "You", "water", "it", "wrong.", "S0", "1", "15", "3", "21", "s"]
    assert not lines[4].strip(), "a gap below the two that were personalised"


def test_a_long_ranking_is_cut(make_result: Callable[..., RunResult], show: Callable[..., str]) -> None:
    assert len(show(ranking_table(make_result(scripts=60))).splitlines()) == 2 + 20 + 1
    assert len(show(ranking_table(make_result(scripts=60, top_n=30))).splitlines()) == 2 + 30


def test_a_run_without_ranking_has_an_empty_table(show: Callable[..., str], make_result: Callable[..., Any]) -> None:
    assert len(show(ranking_table(replace(make_result(), ranking=None, results=()))).splitlines()) == 2


def test_a_receipt_has_the_estimate_beside_the_cost(
    make_result: Callable[..., RunResult], show: Callable[..., str]
) -> None:
    result = make_result()
    tally = CallTally(4, 1, 1, 1, 2, hedges=1, cache_hits=3, usage=Usage(12_000, 6_000, 900))
    stages = {StageName.S1: StageCounts("completed", 3, 3, tally=tally)}
    money = Money(Price(1.0, 0.1, 4.0, "a test"), estimate_usd={StageName.S1: 0.02})
    paid = replace(result, spec=replace(result.spec, money=money), stages=stages, cost=Cost(0.0102, "a test"))
    lines = show(receipt_table(paid), width=90).splitlines()
    assert lines[2].split() == [
        "Analyze", "videos", "4", "1", "3", "2", "3", "12k", "50%", "900", "$0.0102", "$0.0200",
    ]  # fmt: skip
    assert lines[-1].split()[0] == "all"
    assert lines[-1].split()[-2:] == ["$0.0102", "$0.0200"]


def test_an_estimate_without_a_price_has_no_dollars(show: Callable[..., str]) -> None:
    stage = StageEstimate(3, Usage(10, 0, 5), Usage(10, 0, 10), Usage(11, 0, 20), Usage(5, 0, 9))
    drawn = show(estimate_table(Estimate({StageName.S1: stage}, None, 1.0)), width=80)
    assert drawn.splitlines()[2].split() == [
        "Analyze", "videos", "3", "10", "0", "10", "0", "unknown", "unknown", "unknown",
    ]  # fmt: skip


def test_a_hook_is_text(make_result: Callable[..., RunResult], show: Callable[..., str]) -> None:
    assert SHOWN in show(ranking_table(make_result(hook=EVIL)), width=140)
    coloured = show(ranking_table(make_result(hook=EVIL)), width=140, force_terminal=True, color_system="truecolor")
    assert "\x1b[31m" not in coloured
    assert "\x1b]" not in coloured


def test_a_reading_is_accounted_for(tmp_path: Path, show: Callable[..., str]) -> None:
    table = tmp_path / "videos.csv"
    table.write_text(
        "id,transcript,views,likes,duration\n"
        "a,Words that were said in the first video,1000,100,20\n"
        "b,Other words that were said in another video,3000,300,40\n"
        "a,Words that were said in the first video,1000,100,20\n"
        "c,,5,1,3\n"
    )
    shown = show(ingest_table(read_videos(table, max_transcript_bytes=1000).to_dict()))
    facts = {line.split()[0]: line.split()[1:] for line in shown.splitlines() if line[1] != " "}
    assert (facts["found"], facts["usable"], facts["skipped"], facts["duplicates"]) == (["4"], ["2"], ["1"], ["1"])
    assert "20 s to 40 s, median 30 s (2 known)" in shown
    assert "numbers for 2, median views 2,000, median rate 10.0%" in shown
    assert "1 × " in shown


def test_a_reading_without_numbers(show: Callable[..., str]) -> None:
    unknown = {"known": 0, "minimum": None, "median": None, "maximum": None, "total": None}
    report = {
        "found": 12, "usable": 0, "duplicates": [],
        "skipped": [{"where": f"{EVIL} {n}", "reason": "no transcript"} for n in range(12)],
        "durations_s": unknown, "words": unknown,
        "engagement": {"known": 0, "median_views": None, "median_rate": None},
    }  # fmt: skip
    shown = show(ingest_table(report), width=140)
    assert f"12 × no transcript ({SHOWN} 0, …)" in shown
    assert shown.count("not known") == 2
    assert "no numbers" in shown


def row(status: str, **changes: Any) -> dict[str, Any]:
    facts = {
        "run_id": RUN_ID,
        "status": status,
        "current_stage": None,
        "stages": {"S1_MAP": "completed"},
        "error": None,
    }
    facts |= {"created_at_ms": 1_760_000_000_000, "finished_at_ms": None, "calls": 1234}
    return facts | {"provider": "offline", "model": "offline-heuristic"} | changes


RUNS = [
    row("completed", finished_at_ms=1_760_000_012_300),
    row("running", current_stage="S4_MAP"),
    row("failed", error=EVIL, finished_at_ms=1_760_000_100_000),
]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_runs_show_whole_ids_one_line_each(show: Callable[..., str], width: int) -> None:
    lines = show(runs_table(RUNS), width=width).splitlines()[2:]
    assert [line.split()[0] for line in lines] == [RUN_ID] * 3


def test_runs_say_where_they_stand(show: Callable[..., str]) -> None:
    done, running, failed = show(runs_table(RUNS), width=120).splitlines()[2:]
    assert done.split()[1::3] == ["completed", "12.3s"]
    assert done.split()[-1] == "1,234"
    assert running.split()[1] == "running"
    assert running.rstrip().endswith("Panel votes")
    assert "[bold red]not red" in failed
    assert "1,234" in show(runs_table(RUNS), width=80).splitlines()[2], "nothing is cut at 80 columns but the note"


def test_a_run_as_json_has_the_fields_of_the_contract() -> None:
    shown = run_document(row("running", current_stage="S1_MAP"))
    assert shown["run_id"] == RUN_ID
    assert (shown["status"], shown["current_stage"], shown["stages"]) == ("running", "S1_MAP", {"S1_MAP": "completed"})
    assert (shown["created_at"], shown["finished_at"]) == ("2025-10-09T08:53:20+00:00", None)


def test_checks_say_what_to_do_only_where_something_is_missing(show: Callable[..., str]) -> None:
    checks = [
        Check("python", True, "3.12.1", "Use Python 3.11 or newer."),
        Check("redis", False, f"no server {EVIL}", "Install one."),
        Check("openai key", None, "not set", "Export OPENAI_API_KEY."),
    ]
    lines = [" ".join(line.split()) for line in show(doctor_table(checks), width=140).splitlines()[2:]]
    assert lines == [
        "ok python 3.12.1",
        f"no redis no server {SHOWN} Install one.",
        "- openai key not set Export OPENAI_API_KEY.",
    ]


def test_what_was_learned_fits_and_is_no_markup(show: Callable[..., str]) -> None:
    shown = show(insights_table(insights([*posts(12), *posts(12, platform="x", pattern_used=EVIL)])))
    lines = shown.splitlines()
    assert lines[0].split() == ["scripts", "rate", "×", "usual", "range"]
    assert all(len(line) <= 80 for line in lines)
    assert "shock hook, steady, surprise reveal" in " ".join(shown.split())
    assert SHOWN.split(",", maxsplit=1)[0] in " ".join(shown.split())
    assert "\x1b" not in shown


def test_edits_show_before_and_after_with_the_share_that_prefers_them(
    make_result: Callable[..., RunResult], show: Callable[..., str]
) -> None:
    result = make_result()
    script, evil = result.scripts[0], "\x1b[31mSay this[/red]"
    edit = Edit(script.script_id, PersonaId("p1"), "Ada", "No.", script.hook, evil, script)
    picks = [Preference(PersonaId(f"v{n}"), order, (1,)) for n in range(9) for order in (0, 1)]
    asked = replace(result, refinement=refinement([script.script_id], [edit], (), picks, {}))
    text = show(edits_table(asked), width=120)
    assert "Say this[/red]" in text
    assert "\x1b" not in text
    assert "100% (70% to 100%)" in text
    assert "clearly better" in text
    assert edits_table(result).row_count == 0
