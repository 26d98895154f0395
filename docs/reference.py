"""The parts of the documentation that the code already says, taken from it.

    python docs/reference.py            rewrites them where they stand
    python docs/reference.py --check    changes nothing; exit code 1 and the files' names when one is out of date

A page marks the place: everything between ``<!-- generated: NAME -->`` and ``<!-- end -->`` is what the function
of that name here returns. A test runs the check, so that a table and the code it describes cannot drift apart.
"""

from __future__ import annotations

import ast
import inspect
import re
import runpy
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from html import unescape
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import typer

import flair_ray
from flair_ray import config, wiring
from flair_ray.cli import app
from flair_ray.domain import events as event_names
from flair_ray.domain.ids import RunId, StageName
from flair_ray.inputs import columns
from flair_ray.options import RunOptions
from flair_ray.outputs.names import OUTPUT_FILES
from flair_ray.result import Cost, ReceiptLine, TableRow, Timing
from flair_ray.stores import keys as redis_keys
from flair_ray.telemetry.metrics import METRICS
from serve_app import http
from serve_app.docs import bounds, kind
from serve_app.operations import Schema, document

ROOT = Path(__file__).resolve().parent.parent
PAGES = (ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").rglob("*.md")))
MARKED = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
LED_TO = (RunOptions, TableRow, ReceiptLine, Timing, Cost)
"""What a caller of the public names meets without importing it."""
SCALE = runpy.run_path(str(ROOT / "docs" / "scale.py"))
DATA_DIR_DEFAULT = "`$XDG_DATA_HOME/flair_ray`, else `~/.local/share/flair_ray`"


def table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    """A Markdown table. What would end a cell or begin a tag is escaped; docstrings' double backticks become single."""
    cells = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(c) for c in row) + " |" for row in cells)


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", r"\|").replace("<", r"\<").replace("``", "`")


def code(value: object) -> str:
    return f"`{value}`" if value is not None and str(value) else ""


def settings() -> str:
    """Every field of ``config.Settings``."""
    fields = config.Settings.model_fields.items()
    return table(
        ("variable", "default", "meaning"),
        (
            (code("FLAIR_" + n.upper()), DATA_DIR_DEFAULT if f.default_factory else code(f.default), f.description)
            for n, f in fields
        ),
    )


def providers() -> str:
    """Every provider that a run can name."""
    rows = (
        (code(p), code(m), " or ".join(map(code, config.KEY_NAMES.get(p, ()))))
        for p, m in wiring.DEFAULT_MODELS.items()
    )
    return table(("provider", "model unless named", "its key, first match wins"), rows)


def cli() -> str:
    """Every command with its arguments and options."""
    group: Any = typer.main.get_command(app)
    return "\n\n".join(
        f"## flair {name}\n\n{command.help}\n\n{_parameters(command)}" for name, command in group.commands.items()
    )


def _parameters(command: Any) -> str:
    return table(("", "default", "meaning"), map(_parameter, command.params))


def _parameter(p: Any) -> tuple[str, ...]:
    meaning = p.help + (f" Also `{p.envvar}`." if p.envvar else "")
    if p.param_type_name == "argument":
        return code(p.display_name_raw.upper()), "", meaning
    if isinstance(p.default, bool):
        return code(p.opts[0]), "", meaning
    return code(f"{p.opts[0]} {p.display_type(None).strip('<>').upper()}"), code(p.default), meaning


def events() -> str:
    """Every event with its data fields, as the docstrings in the enumeration list them."""
    return table(("event", "data"), ((code(e.value), _described(e)) for e in event_names.EventName))


def _described(event: event_names.EventName) -> str:
    return next(text for name, text in _member_docs(event_names.EventName) if name == event.name)


def _member_docs(enumeration: type) -> Iterator[tuple[str, str]]:
    """Name and docstring of each member that has one: Python keeps them in the source only."""
    body = ast.parse(inspect.getsource(enumeration)).body[0].body  # type: ignore[attr-defined]
    for member, text in pairwise(body):
        said = text.value.value if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) else None
        if said and isinstance(member, ast.Assign | ast.AnnAssign):
            target = member.target if isinstance(member, ast.AnnAssign) else member.targets[0]
            yield target.id, str(said)  # type: ignore[union-attr]


def inputs() -> str:
    """Every field of a video with the names it goes by."""
    rows = ((field, names, holders.strip()) for field, (names, holders) in columns._NAMES.items())
    return table(("field", "names, best first", "also inside"), rows)


def outputs() -> str:
    """Every file of a run."""
    return table(("file", "what it is"), ((code(name), what) for name, what in OUTPUT_FILES.items()))


def keys() -> str:
    """Every key in Redis."""
    samples = {
        "run_id": RunId("RUN"),
        "stage": StageName.S1,
        "fingerprint": "FP",
        "key": "HASH",
        "session_id": "SESSION",
        "owner_name": "OWNER",
        "account": "ACCOUNT",
        "reader": "READER",
        "video_set_id": "HASH",
        "name": "NAME",
        "kind": "KIND",
        "tenant": "TENANT",
        "what": "WHAT",
        "minute": "MINUTE",
        "month": "MONTH",
    }
    made = [f for _, f in inspect.getmembers(redis_keys, inspect.isfunction) if f.__module__ == redis_keys.__name__]
    made.sort(key=lambda f: inspect.getsourcelines(f)[1])
    rows = ((code(f(**{p: samples[p] for p in inspect.signature(f).parameters})), inspect.getdoc(f)) for f in made)
    return table(("key", "type and content"), ((key.replace(StageName.S1.value, "STAGE"), text) for key, text in rows))


def lua() -> str:
    """Every script: what its head says before it comes to KEYS."""
    folder = files("flair_ray.stores").joinpath("lua")
    scripts = sorted((f for f in folder.iterdir() if f.name.endswith(".lua")), key=lambda f: f.name)
    heads = ((f.name, f.read_text(encoding="utf-8").split("-- KEYS:")[0]) for f in scripts)
    return table(("script", "what it does in one step"), ((code(name), head.replace("--", "")) for name, head in heads))


def routes() -> str:
    """Every route."""
    paths = document(http.ROUTES, config.Settings.model_construct())["paths"]
    rows = (
        (f"{method.upper()} {code(path)}", operation["summary"])
        for path, methods in paths.items()
        for method, operation in methods.items()
    )
    return table(("method and path", "what it does"), rows)


def metrics() -> str:
    """Every metric, where it goes and what it says."""
    rows = (
        (
            code(metric.cloudwatch or metric.exported),
            metric.kind + (", in CloudWatch" if metric.cloudwatch else ""),
            ", ".join(map(code, metric.labels)),
            metric.unit,
            metric.help,
        )
        for metric in METRICS
    )
    return table(("metric", "kind", "labels", "unit", "meaning"), rows)


def alerts() -> str:
    """Every alert."""
    made = runpy.run_path(str(ROOT / "cluster" / "watching" / "make.py"))
    rows = (
        (f"[{a.name}](../how-to/watch-it.md#{a.name.lower()})", "page" if a.page else "ticket", code(a.expr), a.lasts)
        for a in made["ALERTS"]
    )
    return table(("alert", "severity", "when", "for"), rows)


def scale() -> str:
    """Needs by runs a day."""
    head = ("runs a day", "an hour, at the busiest", "requests a minute", "tokens a minute", "connections to models")
    workers = ("workers", "their memory", "connections to Redis", "Redis' CPU", "Redis' memory", "archive, a day")
    return table((*head, *workers, "past one `prod`, what breaks first"), SCALE["rows"]())


def scale_constants() -> str:
    """What they are made of."""
    return table(("constant", "value", "measured by"), SCALE["constants"]())


def http_api() -> str:
    """Every operation and every type of the OpenAPI document."""
    found = document(http.ROUTES, config.Settings.model_construct())
    operations = (
        _operation(method, path, operation)
        for path, methods in found["paths"].items()
        for method, operation in methods.items()
    )
    types = (_type(name, schema) for name, schema in found["components"]["schemas"].items())
    return "\n\n".join(("## Operations", *operations, "## Types", *types))


def _operation(method: str, path: str, operation: Schema) -> str:
    sent = next((m["schema"] for m in operation.get("requestBody", {}).get("content", {}).values()), None)
    refused = [status for status, answer in operation["responses"].items() if "$ref" in answer]
    answers = (_answer(status, a) for status, a in operation["responses"].items() if "$ref" not in a)
    said = [
        operation["summary"],
        operation.get("description", ""),
        f"Takes: {_kind(sent)}." if sent else "",
        f"Answers: {', '.join(answers)}; refusals: {', '.join(refused)}.",
    ]
    taken = [(code(p["name"]), p["in"], p["description"]) for p in operation["parameters"]]
    parts = [f"### `{method.upper()} {path}`", *filter(None, said)]
    return "\n\n".join(parts + ([table(("parameter", "in", "meaning"), taken)] if taken else []))


def _answer(status: str, answer: Schema) -> str:
    content = answer.get("content", {})
    kinds = (_kind(held["schema"]) if "schema" in held else code(media) for media, held in content.items())
    return " ".join([status, " or ".join(kinds)]).strip()


def _type(name: str, schema: Schema) -> str:
    required = schema.get("required", ())
    rows = [
        (code(field), _kind(held), ", ".join(filter(None, ("required" if field in required else "", bounds(held)))))
        for field, held in schema.get("properties", {}).items()
    ]
    said = schema.get("description", "").partition("\n\n")[0]
    body = table(("field", "type", "bounds"), rows) if rows else _kind(schema)
    return "\n\n".join(filter(None, (f"### {name}", " ".join(said.split()).replace("``", "`"), body)))


