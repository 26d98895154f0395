"""The HTML pages: nothing of what they show becomes markup, they load nothing, and their pictures are right."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from flair_ray.domain.evidence import Effect, Reliability
from flair_ray.domain.ranking import rank, weights_of
from flair_ray.outputs.pages import (
    MATRIX_VOTERS,
    MOST_PAIRED,
    MOST_VIDEOS,
    ranking_bars,
    report_html,
    stage_lines,
    teleprompter_html,
    vote_matrix,
)
from flair_ray.result import RunResult
from flair_ray.stages import s5_rank

OWN_TAGS = frozenset(
    """
    html head meta title link style script body a header footer nav aside main section article div p span b br bdi
    h1 h2 h3 h4 ul ol li dl dt dd figure figcaption blockquote time details summary table thead tbody tr th td small
    svg rect text defs pattern g button output del ins caption
    """.split()  # noqa: SIM905  # shorter to read
)
VOID = frozenset({"meta", "link", "br"})


class Page(HTMLParser):
    """What a browser would make of a page: its elements, their attributes, its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.raw: dict[str, str] = {}
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> without a start"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("style", "script"):
            self.raw[self.open[-1]] = self.raw.get(self.open[-1], "") + data
        else:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    @property
    def policy(self) -> str:
        return next(value for _, name, value in self.attributes if name == "content" and "default-src" in value)


def pages(result: RunResult) -> list[Page]:
    return [Page(report_html(result)), *(Page(teleprompter_html(final, 20.0)) for final in result.results)]


