"""S4: who sees what, and which ballots count."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flair_ray.data import sample_personas
from flair_ray.domain.answers import BallotForm
from flair_ray.domain.ids import ScriptId
from flair_ray.domain.scripts import CandidateScript
from flair_ray.errors import InvalidAnswer
from flair_ray.stages.s4_vote import Vote, work


def scripts(count: int) -> tuple[CandidateScript, ...]:
    return tuple(CandidateScript(ScriptId(f"S{n:02d}"), "p", f"Hook {n}.", "B.", "P.", 20.0, "n") for n in range(count))


@given(st.integers(1, 30), st.integers(1, 60), st.integers())
def test_blocks_are_as_many_as_can_be_and_equally_large(count: int, voters: int, seed: int) -> None:
    todo = work(scripts(count), sample_personas()[:voters], seed)
    blocks = Counter(voter.block for _, voter in todo.items)
    assert len(blocks) == len(todo.shared.orders) == min(6, count, voters)
    assert max(blocks.values()) - min(blocks.values()) <= 1
    assert sum(blocks.values()) == voters


@pytest.mark.parametrize("count", [1, 3, 5, 20])
def test_a_ballot_names_the_scripts_behind_the_labels(count: int) -> None:
    todo = work(scripts(count), sample_personas()[:7], seed=7)
    _, voter = todo.items[4]
    length = min(5, count)
    chosen = list(reversed(todo.shared.labels))[:length]
    ballot = Vote().parse(todo.shared, voter, BallotForm(reaction="Hm.", top=chosen))
    by_label = dict(zip(todo.shared.labels, (s.script_id for s in todo.shared.scripts), strict=True))
    assert list(ballot.top) == [by_label[label] for label in chosen]
    assert sorted(ballot.order) == sorted(s.script_id for s in scripts(count))
    assert (ballot.block, ballot.reaction) == (voter.block, "Hm.")


@pytest.mark.parametrize("wrong", ["repeated", "unknown", "short", "long", "empty"])
def test_a_wrong_ballot_is_refused_with_its_reason(wrong: str) -> None:
    todo = work(scripts(8), sample_personas()[:7], seed=7)
    a, b, c, d, e, f, *_ = todo.shared.labels
    top = {
        "repeated": [a, b, c, d, a],
        "unknown": [a, b, c, d, "AEIOU"],
        "short": [a, b, c, d],
        "long": [a, b, c, d, e, f],
        "empty": [],
    }[wrong]
    with pytest.raises(InvalidAnswer, match="exactly 5 different labels") as refused:
        Vote().parse(todo.shared, todo.items[0][1], BallotForm(reaction="Hm.", top=top))
    assert (", ".join(top) or "none") in str(refused.value)


@pytest.mark.parametrize("count", [1, 4, 5, 21])
def test_the_form_asks_for_no_more_labels_than_there_are(count: int) -> None:
    todo = work(scripts(count), sample_personas()[:7], seed=7)
    request = Vote().request(todo.shared, todo.items[0][1])
    answer = request.answer.model_validate({"reaction": "Hm.", "top": list(todo.shared.labels)[: min(5, count)]})
    assert len(Vote().parse(todo.shared, todo.items[0][1], answer).top) == min(5, count)
    assert f"Rank your {min(5, count)} favourites" in request.varying


def test_what_viewers_of_a_run_are_told() -> None:
    todo = work(scripts(6), sample_personas()[:7], seed=7)
    _, voter = todo.items[0]
    ballot = Vote().parse(todo.shared, voter, BallotForm(reaction="Hm.", top=list(todo.shared.labels)[:5]))
    told = Vote().progress(voter, ballot).data
    assert told["top_5"] == list(ballot.top)
    assert told["persona_name"] == Vote().started(voter).data["name"] == voter.persona.name
    assert Vote().skipped(voter, "why").data["item_id"] == voter.persona.persona_id


def test_without_scripts_nobody_is_asked() -> None:
    assert work((), sample_personas()[:3], seed=1).items == ()