def _kind(schema: Schema) -> str:
    """As the page at /docs words it, in Markdown."""
    linked = re.sub(r'<a href="#type-\w+">(\w+)</a>', lambda m: f"[{m[1]}](#{m[1].lower()})", str(kind(schema)))
    return unescape(re.sub(r"</?code>", "`", linked))


def python_api() -> str:
    """Every public name, and what these lead to."""
    listed = [*(getattr(flair_ray, name) for name in flair_ray.__all__), *LED_TO]
    functions = [f for f in listed if inspect.isfunction(f)]
    classes = [c for c in listed if not inspect.isfunction(c)]
    return "\n\n".join((*map(_function, functions), *map(_class, classes)))


def _function(function: Callable[..., object]) -> str:
    shown = function.__name__ + str(inspect.signature(function)).replace("'", "")
    return f"## {function.__name__}\n\n{code(shown)}\n\n{_doc(function)}"


def _class(shown: type) -> str:
    described = dict(_member_docs(shown))
    rows = [
        (code(field.name), code(declared), _default(field), said or described.get(field.name, ""))
        for field in (fields(shown) if is_dataclass(shown) else ())
        for declared, said in [_annotation(str(field.type))]
    ]
    methods = [
        (code(name + ("" if isinstance(member, property) else "()")), _doc(member))
        for name, member in vars(shown).items()
        if not name.startswith("_") and (isinstance(member, property) or inspect.isfunction(member))
    ]
    tables = [table(("field", "type", "default", "meaning"), rows)] if rows else []
    tables += [table(("", "what it gives"), methods)] if methods else []
    return "\n\n".join((f"## {shown.__name__}", _doc(shown), *tables))


