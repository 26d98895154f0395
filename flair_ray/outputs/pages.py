"""What people read of a run: HTML pages, complete in one file each, that ask no other server for anything; Markdown.

In Markdown the characters that have a meaning there or in HTML are escaped, in HTML every text, by Jinja2's autoescape.
Beyond that each page carries a Content-Security-Policy that allows its own style sheet and script by their hashes and
nothing else, so that a text that did get through as markup could neither run nor load:
https://www.w3.org/TR/CSP3/#grammardef-hash-source. Nothing in a page may therefore use a style attribute or an event
handler attribute.

The report's pictures are computed beforehand, so that its template only places things: a bar per ranked script, split
by the places it was voted into; the vote matrix, a row per voter and a column per script in rank order, rows sorted so
that those who agree stand together; a line per stage. Widths are percentages of the longest bar.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from textwrap import shorten

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from flair_ray.domain.ballots import BALLOT_LENGTH, Ballot
from flair_ray.domain.ids import ScriptId, StageName
from flair_ray.domain.money import dollars
from flair_ray.domain.people import Persona
from flair_ray.domain.ranking import weights_of
from flair_ray.domain.scripts import FinalScript
from flair_ray.outputs.names import stem
from flair_ray.result import RunResult, TableRow

MATRIX_VOTERS = 300
"""Rows that a person can still scroll through; the rest is in ballots.jsonl, and the report says so."""
MOST_VIDEOS, MOST_PAIRED = 100, 20
"""Videos whose evidence is drawn, about 1 kB each, and scripts that are set against one another; all in result.json."""
SHADES = (0.95, 0.8, 0.65, 0.5)
"""From which chance on a cell of that comparison is drawn darker; each has its number, too."""
PLACES = ("1st choice", "2nd choice", "3rd choice", "4th choice", "5th choice")
STAGES = {
    StageName.S1: ("Analyze", "each video for its mechanics"),
    StageName.S2: ("Aggregate", "what the videos have in common"),
    StageName.S3: ("Generate", "scripts from the patterns"),
    StageName.S4: ("Vote", "each simulated viewer ranks five"),
    StageName.S5: ("Rank", "ballots into one order"),
    StageName.R1: ("Ask for edits", "viewers who ranked the best lowest"),
    StageName.R2: ("Choose edits", "one for each of these scripts"),
    StageName.R3: ("Judge edits", "without and with it, both orders"),
    StageName.S6: ("Personalize", "the best in the creator's voice"),
}
_MARKED_UP = re.compile(r"([\\`*_\[\]<>&|~]|^\s*#)", re.MULTILINE)


def report_html(result: RunResult) -> str:
    """The whole run on one page."""
    css = _asset("report.css")
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            result=result,
            bars=ranking_bars(result),
            voters=vote_matrix(result),
            stages=stage_lines(result),
            places=PLACES,
            most_voters=MATRIX_VOTERS,
            most_videos=MOST_VIDEOS,
            most_paired=MOST_PAIRED,
            shade=lambda chance: next((f"h{n}" for n, least in enumerate(SHADES) if chance >= least), ""),
            stem=stem,
            css=Markup(css),  # noqa: S704  # our own file
            policy=_policy(css),
        )
    )


def teleprompter_html(script: FinalScript, seconds: float) -> str:
    """A page to read one script from while filming; it scrolls through the text in ``seconds``."""
    css, js = _asset("teleprompter.css"), _asset("teleprompter.js")
    return (
        _environment()
        .get_template("teleprompter.html.j2")
        .render(
            script=script,
            seconds=round(seconds, 1),
            css=Markup(css),  # noqa: S704  # our own file
            js=Markup(js),  # noqa: S704  # our own file
            policy=_policy(css, js),
        )
    )


def scripts_md(result: RunResult) -> str:
    """The scripts to film, then those that were written but not chosen."""
    return _environment().get_template("scripts.md.j2").render(result=result)


def _policy(css: str, js: str | None = None) -> str:
    allowed = f"default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; style-src '{_hash(css)}'"
    return f"{allowed}; script-src '{_hash(js)}'" if js else allowed


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@lru_cache(maxsize=8)
def _asset(name: str) -> str:
    return files("flair_ray.outputs").joinpath("templates", name).read_text("utf-8")


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("flair_ray.outputs"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"counted": _counted, "duration": _duration, "money": dollars, "spaced": _spaced}
    environment.filters |= {"marked": _marked, "line": lambda text: _marked(" ".join(text.split()))}
    return environment


def _counted(number: int, noun: str) -> str:
    """1 script, 1,200 scripts."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _duration(seconds: float | None) -> str:
    """8.3 s, 2 min 05 s."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60:,} min {int(seconds) % 60:02d} s"


def _marked(text: str) -> str:
    """Text for Markdown."""
    return _MARKED_UP.sub(r"\\\1", text)


def _spaced(category: str) -> str:
    """curiosity_gap → curiosity gap."""
    return category.replace("_", " ")


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a bar: for which place it stands, where it begins, how long it is."""

    place: int
    x: float
    width: float
    title: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One ranked script and the votes behind its score."""

    row: TableRow
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Vote:
    """One coloured cell of the matrix."""

    column: int
    place: int
    points: int
    title: str


@dataclass(frozen=True, slots=True)
class VoterRow:
    """One row of the matrix."""

    name: str
    title: str
    votes: tuple[Vote, ...]


@dataclass(frozen=True, slots=True)
class StageLine:
    """How one stage went."""

    title: str
    what: str
    used: int
    total: int
    skipped: int
    elapsed_s: float | None
    share: float
    """Of the slowest stage's time, percent."""
    calls: int
    reasons: tuple[tuple[str, int], ...]
    """Why items were skipped, commonest first."""


