from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from pydantic import BaseModel

from flair_ray.domain.answers import PersonalizedDraft, ScriptDraft, VideoAnalysis, ballot_form
from flair_ray.domain.calls import ChatRequest
from flair_ray.domain.ids import StageName
from flair_ray.domain.schema import SchemaDialect, answer_schema
from flair_ray.domain.tokens import estimated_tokens, request_tokens
from flair_ray.providers.gemini import SCHEMA as GEMINI
from flair_ray.providers.kimi import KIMI
from flair_ray.providers.openai_compatible import OPENAI

ANSWERS = [
    VideoAnalysis,
    ScriptDraft,
    PersonalizedDraft,
    ballot_form(("BD", "FG", "KL")),
    ballot_form(tuple("BCDFGHJ")),
]
DIALECTS = {"openai": OPENAI.schema, "kimi": KIMI.schema, "gemini": GEMINI}
SPOKEN = {"type", "properties", "items", "enum", "required", "additionalProperties", "description"}


def nodes(schema: Any) -> Iterator[dict[str, Any]]:
    yield schema
    for child in [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]:
        yield from nodes(child)


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("name", DIALECTS)
def test_nothing_is_sent_that_the_vendor_does_not_document(answer: type[BaseModel], name: str) -> None:
    schema = answer_schema(answer, DIALECTS[name])
    jsonschema.Draft202012Validator.check_schema(schema)
    for node in nodes(schema):
        assert set(node) <= SPOKEN | DIALECTS[name].bounds | {"title"}
        assert "type" in node, "Moonshot: every node says its type"
        if node["type"] == "object":
            assert node["additionalProperties"] is False
            assert node["required"] == list(node["properties"]), "OpenAI: every property is required"


@pytest.mark.parametrize("name", DIALECTS)
def test_a_bound_that_cannot_be_sent_is_told(name: str) -> None:
    dialect = DIALECTS[name]
    fields = answer_schema(VideoAnalysis, dialect)["properties"]
    assert "At most 300 characters." in fields["hook"]["description"]
    told = fields["structure"]["description"].endswith("At least 2 items, at most 8 items.")
    assert told != ("minItems" in dialect.bounds)
    assert ("minItems" in fields["structure"]) == ("minItems" in dialect.bounds)


def test_all_bounds_together_are_the_answers_own() -> None:
    bounds = frozenset({"minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum", "exclusiveMinimum"})
    schema = answer_schema(PersonalizedDraft, SchemaDialect(bounds))
    shot = schema["properties"]["shots"]
    assert (shot["minItems"], shot["maxItems"]) == (2, 12)
    assert shot["items"]["properties"]["seconds"] == {"type": "number", "maximum": 45.0, "exclusiveMinimum": 0}
    assert shot["items"]["properties"]["on_screen_text"] == {"type": "string", "maxLength": 120}


def test_docstrings_for_programmers_are_not_sent_to_models() -> None:
    schema = answer_schema(PersonalizedDraft, SchemaDialect())
    assert "description" not in schema
    assert "description" not in schema["properties"]["shots"]["items"]


def test_strings_are_cut_to_what_a_weak_model_can_fill() -> None:
    fields = answer_schema(ScriptDraft, SchemaDialect(frozenset({"maxLength"}), longest=200))["properties"]
    assert {fields[name]["maxLength"] for name in ("hook", "body", "payoff", "structural_notes")} == {200}
    top = answer_schema(ballot_form(("BD", "FG")), SchemaDialect(frozenset({"maxLength"}), longest=1))
    assert "maxLength" not in top["properties"]["top"], "an enumeration is as long as it is"


def test_lists_are_cut_likewise_but_never_below_what_is_asked() -> None:
    dialect = SchemaDialect(frozenset({"minItems", "maxItems"}), most=3)
    assert answer_schema(PersonalizedDraft, dialect)["properties"]["shots"]["maxItems"] == 3
    assert answer_schema(ballot_form(tuple("BCDFGHJ")), dialect)["properties"]["top"]["maxItems"] == 5


def test_only_a_titled_dialect_says_the_answers_name() -> None:
    assert answer_schema(ScriptDraft, GEMINI)["title"] == "ScriptDraft"
    assert "title" not in answer_schema(ScriptDraft, OPENAI.schema)


def test_a_single_choice_is_an_enumeration() -> None:
    assert answer_schema(ballot_form(("BD",)), KIMI.schema)["properties"]["top"]["enum"] == ["BD"]


def test_a_call_is_as_long_as_what_is_sent_with_it() -> None:
    """And not as the whole model, with its titles and what is written for programmers."""
    request = ChatRequest(StageName.S1, "", "", "", VideoAnalysis, None)
    sent, whole = answer_schema(VideoAnalysis, SchemaDialect()), VideoAnalysis.model_json_schema()
    assert request_tokens(request) == estimated_tokens(json.dumps(sent, separators=(",", ":")))
    assert request_tokens(request) < 0.9 * estimated_tokens(json.dumps(whole, separators=(",", ":")))
