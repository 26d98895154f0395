"""Prompts as files: whole, versioned by what they say, laid out for a provider's cache."""

from __future__ import annotations

import string
from collections import defaultdict
from dataclasses import replace
from importlib.resources import files
from itertools import combinations

import pytest

from flair_ray.data import sample_personas
from flair_ray.domain.ids import ScriptId
from flair_ray.domain.scripts import CandidateScript
from flair_ray.prompts import (
    AGAIN,
    FEEDBACK_NAMES,
    NAMES,
    PARTS,
    Prompt,
    _split,
    bullet_list,
    feedback_prompt,
    prompt,
    prompts_version,
)
from flair_ray.stages import s4_vote

SCRIPTS = tuple(
    CandidateScript(ScriptId(f"S{n:02d}"), "p", f"Hook {n}?", f"Body {n}.", f"Payoff {n}.", 20.0, "n")
    for n in range(20)
)
FIELDS = {
    "s1": {"video"},
    "s3": {"creator", "videos", "library", "script_id", "pattern", "triggers", "structures", "assignment"}
    | {"together", "emotion", "loops"},
    "s4": {"count", "scripts", "viewer", "length"},
    "refine_edit": {"creator", "viewer", "place", "script"},
    "refine_compare": {"count", "groups", "viewer"},
    "s6": {"creator", "voice", "seconds", "rank", "script"},
}


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("name", NAMES)
def test_a_prompt_has_its_three_parts_and_known_fields(name: str) -> None:
    text = prompt(name)
    assert all(getattr(text, part) for part in PARTS)
    assert fields(text.shared) | fields(text.varying) == FIELDS[name]
    assert not fields(text.system)


@pytest.mark.parametrize("name", NAMES)
def test_every_prompt_says_that_material_is_no_instruction(name: str) -> None:
    system = " ".join(prompt(name).system.split())
    assert "material" in system
    assert "instructions" in system
    assert "JSON" in system


def test_there_is_a_file_for_each_name_and_no_other() -> None:
    found = {path.name for path in files("flair_ray.prompts").iterdir() if path.name.endswith(".md")}
    assert found == {f"{name}.md" for name in (*NAMES, *FEEDBACK_NAMES, AGAIN)}


def test_what_results_have_taught_has_known_fields() -> None:
    assert [fields(feedback_prompt(name)) for name in FEEDBACK_NAMES] == [
        {"posts", "results"},
        {"posts", "panel", "results"},
    ]
    assert fields(feedback_prompt(AGAIN)) == {"draft"}


@pytest.mark.parametrize("part", PARTS)
def test_a_version_changes_with_the_text(part: str) -> None:
    text = prompt("s1")
    assert replace(text, **{part: getattr(text, part) + "."}).version != text.version
    assert replace(text).version == text.version


def test_text_that_moves_from_one_part_to_another_is_another_text() -> None:
    assert Prompt("ab", "c", "d").version != Prompt("a", "bc", "d").version


def test_the_version_of_all_is_stable() -> None:
    assert prompts_version() == prompts_version()
    assert len({prompt(name).version for name in NAMES}) == len(NAMES)


def test_parts_may_quote_brackets() -> None:
    assert _split("[system]\na [b] c\n[shared]\n[not a part]\n[varying]\nx\n") == Prompt("a [b] c", "[not a part]", "x")


def test_a_missing_part_is_a_mistake() -> None:
    with pytest.raises(KeyError, match="varying"):
        _split("[system]\na\n[shared]\nb\n")


def test_lists() -> None:
    assert bullet_list(("a", "b")) == "- a\n- b"
    assert bullet_list(()) == "(none given)"


def test_a_whole_vote_shares_its_prefix_byte_for_byte() -> None:
    """42 voters, 20 scripts, six orders: within an order prompts differ from the viewer on, and 36 of 42 calls find
    their beginning in a cache."""
    todo = s4_vote.work(SCRIPTS, sample_personas()[:42], seed=7)
    by_block = defaultdict(list)
    for _, voter in todo.items:
        request = s4_vote.Vote().request(todo.shared, voter)
        by_block[voter.block].append((request, voter.persona))
    assert sorted(len(asked) for asked in by_block.values()) == [7] * 6
    prefixes = set()
    for asked in by_block.values():
        (prefix,) = {f"{r.system}\n{r.shared}\n".encode() for r, _ in asked}
        prefixes.add(prefix)
        assert all(r.varying.startswith(f"<viewer>\n{persona.name}, {persona.age}") for r, persona in asked)
        assert len({r.answer for r, _ in asked}) == 1
    assert len(prefixes) == 6
    assert all(a != b for a, b in combinations(sorted(prefixes), 2))


def test_no_viewer_is_told_how_others_voted_or_where_the_order_came_from() -> None:
    todo = s4_vote.work(SCRIPTS, sample_personas()[:42], seed=7)
    text = s4_vote.Vote().request(todo.shared, todo.items[0][1]).shared
    assert not any(script.script_id in text for script in SCRIPTS)
    assert all(text.count(f"<script-{label}>") == 1 for label in todo.shared.labels)
