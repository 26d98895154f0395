"""Personas are complete, distinct and few enough, or one message names the record."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from flair_ray.domain.people import Persona
from flair_ray.domain.personas import persona_key
from flair_ray.errors import InputError
from flair_ray.inputs import personas, read_personas

Write = Callable[..., Path]

ADA = {
    "persona_id": "p1",
    "name": "Ada (synthetic)",
    "age": 34,
    "location": "Porto, Portugal",
    "occupation": "nurse",
    "interests": ["bread", "climbing"],
    "platform_behavior": "scrolls on night shifts",
    "attention_style": "patient",
    "description": "Likes to learn how things are made.",
}
EXPECTED = Persona(**{**ADA, "interests": ("bread", "climbing")})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.json", json.dumps([ADA])),
        ("p.json", json.dumps({"personas": [ADA], "note": "synthetic"})),
        ("p.jsonl", json.dumps({**ADA, "mood": "fine"})),
    ],
)
def test_json(write: Write, name: str, content: str) -> None:
    assert read_personas(write(name, content)) == (EXPECTED,)


@pytest.mark.parametrize("between", [";", "|", " ; "])
def test_csv_with_a_list_in_a_cell(tmp_path: Path, between: str) -> None:
    row = {**ADA, "interests": f"bread{between}climbing{between}"}
    with (tmp_path / "p.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["ID" if key == "persona_id" else key.replace("_", " ").title() for key in row])
        writer.writerow(row.values())
    assert read_personas(tmp_path / "p.csv") == (EXPECTED,)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        (
            "p.json",
            json.dumps([ADA, {"name": "B"}]),
            "p.json record 2: this persona cannot be used: missing persona_id, age",
        ),
        ("p.json", json.dumps([{**ADA, "age": "old"}]), "p.json record 1: .*age: Input should be a valid integer"),
        ("p.json", json.dumps([{**ADA, "age": 7}]), "age: Input should be greater than or equal to 13"),
        ("p.json", json.dumps([{**ADA, "interests": [5]}]), "interests.0: Input should be a valid string"),
        ("p.json", json.dumps([{**ADA, "name": ""}]), "name: String should have at least 1 character"),
        ("p.json", json.dumps([ADA, ADA]), "p.json record 2: persona_id 'p1' was already used"),
        ("p.json", json.dumps([ADA, 5]), "p.json record 2: a number, not an object"),
        ("p.json", "[]", "no persona in it"),
        ("p.json", "{", "broken JSON at line 1, column 2"),
        ("p.jsonl", json.dumps(ADA) + "\n{", "p.jsonl line 2: broken JSON"),
        ("p.csv", "persona_id,name\np1\n", "p.csv line 2: this persona cannot be used: missing name, age"),
        ("p.csv", b"name\n\xe9", "not UTF-8: byte 0xe9 at offset 5"),
        ("p.txt", "Ada", "personas are read from .csv, .tsv"),
    ],
)
def test_one_bad_record_is_the_end(write: Write, name: str, content: str | bytes, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        read_personas(write(name, content))
    assert name in str(caught.value)


def test_too_many(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(personas, "MAX_PERSONAS", 2)
    everyone = [{**ADA, "persona_id": f"p{n}"} for n in range(3)]
    with pytest.raises(InputError, match=r"p\.json: more than 2 personas"):
        read_personas(write("p.json", json.dumps(everyone)))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"p\.json: No such file"):
        read_personas(tmp_path / "p.json")


def test_a_weight_is_how_much_a_ballot_counts_and_no_part_of_who_it_is(write: Write) -> None:
    (heavy,) = read_personas(write("p.json", json.dumps([{**ADA, "weight": 2.5}])))
    assert (heavy.weight, EXPECTED.weight) == (2.5, 1.0)
    assert persona_key(heavy) == persona_key(EXPECTED)
    csv_row = ",".join(str(value) if key != "interests" else "bread" for key, value in ADA.items() if key != "location")
    (light,) = read_personas(
        write("p.csv", f"{','.join(k for k in ADA if k != 'location')},location,weight\n{csv_row},Porto,0.5")
    )
    assert light.weight == 0.5


@pytest.mark.parametrize("weight", [0, -1, "heavy", 1001, float("nan")])
def test_a_weight_that_is_none_is_refused(write: Write, weight: object) -> None:
    with pytest.raises(InputError, match="weight"):
        read_personas(write("p.json", json.dumps([{**ADA, "weight": weight}])))
