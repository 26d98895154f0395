"""The plain files of a run: JSON and JSON lines for programs, CSV for spreadsheets, Markdown for people.

Texts come from transcripts and models, so none is trusted: a CSV cell that a spreadsheet would run as a
formula gets a leading apostrophe (https://owasp.org/www-community/attacks/CSV_Injection), and
characters that Markdown or HTML give a meaning are escaped.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator

from flair_ray.domain.codec import encode
from flair_ray.domain.scripts import FinalScript, Shot
from flair_ray.result import RunResult

_FORMULA_STARTS = frozenset("=+-@\t\r\n＝＋－＠")  # full-width signs start formulas as well
_MARKED_UP = re.compile(r"([\\`*_\[\]<>&|~]|^\s*#)", re.MULTILINE)


def result_json(result: RunResult) -> str:
    """The result's document, less the path it lies at, which is this machine's own business."""
    document = result.document()
    del document["out_dir"]
    return json.dumps({"$schema": "result.schema.json", **document}, ensure_ascii=False, indent=2) + "\n"


def ballots_jsonl(result: RunResult) -> str:
    """One ballot a line."""
    return "".join(encode(ballot) + "\n" for ballot in result.ballots)


def ranking_csv(result: RunResult) -> str:
    """Every ranked script, best first."""
    names = ["rank", "script_id", "vote_score", "first_choices", "mentions", "pairwise_wins"]
    names += ["rank_low", "rank_high", "p_top", "polarisation"]
    names += ["pattern_used", "estimated_duration", "personalized", "hook"]
    return _csv(names, ([getattr(row, name) for name in names] for row in result.table()))


def shots_csv(shots: Iterable[Shot]) -> str:
    """A shot list, in order."""
    names = ["shot", "start_s", "end_s", "visual", "on_screen_text"]
    rows = ([n, s.start_s, s.end_s, s.visual, s.on_screen_text] for n, s in enumerate(shots, start=1))
    return _csv(names, rows)


def _csv(names: list[str], rows: Iterable[list[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    """The value, a text that would start a formula made plain text; leading blanks do not hide one."""
    if isinstance(value, str) and (value[:1] in _FORMULA_STARTS or value.lstrip()[:1] in _FORMULA_STARTS):
        return "'" + value
    return value


def scripts_md(result: RunResult) -> str:
    """The scripts to film, then those that were written but not chosen."""
    return "\n\n".join(_markdown(result)) + "\n"


def _markdown(result: RunResult) -> Iterator[str]:
    yield f"# Scripts of run {result.run_id}"
    yield from (f"> {_line(notice)}" for notice in (*result.disclosures, *result.spec.warnings))
    for final in result.results:
        yield from _final_md(final)
    drafts = result.drafts()
    if drafts:
        yield "## Also written" if result.results else "## As first written"
    for rank, script in drafts:
        yield f"### {f'{rank}. ' if rank else ''}{_line(script.hook)}"
        yield from (_md(script.body), _md(script.payoff))


def _final_md(final: FinalScript) -> Iterator[str]:
    yield f"## {final.rank}. {_line(final.hook)}"
    about = f"Score {final.vote_score:g} · {_line(final.original_script.pattern_used)}"
    yield f"*{about}*" if final.personalized else f"*{about} · original text, not personalised*"
    yield from (_md(final.body), _md(final.payoff))
    yield from (f"> {_line(note)}" for note in final.notes)
    if final.shots:
        yield "### Shots"
        yield "\n".join(f"- {shot.start_s:g}–{shot.end_s:g} s: {_shot_md(shot)}" for shot in final.shots)
    if final.video_prompt:
        yield "### Video prompt"
        yield _md(final.video_prompt)


def _shot_md(shot: Shot) -> str:
    return _line(shot.visual) + (f" (on screen: {_line(shot.on_screen_text)})" if shot.on_screen_text else "")


def _line(text: str) -> str:
    return _md(" ".join(text.split()))


def _md(text: str) -> str:
    return _MARKED_UP.sub(r"\\\1", text)
