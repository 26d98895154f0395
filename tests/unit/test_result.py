"""A run's result in a reader's hands: the JSON document, the table, the data frame, the notebook cell."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from flair_ray.domain.ballots import Ballot
from flair_ray.domain.calls import CallTally, Usage
from flair_ray.domain.ids import PersonaId, RunId, ScriptId, StageName, VideoId
from flair_ray.domain.patterns import EmotionalArc, HookType, Loop, Pacing, Pattern, Quote
from flair_ray.domain.people import CreatorProfile
from flair_ray.domain.ranking import rank
from flair_ray.domain.runs import ModelChoice, RunSpec, RunStatus, StageCounts
from flair_ray.domain.scripts import CandidateScript, FinalScript, Shot
from flair_ray.domain.videos import Video
from flair_ray.errors import InfrastructureError
from flair_ray.result import OFFLINE_NOTICE, PRESCREEN_NOTICE, SAME_MODEL_NOTICE, Cost, RunResult, Timing
from flair_ray.stages import s5_rank
from flair_ray.stages.s2_aggregate import aggregate


@pytest.fixture
def result() -> RunResult:
    """Three scripts, two ballots, the best two personalised; results given in the wrong order."""
    profile = CreatorProfile("dry", ("pot",), ("Grow on!",), ())
    spec = RunSpec(profile, ModelChoice("offline", "heuristic"), 2, 3, 2, 2, 7, "key", "print", warnings=("Clamped.",))
    ids = [ScriptId(name) for name in ("one", "two", "three")]
    scripts = tuple(CandidateScript(i, "a pattern", f"<b>{i}</b>", "Body.", "Payoff.", 20.0, "") for i in ids)
    ballots = tuple(Ballot(PersonaId(name), (ids[1], ids[0], ids[2]), tuple(ids), 0) for name in ("ana", "ben"))
    ranking = rank(ballots, scripts, spoiled=1)
    shots = (Shot(0.0, 3.0, "A pot.", ""),)
    finals = [
        FinalScript(r.script_id, scripts[ids.index(r.script_id)], "Hey!", "B.", "P.", "Film.", shots, r.rank, r.score)
        for r in ranking.top(2)
    ]
    stages = {
        StageName.S3: StageCounts("completed", 3, 3, 0, 1.5, CallTally(4, 1, 1, 0, 0, usage=Usage(100, 0, 50))),
        StageName.S4: StageCounts("completed", 3, 3, 1, 2.5, CallTally(3, 0, 0, 0, 1, usage=Usage(10, 5, 5))),
    }
    return RunResult(
        RunId("3f0c1a52-9d5e-4c7b-8a11-0a4f2f6f9b10"), RunStatus.COMPLETED, spec, (), None, scripts, (), (), ballots,
        ranking, tuple(reversed(finals)), {}, stages, Timing(None, 4.0, {"S3_SEQUENTIAL": 1.5}), Cost(None, "no price"),
        None, None, notices=("Mind the gap.",),
    )  # fmt: skip


def test_results_are_sorted_by_rank_whatever_order_they_came_in(result: RunResult) -> None:
    assert [final.rank for final in result.results] == [1, 2]


def test_the_document_has_the_fields_that_clients_know(result: RunResult) -> None:
    document = json.loads(json.dumps(result.document()))
    assert (document["run_id"], document["status"]) == (result.run_id, "completed")
    first = document["results"][0]
    assert first["original_script"] == {
        "script_id": "two", "pattern_used": "a pattern", "hook": "<b>two</b>", "body": "Body.", "payoff": "Payoff.",
        "estimated_duration": 20.0, "structural_notes": "", "theme": "", "angle": "", "emotion": "",
    }  # fmt: skip
    assert (first["script_id"], first["rank"], first["vote_score"]) == ("two", 1, 10.0)
    assert first["personalized_script"] == "Hey!\n\nB.\n\nP."
    assert document["ranking"]["spoiled"] == 1
    assert [row["script_id"] for row in document["ranking"]["rows"]] == ["two", "one", "three"]
    assert document["calls"] == {
        "total": 7,
        "by_stage": {
            "S3_SEQUENTIAL": {
                "calls": 4,
                "failed": 1,
                "retries": 1,
                "reasks": 0,
                "rejected_429": 0,
                "hedges": 0,
                "cache_hits": 0,
            },
            "S4_MAP": {
                "calls": 3,
                "failed": 0,
                "retries": 0,
                "reasks": 0,
                "rejected_429": 1,
                "hedges": 0,
                "cache_hits": 0,
            },
        },
    }
    assert document["tokens"]["input_tokens"] == 110
    unknown = dict.fromkeys(("usd", "unsure_usd", "max_usd", "estimated_usd"))
    assert document["cost"] == {**unknown, "basis": "no price"}
    assert document["timing"] == {"startup_s": None, "pipeline_s": 4.0, "per_stage": {"S3_SEQUENTIAL": 1.5}}
    assert document["warnings"] == ["Clamped."]
    assert document["creator_profile"].keys() == {
        "tone", "vocabulary", "catchphrases", "topics_to_avoid", "niche", "audience_description", "content_themes",
        "example_hooks", "recent_topics",
    }  # fmt: skip


def test_what_a_result_is_not_is_said_with_it(result: RunResult) -> None:
    assert result.disclosures == (PRESCREEN_NOTICE, OFFLINE_NOTICE, "Mind the gap.")
    real = replace(result, spec=replace(result.spec, model=ModelChoice("openai", "m")), notices=(PRESCREEN_NOTICE,))
    assert real.disclosures == (PRESCREEN_NOTICE, SAME_MODEL_NOTICE)


def test_the_table_prefers_the_creators_voice(result: RunResult) -> None:
    rows = result.table()
    assert [(row.rank, row.hook, row.personalized) for row in rows] == [
        (1, "Hey!", True),
        (2, "Hey!", True),
        (3, "<b>three</b>", False),
    ]
    assert [row.first_choices for row in rows] == [2, 0, 0]


def test_drafts_are_what_is_left(result: RunResult) -> None:
    late = replace(result.scripts[0], script_id=ScriptId("late"))
    assert [(r, s.script_id) for r, s in replace(result, scripts=(late, *result.scripts)).drafts()] == [
        (3, "three"),
        (None, "late"),
    ]


def test_to_pandas_has_a_row_per_ranked_script(result: RunResult) -> None:
    pytest.importorskip("pandas")
    frame = result.to_pandas()
    assert list(frame["script_id"]) == ["two", "one", "three"]
    assert frame["vote_score"].dtype == float
    empty = replace(result, ranking=None, results=()).to_pandas()
    assert list(empty.columns) == list(frame.columns)
    assert len(empty) == 0


def test_to_pandas_has_what_was_found_in_the_videos_and_each_pair(result: RunResult) -> None:
    pytest.importorskip("pandas")
    assert [len(result.to_pandas(of)) for of in ("patterns", "videos", "pairs")] == [0, 0, 3]  # type: ignore[arg-type]
    assert result.to_pandas("pairs").isna().all(axis=None)
    whole = with_library(result)
    ranking = s5_rank.rank(result.ballots, result.scripts, top_n=2)
    videos, patterns = whole.to_pandas("videos"), whole.to_pandas("patterns")
    assert list(videos["label"]) == list(patterns["label"]) == ["question hook, steady, curiosity gap"]
    assert videos["engagement_quote"][0] == {"text": "A pot.", "at": 0.2}
    assert (videos["quotes"][0], videos["quotes_dropped"][0]) == (3, 1)
    assert patterns["exemplars"][0] == [{"video_id": "v1", "hook": "<i>Why?</i>", "quote": "A pot."}]
    pairs = replace(result, ranking=ranking).to_pandas("pairs")
    assert ranking.evidence is not None
    assert pairs.loc["two", "one"] == ranking.evidence.above[0][1]
    assert (pairs.index == pairs.columns).all()


def with_library(result: RunResult) -> RunResult:
    kind = (HookType.QUESTION, Pacing.STEADY, EmotionalArc.CURIOSITY_GAP)
    said = Quote("A pot.", 0.2)
    found = Pattern(VideoId("v1"), *kind, (), "<i>Why?</i>", ("ask",), 1, "x", None, said, (Loop(said, None),), 3, 1)
    return replace(result, patterns=(found,), library=aggregate([found], [Video(VideoId("v1"), "Why? A pot.")]))


def test_without_pandas_the_error_says_what_to_install(result: RunResult, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InfrastructureError, match=r"pip install 'flair_ray\[pandas\]'"):
        result.to_pandas()


def test_the_notebook_cell_escapes_what_it_shows(result: RunResult) -> None:
    tags: list[str] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.append(tag)

    html = replace(result, results=(), notices=("<img src=x onerror=alert(1)>",))._repr_html_()
    Tags().feed(html)
    assert set(tags) == {"div", "p", "b", "table", "thead", "tbody", "tr", "th", "td", "small"}
    assert "&lt;b&gt;two&lt;/b&gt;" in html
    assert PRESCREEN_NOTICE in html
    assert len([tag for tag in tags if tag == "tr"]) == 4
    html = with_library(result)._repr_html_()
    for shown in (
        "question hook, steady, curiosity gap</td><td>1</td><td>no numbers</td>",
        "“&lt;i&gt;Why?&lt;/i&gt;”",
        "Quotes that no transcript has, left out: 1 of 3.",
    ):
        assert shown in html
    ranked = replace(result, ranking=s5_rank.rank(result.ballots, result.scripts, top_n=2))
    assert "Agreement: W 1.00, where dice stay under" in ranked._repr_html_()


def test_repr_is_short(result: RunResult) -> None:
    assert repr(result) == f"<RunResult {result.run_id} completed: 2 results, 7 calls, 4.0 s, unknown cost>"


def test_importing_results_and_outputs_loads_no_ray_redis_or_pandas() -> None:
    code = (
        "import sys, flair_ray.result, flair_ray.outputs\n"
        "print(sorted({'ray', 'redis', 'pandas', 'boto3', 'openai'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_whoever_reads_a_ranking_is_told_what_the_late_ballots_could_do(result: RunResult) -> None:
    one, two, three = (script.script_id for script in result.scripts)

    def notes(late: int, came: int, counted: int = 2) -> list[str]:
        ballots = tuple(Ballot(PersonaId(f"v{i}"), (two, one), (one, two, three), 0) for i in range(counted))
        slow = tuple(Ballot(PersonaId(f"w{i}"), (three,), (one, two, three), 0) for i in range(came))
        ranking = rank(ballots, result.scripts, late=late)
        made = replace(result, ballots=ballots, ranking=ranking, late_ballots=slow)
        return [note for note in made.disclosures if "had not come" in note]

    assert notes(late=0, came=0) == []
    assert "the best 2 would be the same" in notes(late=1, came=0)[0]  # 8 points against 0: one ballot brings five
    (note,) = notes(late=2, came=0)
    assert note.endswith("They could change which 2 are the best.")
    assert notes(late=2, came=1)[0].endswith("With the 1 that came since, they would be the same.")
    assert notes(late=3, came=2)[0].endswith("With the 2 that came since, 1 of them would be others.")
