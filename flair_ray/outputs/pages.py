"""What people read of a run: HTML pages, complete in one file each, that ask no other server for anything; Markdown.

In Markdown the characters that have a meaning there or in HTML are escaped, in HTML every text, by Jinja2's autoescape.
Beyond that each page carries a Content-Security-Policy that allows its own style sheet and script by their hashes and
nothing else, so that a text that did get through as markup could neither run nor load:
https://www.w3.org/TR/CSP3/#grammardef-hash-source. Nothing in a page may therefore use a style attribute or an event
handler attribute.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import lru_cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from flair_ray.domain.money import dollars
from flair_ray.domain.scripts import FinalScript
from flair_ray.outputs.names import stem
from flair_ray.outputs.report import MATRIX_VOTERS, PLACES, ranking_bars, stage_lines, vote_matrix
from flair_ray.result import RunResult

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
