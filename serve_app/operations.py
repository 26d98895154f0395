"""Routes that say what is true of them, and the OpenAPI 3.1 document that all of them together are.

An ``Operation`` is a route with the types of its body and of its answers. Its function's docstring is its description.
What every route may answer is not repeated: 429 and 503 always, 401 and 403 below /api, 404 where a path names
something, 408, 413 and 422 where there is a body. Source: https://spec.openapis.org/oas/v3.1.1.html
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from pydantic import TypeAdapter
from starlette.routing import BaseRoute, Route

from flair_ray.config import Settings
from serve_app.answers import SSE, Problem
from serve_app.models import COUNTS, StartBody, most

Schema = dict[str, Any]
Content = str | tuple[str, ...]
"""Media types of what is no JSON."""
UPLOAD: Schema = {
    "type": "object",
    "properties": {"files": {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1}},
    "required": ["files"],
}
ONE_FILE: Schema = {
    "type": "object",
    "properties": {"file": {"type": "string", "format": "binary"}},
    "required": ["file"],
}
PARAMETERS: dict[str, tuple[str, Schema, str]] = {
    "run_id": ("path", {"type": "string", "format": "uuid"}, "As a start has answered it."),
    "name": ("path", {"type": "string", "minLength": 1}, "Of a file as `flair export` writes it, such as report.html."),
    "session_id": ("query", {"type": "string"}, "Whose runs these are; anonymous without one."),
    "cursor": ("query", {"type": "string", "pattern": r"^\d{1,19}(-\d{1,19})?$"}, "The last event that you have."),
    "ticket": ("query", {"type": "string"}, "In place of a token, for a page of another origin."),
    "Last-Event-ID": ("header", {"type": "string"}, "The same, as an EventSource sends it; a cursor goes before it."),
    "job_id": ("path", {"type": "string"}, "A video's, as its order answered."),
    "Idempotency-Key": ("header", {"type": "string"}, "Equal starts under one key are one run."),
}
"""Where each is sent, its schema, what it is for."""
_REF = "#/components/schemas/"
_IN_PATH = re.compile(r"\{(\w+)(:\w+)?\}")


class Operation(Route):
    """One method of one path. ``answers`` has a type, a JSON Schema, media types or None by status."""

    def __init__(
        self,
        method: str,
        path: str,
        endpoint: Any,
        answers: Mapping[int, Any],
        *,
        body: Any = None,
        takes: tuple[str, ...] = (),
        errors: tuple[int, ...] = (),
    ) -> None:
        super().__init__(path, endpoint, methods=[method])
        if SSE in answers.values():  # Starlette lets HEAD run what GET does: here, to the end of a pipeline
            self.methods = {method}
        in_path = tuple(found[1] for found in _IN_PATH.finditer(path))
        self.method, self.answers, self.body, self.takes = method, answers, body, in_path + takes
        guarded = {401, 403} if path.startswith("/api/") else set()
        sent = {408, 413, 422} if body is not None else set()
        self.errors = sorted({429, 503, *errors, *guarded, *sent, *([404] if in_path else [])})

    @property
    def types(self) -> Iterator[tuple[str, Any]]:
        """Every type here that pydantic makes a schema of, with its direction."""
        named = [("validation", self.body), *(("serialization", answer) for answer in self.answers.values())]
        return ((mode, kind) for mode, kind in named if kind is not None and not isinstance(kind, str | tuple | dict))

    def described(self, schema_of: Any) -> Schema:
        """The operation object."""
        summary, _, more = (inspect.getdoc(self.endpoint) or "").partition("\n\n")
        responses = {str(status): _response(status, kind, schema_of) for status, kind in self.answers.items()}
        refused = {str(status): {"$ref": f"#/components/responses/{status}"} for status in self.errors}
        found: Schema = {
            "operationId": self.endpoint.__name__,
            "summary": " ".join(summary.split()),
            "tags": [self.path.split("/")[2 if self.path.startswith("/api/") else 1]],
            "parameters": [_parameter(name) for name in self.takes],
            "responses": responses | refused,
        }
        if self.path.startswith("/api/"):
            found["security"] = [{"token": []}, {}]  # none where the studio has no tenants
        if more:
            found["description"] = more
        if self.body is not None:
            kind = "multipart/form-data" if isinstance(self.body, dict) else "application/json"
            schema = self.body if isinstance(self.body, dict) else schema_of("validation", self.body)
            found["requestBody"] = {"required": True, "content": {kind: {"schema": schema}}}
        return found


def operations(routes: Iterable[BaseRoute]) -> list[Operation]:
    """Those routes that say what they are: all, or a test fails."""
    return [route for route in routes if isinstance(route, Operation)]


def document(routes: Iterable[BaseRoute], settings: Settings) -> Schema:
    """The OpenAPI document, with the bounds of these settings."""
    found = operations(routes)
    wanted = [("serialization", Problem), *(pair for route in found for pair in route.types)]
    keyed = [(str(n), mode, TypeAdapter(kind)) for n, (mode, kind) in enumerate(wanted)]
    made, rest = TypeAdapter.json_schemas(keyed, ref_template=_REF + "{model}")  # type: ignore[arg-type]
    by_type = {(mode, repr(kind)): made[key, mode] for (key, mode, _), (_, kind) in zip(keyed, wanted, strict=True)}  # type: ignore[index]
    parts: Schema = rest.get("$defs", {})

    def schema_of(mode: str, kind: Any) -> Schema:
        if not isinstance(kind, dict):
            return by_type[mode, repr(kind)]
        schema = json.loads(json.dumps(kind).replace("#/$defs/", _REF))
        parts.update(schema.pop("$defs", {}))
        return dict(schema)

    paths: Schema = {}
    for route in found:
        paths.setdefault(_IN_PATH.sub(r"{\1}", route.path), {})[route.method.lower()] = route.described(schema_of)
    for name in COUNTS:
        field, limit = parts[StartBody.__name__]["properties"][name], most(name, settings)
        field |= {"maximum": limit, "default": min(field["default"], limit)}
    statuses = sorted({status for route in found for status in route.errors})
    schemes = {"token": {"type": "http", "scheme": "bearer", "description": "As `flair token` prints it."}}
    components = {
        "responses": {str(s): _refusal(s) for s in statuses},
        "schemas": _used(parts, paths),
        "securitySchemes": schemes,
    }
    info = {
        "title": "flair_ray",
        "version": version("flair_ray"),
        "summary": "Ranked, personalised scripts, over HTTP.",
    }
    return {"openapi": "3.1.0", "info": info, "paths": paths, "components": components}


def _parameter(name: str) -> Schema:
    place, schema, text = PARAMETERS[name]
    return {"name": name, "in": place, "required": place == "path", "schema": schema, "description": text}


def _response(status: int, kind: Any, schema_of: Any) -> Schema:
    phrase = {"description": HTTPStatus(status).phrase}
    if kind is None:
        return phrase
    if isinstance(kind, str | tuple):
        return phrase | {"content": {media: {} for media in ([kind] if isinstance(kind, str) else kind)}}
    return phrase | {"content": {"application/json": {"schema": schema_of("serialization", kind)}}}


def _refusal(status: int) -> Schema:
    content = {"application/problem+json": {"schema": {"$ref": _REF + Problem.__name__}}}
    return {"description": HTTPStatus(status).phrase, "content": content}


def _used(parts: Schema, paths: Schema) -> Schema:
    """Those of the parts that the paths, or the refusals, lead to."""
    waiting, used = {Problem.__name__, *_refs(paths)}, set()
    while waiting:
        used.add(name := waiting.pop())
        waiting |= _refs(parts[name]) - used
    return {name: parts[name] for name in sorted(used)}


def _refs(value: Any) -> set[str]:
    return set(re.findall(rf'"{_REF}([^"]+)"', json.dumps(value)))
