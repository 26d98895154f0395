"""The plain files of a run: JSON and JSON lines for programs, CSV for spreadsheets.

Texts come from transcripts and models, so none is trusted: a CSV cell that a spreadsheet would run as a
formula gets a leading apostrophe (https://owasp.org/www-community/attacks/CSV_Injection).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable

from flair_ray.domain.codec import encode
from flair_ray.domain.scripts import Shot
from flair_ray.result import RunResult

_FORMULA_STARTS = frozenset("=+-@\t\r\n＝＋－＠")  # full-width signs start formulas as well


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
    names = ["start_s", "end_s", "visual", "on_screen_text", "video_prompt"]
    rows = ([n, *(getattr(shot, name) for name in names)] for n, shot in enumerate(shots, start=1))
    return _csv(["shot", *names], rows)


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
