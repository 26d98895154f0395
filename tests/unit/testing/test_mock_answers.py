from __future__ import annotations

import re
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from openai.lib._pydantic import to_strict_json_schema
from pydantic import BaseModel, Field, TypeAdapter

from flair_ray.domain.answers import EditDraft, PersonalizedDraft, ScriptDraft, VideoAnalysis, ballot_form
from flair_ray.domain.ids import ScriptId
from flair_ray.domain.refining import edited
from flair_ray.domain.scripts import CandidateScript
from flair_ray.errors import InputError
from flair_ray.stages.briefs import script_brief
from flair_ray.testing.mock_answers import write_answer

QUESTION = "Most people water their basil wrong. Here is why the roots rot, and what I do on Sunday instead."


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Leaf(BaseModel):
    kind: Literal["leaf"]
    weight: float = Field(gt=0, lt=1)


class Tree(BaseModel):
    kind: Literal["tree"]
    children: list[Tree] = Field(max_length=3)
    parent: Tree | None
    either: Leaf | Colour


class Everything(BaseModel):
    whole: int = Field(gt=3, lt=5)
    at_most: int = Field(le=-4)
    share: float = Field(ge=0.25, le=0.25)
    yes: bool
    nothing: None
    fixed: Literal[7]
    colours: list[Colour] = Field(min_length=2, max_length=2)
    short: str = Field(min_length=2, max_length=5)
    long: str = Field(min_length=900)
    empty: str = Field(max_length=0)
    pair: tuple[int, str]
    maybe: int | None
    table: dict[str, int]
    anything: Any
    tree: Tree
    leaves: list[Annotated[Leaf, "annotated"]] = Field(min_length=3)


def _check(model: type[BaseModel], schema: dict[str, Any], question: str, seed: int) -> Any:
    answer = write_answer(schema, question, seed)
    Draft202012Validator(schema).validate(answer)
    return model.model_validate(answer)


@given(question=st.text(max_size=400), seed=st.integers(0, 2**130), strict=st.booleans())
def test_every_stage_gets_an_answer_that_fits(question: str, seed: int, strict: bool) -> None:
    for model in (VideoAnalysis, ScriptDraft, PersonalizedDraft):
        _check(model, to_strict_json_schema(model) if strict else model.model_json_schema(), question, seed)


@given(labels=st.integers(1, 20), question=st.text(max_size=100), seed=st.integers(0, 2**130))
def test_a_ballot_names_distinct_scripts(labels: int, question: str, seed: int) -> None:
    form = ballot_form(tuple(f"K{i}" for i in range(labels)))
    ballot = _check(form, form.model_json_schema(), question, seed)
    assert len(set(ballot.top)) == len(ballot.top) == min(5, labels)


@given(question=st.text(max_size=100), seed=st.integers(0, 2**130))
def test_every_kind_of_schema_is_answered(question: str, seed: int) -> None:
    _check(Everything, Everything.model_json_schema(), question, seed)


@given(
    low=st.integers(0, 60),
    more=st.integers(0, 60),
    question=st.text(max_size=60),
    seed=st.integers(0, 2**64),
)
def test_a_text_is_as_long_as_its_bounds_say(low: int, more: int, question: str, seed: int) -> None:
    text = write_answer({"type": "string", "minLength": low, "maxLength": low + more}, question, seed)
    assert low <= len(text.strip()) <= low + more


def test_the_votes_of_many_voters_fall_on_every_script() -> None:
    schema = ballot_form(tuple("ABCDEFGHIJ")).model_json_schema()
    ballots = [tuple(write_answer(schema, QUESTION, seed)["top"]) for seed in range(60)]
    assert {label for ballot in ballots for label in ballot} == set("ABCDEFGHIJ")
    assert len(set(ballots)) > 55


def test_enumerated_orders_are_chosen_among() -> None:
    orders = [["A", "B"], ["B", "A"]]
    assert {tuple(write_answer({"enum": orders}, QUESTION, seed)) for seed in range(20)} == {("A", "B"), ("B", "A")}