def ranking_bars(result: RunResult) -> list[Bar]:
    """One bar per ranked script, best first."""
    rows = result.table()
    weights = weights_of(result.personas)
    votes, weighed = Counter[tuple[ScriptId, int]](), defaultdict[tuple[ScriptId, int], float](float)
    for ballot in result.ballots:
        for vote in zip(ballot.top, range(BALLOT_LENGTH), strict=False):
            votes[vote] += 1
            weighed[vote] += weights.get(ballot.persona_id, 1.0)
    longest = max((row.vote_score for row in rows), default=0.0) or 1.0
    return [Bar(row, _segments(row.script_id, votes, weighed, 100 / longest)) for row in rows]


def _segments(
    script_id: ScriptId,
    votes: Mapping[tuple[ScriptId, int], int],
    weighed: Mapping[tuple[ScriptId, int], float],
    scale: float,
) -> tuple[Segment, ...]:
    """As long as what the votes weigh; said is how many they are."""
    segments: list[Segment] = []
    x = 0.0
    for place, name in enumerate(PLACES):
        count = votes.get((script_id, place), 0)
        width = weighed.get((script_id, place), 0.0) * (BALLOT_LENGTH - place) * scale
        if count:
            segments.append(Segment(place, round(x, 2), round(width, 2), f"{name}: {count}"))
        x += width
    return tuple(segments)


def vote_matrix(result: RunResult) -> list[VoterRow]:
    """One row per ballot on ranked scripts, those with like favourites together; at most MATRIX_VOTERS."""
    rows = result.table()
    column = {row.script_id: row.rank - 1 for row in rows}
    people = {persona.persona_id: persona for persona in result.personas}
    ballots = [ballot for ballot in result.ballots if all(script_id in column for script_id in ballot.top)]
    ballots.sort(key=lambda ballot: ([column[script_id] for script_id in ballot.top], ballot.persona_id))
    return [_voter_row(ballot, people[ballot.persona_id], rows, column) for ballot in ballots[:MATRIX_VOTERS]]


def _voter_row(ballot: Ballot, persona: Persona, rows: Sequence[TableRow], column: dict[ScriptId, int]) -> VoterRow:
    about = f"{persona.name}, {persona.age}, {persona.occupation}, {persona.location}"
    votes = tuple(
        Vote(
            column[script_id],
            place,
            BALLOT_LENGTH - place,
            f"{persona.name}: {PLACES[place]} is no. {rows[column[script_id]].rank}, "
            f"“{shorten(rows[column[script_id]].hook, 90, placeholder='…')}”",
        )
        for place, script_id in enumerate(ballot.top)
    )
    return VoterRow(persona.name, about + (f": “{ballot.reaction}”" if ballot.reaction else ""), votes)


def stage_lines(result: RunResult) -> list[StageLine]:
    """The stages that the run has reached, in order."""
    reached = {name: result.stages[name] for name in STAGES if name in result.stages}
    slowest = max((counts.elapsed_s or 0.0 for counts in reached.values()), default=0.0) or 1.0
    return [
        StageLine(
            title=STAGES[name][0],
            what=STAGES[name][1],
            used=counts.completed - max(counts.skipped, len(result.skipped.get(name, {}))),
            total=counts.total,
            skipped=max(counts.skipped, len(result.skipped.get(name, {}))),
            elapsed_s=counts.elapsed_s,
            share=round(100 * (counts.elapsed_s or 0.0) / slowest, 2),
            calls=counts.tally.calls,
            reasons=tuple(Counter(result.skipped.get(name, {}).values()).most_common()),
        )
        for name, counts in reached.items()
    ]