def sha(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_an_edit_stands_with_its_script_and_says_what_it_brought(edited: RunResult) -> None:
    report, *_ = pages(edited)
    assert edited.refinement is not None
    for trial in edited.refinement.trials:
        assert trial.summary in report.text
        assert trial.edit.passage in report.text
    assert report.text.count("What would change your mind?") == 2
    assert "Ask for edits" not in report.text  # this run's stages are six


def test_hostile_text_stays_text(hostile: RunResult) -> None:
    for page in pages(hostile):
        assert page.tags.keys() <= OWN_TAGS
        assert page.open == []
        assert "<script>alert(1)</script></style></title>" in page.text
        assert "{{ 7*7 }}" in page.text
        assert not [name for _, name, _ in page.attributes if name.startswith("on") or name == "style"]
    report, *prompters = pages(hostile)
    assert report.tags["script"] == 0
    assert {page.tags["script"] for page in prompters} == {1}


def test_pages_load_nothing_and_run_only_their_own_script(result: RunResult) -> None:
    for page in pages(result):
        loads = [v for _, name, v in page.attributes if name in ("src", "href", "action", "srcset", "data")]
        assert not [v for v in loads if re.match(r"[a-z]+:|//", v) and v != "data:,"]
        assert "url(" not in page.raw["style"].replace("url(#", "")
        assert "@import" not in page.raw["style"]
        assert page.policy.startswith("default-src 'none'")
        assert f"style-src 'sha256-{sha(page.raw['style'])}'" in page.policy
        assert ("script-src" in page.policy) == ("script" in page.raw)
        if "script" in page.raw:
            assert f"script-src 'sha256-{sha(page.raw['script'])}'" in page.policy


def test_links_of_the_report_lead_somewhere(result: RunResult) -> None:
    page = Page(report_html(result))
    ids = {value for _, name, value in page.attributes if name == "id"}
    anchors = {value[1:] for _, name, value in page.attributes if name == "href" and value.startswith("#")}
    assert anchors <= ids
    assert len(ids) == sum(name == "id" for _, name, _ in page.attributes)


def test_the_report_shows_each_script_in_both_versions(result: RunResult) -> None:
    page = Page(report_html(result))
    for final in result.results:
        shot = final.shots[0]
        for shown in (final.hook, final.original_script.hook, final.video_prompt, shot.visual, shot.video_prompt):
            assert " ".join(shown.split()) in page.text
    assert "repotting: a mistake nearly everyone makes, to leave a viewer with relief." in page.text
    assert "Original text, not personalised" in page.text
    assert "Still mentions a topic to avoid: pesticides." in page.text
    assert "2 × The answer was cut off at the token limit, twice." in page.text
    assert "no engagement numbers" in page.text
    assert page.tags["svg"] > len(result.scripts)


def test_pages_of_runs_that_ended_early_are_whole(partial: RunResult) -> None:
    for page in pages(partial):
        assert page.open == []
        assert "None" not in page.text


@pytest.mark.parametrize("weight", [1.0, 0.5, 3.0])
def test_a_bar_is_as_long_as_its_score(result: RunResult, weight: float) -> None:
    """Also where every other viewer counts for more or less."""
    people = tuple(replace(p, weight=weight if n % 2 else 1.0) for n, p in enumerate(result.personas))
    ranking = rank(result.ballots, result.scripts, weights=weights_of(people))
    bars = ranking_bars(replace(result, personas=people, ranking=ranking))
    longest = bars[0].row.vote_score
    for bar in bars:
        assert sum(s.width for s in bar.segments) == pytest.approx(100 * bar.row.vote_score / longest, abs=0.1)
        assert [s.x for s in bar.segments] == sorted(s.x for s in bar.segments)


def test_the_matrix_holds_every_vote_and_groups_like_minds(result: RunResult) -> None:
    matrix = vote_matrix(result)
    points = Counter[int]()
    for voter in matrix:
        assert sorted(vote.points for vote in voter.votes) == [1, 2, 3, 4, 5]
        points.update({vote.column: vote.points for vote in voter.votes})
    assert {row.rank - 1: row.vote_score for row in result.table() if row.vote_score} == points
    favourites = [voter.votes[0].column for voter in matrix]
    assert favourites == sorted(favourites)


def test_a_large_electorate_is_cut_and_said(make_result: Callable[..., RunResult]) -> None:
    result = make_result(scripts=6, personas=MATRIX_VOTERS + 50)
    assert len(vote_matrix(result)) == MATRIX_VOTERS
    assert f"The first {MATRIX_VOTERS} of {MATRIX_VOTERS + 50} are drawn" in Page(report_html(result)).text


def test_stage_lines_tell_used_from_skipped(result: RunResult) -> None:
    lines = stage_lines(result)
    assert [line.title for line in lines] == ["Analyze", "Aggregate", "Generate", "Vote", "Rank", "Personalize"]
    assert (lines[0].used, lines[0].skipped, lines[0].total) == (97, 3, 100)
    assert lines[0].reasons[0] == ("The answer was cut off at the token limit, twice.", 2)
    assert lines[0].share == 100.0


def test_unknown_cost_is_not_zero(result: RunResult, hostile: RunResult) -> None:
    assert "Spend unknown" in Page(report_html(hostile)).text
    assert "Spend $0.00" in Page(report_html(result)).text
    cheap = replace(result, cost=replace(result.cost, usd=0.0123))
    assert "Spend $0.0123" in Page(report_html(cheap)).text


def test_how_sure_an_order_is_is_told(result: RunResult) -> None:
    ranking = s5_rank.rank(result.ballots, result.scripts, personas=result.personas, seed=7, top_n=10)
    effect = Effect(-0.4, -0.61, -0.19)
    trust = Reliability(14, 0.62, 0.667, ranking.rows[0].script_id, Effect(0.1, -0.2, 0.4), 22, 22)
    assert ranking.evidence is not None
    evidence = replace(ranking.evidence, position=effect, reliability=trust)
    text = Page(report_html(replace(result, ranking=replace(ranking, evidence=evidence)))).text
    first, second = evidence.certainty[:2]
    for shown in (
        f"among the best 10 in {first.p_top:.0%}; above the next in {evidence.above[0][1]:.0%}",
        f"among the best 10 in {second.p_top:.0%}; above the next in {evidence.above[1][2]:.0%}",
        f"W {evidence.agreement.kendalls_w:.2f}, where dice stay under {evidence.agreement.w_by_chance:.2f}",
        f"tau between two viewers {evidence.agreement.mean_tau:.2f}",
        "14 viewers asked twice: tau 0.62 between their ballots, the same favourite in 67%",
        "+0.10 points a viewer apart (-0.20 to +0.40)",
        "One made to be dull came 22 of 22",
        "Shown last instead of first: -0.40 points a viewer (-0.61 to -0.19)",
        *(caution.text for caution in evidence.cautions),
        *(rule.method for rule in evidence.rules),
        *(f"{part.name} ({part.voters})" for part in evidence.segments),
    ):
        assert shown in text


def test_each_script_is_set_against_each_other_one(result: RunResult, make_result: Callable[..., RunResult]) -> None:
    def cells(of: RunResult) -> list[list[str]]:
        table = report_html(of).split('<table class="heat">')[1].split("</table>")[0]
        return [re.findall(r"<td[^>]*>([^<]*)", row) for row in table.split("<tbody>")[1].split("</tr>")[:-1]]

    assert result.evidence is not None
    shown = cells(result)
    assert len(shown) == 20
    for at, row in enumerate(result.evidence.above):
        assert shown[at] == ["–" if at == other else f"{100 * p:.0f}" for other, p in enumerate(row)]
    many = make_result(scripts=25)
    assert {len(cells(many)), *map(len, cells(many))} == {MOST_PAIRED}
    assert f"How often each of the best {MOST_PAIRED} is above each other one" in Page(report_html(many)).text
    assert len(many.document()["ranking"]["evidence"]["above"]) == 25


def test_each_video_shows_its_evidence_and_a_long_list_is_cut_and_said(make_result: Callable[..., RunResult]) -> None:
    for number in (MOST_VIDEOS + 3, MOST_VIDEOS + 30):  # three are skipped
        result = make_result(scripts=2, personas=3, videos=number)
        html = report_html(result)
        text = Page(html).text
        for shown in (
            "“Hi from video-0.”video-0",
            "shock hook, steady, curiosity gap; utility2.6 words a second, 2 pattern interrupts: claim → proof",
            "“Guess what was in the pot.” 10% → “It was salt.” 92%",
            "“More later.” 50% → stays open",
            "A number that nobody expects.“Eleven basils, all dead.” 31%",
            "2 of 6",
        ):
            assert shown in text
        assert html.count("Hi from ") == MOST_VIDEOS
        cut = f"The first {MOST_VIDEOS} of {number - 3} are here; result.json has all."
        assert (cut in text) == (number > MOST_VIDEOS + 3)
        assert [p["hook"] for p in result.document()["patterns"]] == [p.hook for p in result.patterns]


def test_a_hundred_videos_are_no_burden(result: RunResult) -> None:
    bare = report_html(replace(result, patterns=()))
    assert len(report_html(result)) - len(bare) < 150_000


def test_patterns_show_their_evidence_or_that_there_is_none(result: RunResult) -> None:
    page = " ".join("".join(Page(report_html(result)).words).split())
    for shown in (
        "That pot is the whole trick.",
        "engagement 1.90 × median (20 with numbers), per follower 1.40 ×",
        "a loop opens at 5% and closes at 85% of what is said",
        "question hook with curiosity gap 31 videos, 1.8 × chance",
        "400 quotes checked, 12 never said and left out",
        "The typical video: 2.9 words a second, 0.071 interactions per view, 0.400 per follower.",
    ):
        assert shown in page
    assert result.library is not None
    nothing = replace(result.library, median_engagement=None, median_per_follower=None, together=(), quotes=0)
    page = "".join(Page(report_html(replace(result, library=nothing))).words)
    assert "came with no numbers" in page
    assert "by chance" not in page
    assert "quotes checked" not in page