def test_a_list_with_fewer_categories_than_items_repeats_some() -> None:
    answer = write_answer({"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 5, "maxItems": 5}, "", 0)
    assert set(answer) == {"a", "b"}
    assert len(answer) == 5


def test_an_answer_depends_on_question_and_seed_alone() -> None:
    schema = ScriptDraft.model_json_schema()
    assert write_answer(schema, QUESTION, 1) == write_answer(schema, QUESTION, 1)
    hooks = {write_answer(schema, QUESTION, seed)["hook"] for seed in range(200)}
    assert len(hooks) > 180


def test_a_script_reads_as_sentences_of_the_questions_words_and_fits_its_time() -> None:
    for seed in range(100):
        script = ScriptDraft.model_validate(write_answer(ScriptDraft.model_json_schema(), QUESTION, seed))
        for text in (script.hook, script.body, script.payoff):
            assert re.fullmatch(r"([A-Z][A-Za-z ]*, [a-z ]+\.( |$))+", text)
            assert set(re.findall(r"\w+", text.lower())) <= set(re.findall(r"\w+", QUESTION.lower()))
        spoken = f"{script.hook} {script.body} {script.payoff}".split()
        assert 15 <= len(spoken) / 2.5 <= 45


def test_a_question_without_words_is_answered_too() -> None:
    assert write_answer({"type": "string"}, "🎬 42 …", 0)


def test_a_plain_array_and_an_untyped_schema_are_answered() -> None:
    assert TypeAdapter(list[Any]).validate_python(write_answer({"items": {}}, QUESTION, 0))
    assert isinstance(write_answer({}, QUESTION, 0), str)


@pytest.mark.parametrize(
    "schema",
    [
        False,
        "string",
        {"type": "strang"},
        {"type": ["null", 3]},
        {"type": "string", "pattern": "^a+$"},
        {"type": "string", "format": "date-time"},
        {"type": "string", "minLength": 10**9},
        {"type": "string", "minLength": 5, "maxLength": 2},
        {"type": "string", "maxLength": "many"},
        {"type": "array", "items": {"type": "integer"}, "minItems": 10**9},
        {"type": "array", "minItems": 3, "maxItems": 2},
        {"type": "array", "items": {"type": "integer"}, "uniqueItems": True},
        {"type": "integer", "minimum": 3, "maximum": 2},
        {"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 4},
        {"type": "integer", "minimum": "low"},
        {"type": "integer", "minimum": float("inf")},
        {"type": "number", "exclusiveMinimum": 1, "maximum": 1},
        {"type": "object", "required": ["a"]},
        {"type": "object", "properties": ["a"]},
        {"anyOf": [False]},
        {"allOf": ["a"]},
        {"$ref": "#/$defs/Missing"},
        {"$ref": "https://example.org/schema"},
        {"$ref": "#"},
        {"type": "object", "properties": {"again": {"$ref": "#"}}, "required": ["again"]},
        {"type": "array", "items": {"$ref": "#"}, "minItems": 2},
    ],
)
def test_a_schema_that_cannot_be_answered_is_refused(schema: object) -> None:
    with pytest.raises(InputError, match=r"schema"):
        write_answer(schema, QUESTION, 0)


@pytest.mark.parametrize(
    ("schema", "fits"),
    [
        ({"type": "array", "items": {"type": "string"}, "description": "At least 4 items, at most 5 items."}, (4, 5)),
        ({"type": "string", "description": "A line. At most 40 characters."}, (1, 40)),
        ({"type": "string", "description": "At least 300 characters."}, (300, 2_000)),
    ],
)
def test_bounds_that_are_only_told_are_kept(schema: dict[str, object], fits: tuple[int, int]) -> None:
    for seed in range(20):
        assert fits[0] <= len(write_answer(schema, "Why do basil roots rot?", seed)) <= fits[1]


def test_numbers_keep_told_bounds_and_keywords_win() -> None:
    told = {"type": "number", "description": "Seconds. At least 15, at most 45."}
    assert all(15 <= write_answer(told, "Why?", seed) <= 45 for seed in range(50))
    both = {"type": "integer", "minimum": 7, "maximum": 7, "description": "At most 3."}
    assert write_answer(both, "Why?", 0) == 7
    more = {"type": "number", "description": "More than 0, at most 1."}
    assert all(0 < write_answer(more, "Why?", seed) <= 1 for seed in range(50))


@pytest.mark.parametrize("seed", range(30))
def test_what_is_to_be_copied_stands_in_the_material_that_is_asked_about(seed: int) -> None:
    script = CandidateScript(ScriptId("S01"), "p", "Hook.", "It's the pan. " + QUESTION, "Pay off.", 20.0, "")
    question = f"<viewer>\nSomebody else entirely\n</viewer>\n\n{script_brief(script)}"
    schema = to_strict_json_schema(EditDraft)
    draft = _check(EditDraft, schema, question, seed)
    assert edited(script, draft.passage, "Something else.")
