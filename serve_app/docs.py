"""What can be asked for, told twice: /openapi.json for programs and /docs for people, made of the routes themselves.

The page is complete in itself and has no script. Its policy allows its own style sheet by hash and nothing else; every
text in it is escaped.
"""

from __future__ import annotations

import base64
import hashlib
import json
from functools import lru_cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from serve_app.operations import Operation, Schema, document
from serve_app.studio import studio_of

BOUNDS = {
    "minimum": "≥ {:,}",
    "exclusiveMinimum": "> {:,}",
    "maximum": "≤ {:,}",
    "minLength": "≥ {:,}",
    "maxLength": "≤ {:,} characters",
    "minItems": "≥ {:,}",
    "maxItems": "≤ {:,} items",
}
FILES = {"files": "my_videos.csv", "file": "me.json"}
"""What a form's field might be."""


async def openapi(request: Request) -> Response:
    """This document: OpenAPI 3.1, with the bounds that hold here."""
    return JSONResponse(_document(request))


async def docs(request: Request) -> Response:
    """The same as a page for people."""
    css = _style()
    found = _document(request)
    tools = {"kind": kind, "bounds": bounds, "curl": curl, "escape": escape}
    page = _page().render(document=found, css=Markup(css), base=str(request.base_url).rstrip("/"), **tools)  # noqa: S704  # our own file
    hashed = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{hashed}'; base-uri 'none'; frame-ancestors 'none'"
    return HTMLResponse(page, headers={"Content-Security-Policy": policy})


def kind(schema: Schema) -> Markup:
    """A schema's type in words; a type of the document's own is a link to it."""
    if ref := schema.get("$ref"):
        name = ref.rpartition("/")[2]
        return Markup('<a href="#type-{0}">{0}</a>').format(name)
    if choices := schema.get("enum") or ([schema["const"]] if "const" in schema else None):
        return Markup(" | ").join(Markup("<code>{}</code>").format(json.dumps(choice)) for choice in choices)
    if variants := schema.get("anyOf"):
        return Markup(" or ").join(map(kind, variants))
    if "items" in schema:
        return Markup("list of {}").format(kind(schema["items"]))
    if isinstance(values := schema.get("additionalProperties"), dict):
        return Markup("object of {}").format(kind(values))
    types = schema.get("type", "anything")
    return escape(types if isinstance(types, str) else " or ".join(types))


def bounds(schema: Schema) -> str:
    """What a value must keep to beyond its type."""
    found = [schema, *schema.get("anyOf", []), *([schema["items"]] if "items" in schema else [])]
    said = [text.format(part[name]) for part in found for name, text in BOUNDS.items() if name in part]
    default = schema.get("default")
    return ", ".join(
        [
            *said,
            *([f"default {json.dumps(default)}"] if isinstance(default, int | float | str) and default != "" else []),
        ]
    )


def curl(base: str, method: str, path: str, operation: Schema, examples: Schema) -> str:
    """A line that a shell takes."""
    words = ["curl", *(["-N"] if "text/event-stream" in json.dumps(operation["responses"]) else [])]
    words += [] if method in ("get", "post") else ["-X", method.upper()]
    sent = operation.get("requestBody", {}).get("content", {})
    if form := sent.get("multipart/form-data"):
        words += [f"-F {name}=@{FILES[name]}" for name in form["schema"]["properties"]]
    elif sent:
        schema = sent["application/json"]["schema"]
        example = examples.get(schema.get("$ref", "").rpartition("/")[2], {}).get("examples", [{}])[0]
        words += ["--json", f"'{json.dumps(example)}'"]
    elif method == "post":
        words += ["-X", "POST"]
    for name, value in {"{run_id}": "$RUN_ID", "{name}": "report.html"}.items():
        path = path.replace(name, value)
    return " ".join([*words, f'"{base}{path}"'])


def _document(request: Request) -> Schema:
    state = request.app.state
    if not hasattr(state, "document"):
        state.document = document(request.app.routes, studio_of(request).settings)
    found: Schema = state.document
    return found


@lru_cache(maxsize=1)
def _page() -> Any:
    environment = Environment(loader=PackageLoader("serve_app"), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template("docs.html.j2")


@lru_cache(maxsize=1)
def _style() -> str:
    return files("serve_app").joinpath("templates/docs.css").read_text(encoding="utf-8")


ROUTES = [
    Operation("GET", "/openapi.json", openapi, {200: {"type": "object"}}),
    Operation("GET", "/docs", docs, {200: "text/html"}),
]
