"""result.json against its published schema: valid, and with no field that the schema does not describe."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from flair_ray.domain.patterns import EmotionalArc, HookType, Pacing
from flair_ray.domain.runs import RunStatus
from flair_ray.outputs import result_schema, write_outputs
from flair_ray.result import RunResult

SCHEMA: dict[str, Any] = json.loads(result_schema())


def closed(schema: Any) -> Any:
    """The same schema, refusing fields it does not name."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {key: closed(value) for key, value in schema.items()}
    if "properties" in schema and schema.get("type") == "object":
        strict["additionalProperties"] = False
    return strict


def check(document: object) -> None:
    jsonschema.Draft202012Validator(
        closed(SCHEMA), format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    ).validate(document)


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_a_whole_run_is_valid(result: RunResult, tmp_path: Path) -> None:
    write_outputs(result, tmp_path)
    document = json.loads((tmp_path / "result.json").read_text("utf-8"))
    check(document)
    assert (tmp_path / document["$schema"]).read_text("utf-8") == result_schema()
    assert "out_dir" not in document
    check(json.loads(json.dumps(result.document())))


def test_a_run_that_asked_for_edits_is_valid(edited: RunResult, tmp_path: Path) -> None:
    document = json.loads(json.dumps(edited.document()))
    check(document)
    found = document["refinement"]
    assert [(trial["verdict"], trial["share"], trial["voters"]) for trial in found["trials"]] == [
        ("gain", 1.0, 20),
        ("no_clear_gain", 0.5, 20),
    ]
    assert len(found["untried"]) == 1


def test_runs_that_ended_early_and_hostile_ones_are_valid(partial: RunResult, hostile: RunResult) -> None:
    check(partial.document())
    check(hostile.document())


def test_the_schema_refuses_what_clients_rely_on_being_there(make_result: Callable[..., RunResult]) -> None:
    document = json.loads(json.dumps(make_result(scripts=2, personas=3, videos=2).document()))
    for path in (("results", 0, "vote_score"), ("results", 0, "original_script", "estimated_duration")):
        broken = copy.deepcopy(document)
        place = broken
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = None
        with pytest.raises(jsonschema.ValidationError):
            check(broken)


def test_enumerations_match_the_domain() -> None:
    pattern = SCHEMA["$defs"]["pattern"]["properties"]
    assert SCHEMA["properties"]["status"]["enum"] == [s.value for s in RunStatus]
    for field, kind in (("hook_type", HookType), ("pacing", Pacing), ("emotional_arc", EmotionalArc)):
        assert pattern[field]["enum"] == [member.value for member in kind]