def _annotation(text: str) -> tuple[str, str]:
    """The type, and the text that an Annotated has beside it."""
    node = ast.parse(text, mode="eval").body
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Annotated":
        declared, said = node.slice.elts  # type: ignore[attr-defined]
        return ast.unparse(declared), said.value
    return text, ""


def _default(field: Field[Any]) -> str:
    return "" if field.default is MISSING else code(repr(getattr(field.default, "value", field.default)))


def _doc(thing: object) -> str:
    return (inspect.getdoc(thing) or "").replace("``", "`")


BLOCKS: dict[str, Callable[[], str]] = {
    f.__name__: f
    for f in (
        *(settings, providers, cli, events, inputs, outputs, keys, lua, routes, http_api, python_api),
        *(metrics, alerts, scale, scale_constants),
    )
}


def rewritten(text: str) -> str:
    """A page with every marked part as the code has it now."""
    return MARKED.sub(lambda m: f"{m[1]}\n{BLOCKS[m[2]]()}\n\n{m[3]}", text)


def stale() -> dict[Path, str]:
    """Pages that are out of date, each as it ought to be."""
    pages = ((page, page.read_text(encoding="utf-8")) for page in PAGES)
    return {page: new for page, old in pages if (new := rewritten(old)) != old}


def main() -> None:
    """Entry point."""
    pages = stale()
    if "--check" in sys.argv:
        sys.exit(
            "\n".join(f"{page.relative_to(ROOT)} is out of date: run python docs/reference.py" for page in pages) or 0
        )
    for page, text in pages.items():
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
