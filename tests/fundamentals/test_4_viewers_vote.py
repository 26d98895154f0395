"""S4: every simulated viewer sees all scripts and ranks five. The order in which they stand must not decide."""

from __future__ import annotations

from collections import Counter

import pytest

from flair_ray.data import sample_personas
from flair_ray.domain.answers import BallotForm
from flair_ray.domain.ids import ScriptId
from flair_ray.domain.scripts import CandidateScript
from flair_ray.errors import InvalidAnswer
from flair_ray.providers.offline import OfflineProvider
from flair_ray.stages.s4_vote import Vote, work

SCRIPTS = tuple(
    CandidateScript(ScriptId(f"S{n:02d}"), "secret pattern", f"Hook {n}.", f"Body {n}.", f"Payoff {n}.", 20.0, "notes")
    for n in range(1, 9)
)
VIEWERS = sample_personas()[:12]


def test_one_item_per_viewer() -> None:
    assert [item_id for item_id, _ in work(SCRIPTS, VIEWERS, seed=7).items] == [p.persona_id for p in VIEWERS]


def test_viewers_are_dealt_over_six_orders() -> None:
    todo = work(SCRIPTS, VIEWERS, seed=7)
    assert len(set(todo.shared.orders)) == 6
    assert set(Counter(voter.block for _, voter in todo.items).values()) == {2}


def test_every_script_stands_early_and_late() -> None:
    orders = work(SCRIPTS, VIEWERS, seed=7).shared.orders
    for script in range(len(SCRIPTS)):
        places = [order.index(script) for order in orders]
        assert min(places) <= 1
        assert max(places) >= 6


def test_labels_say_nothing_of_place_or_name() -> None:
    sheet = work(SCRIPTS, VIEWERS, seed=7).shared
    assert len(set(sheet.labels)) == len(SCRIPTS)
    assert not any(character in "AEIOU0123456789" for label in sheet.labels for character in label)
    assert list(sheet.labels) != sorted(sheet.labels)


def test_viewers_of_one_order_share_every_byte_but_themselves() -> None:
    """36 of 42 calls find their beginning in the provider's cache."""
    todo = work(SCRIPTS, VIEWERS, seed=7)
    asked = [Vote().request(todo.shared, voter) for _, voter in todo.items]
    assert len({(a.system, a.shared) for a in asked}) == 6
    assert len({a.varying for a in asked}) == len(VIEWERS)
    assert len({id(a.shared) for a in asked}) == 6, (
        "ten thousand that queue would hold ten thousand copies of the sheet"
    )


def test_a_viewer_does_not_see_what_a_viewer_would_not_see() -> None:
    todo = work(SCRIPTS, VIEWERS, seed=7)
    asked = Vote().request(todo.shared, todo.items[0][1])
    assert "secret pattern" not in asked.shared
    assert "S01" not in asked.shared


async def test_an_answer_becomes_a_ballot_that_remembers_its_order() -> None:
    todo = work(SCRIPTS, VIEWERS, seed=7)
    _, voter = todo.items[3]
    request = Vote().request(todo.shared, voter)
    completion = await OfflineProvider().complete(request, timeout_s=5)
    ballot = Vote().parse(todo.shared, voter, request.answer.model_validate_json(completion.text))
    assert len(set(ballot.top)) == 5
    assert ballot.order == tuple(SCRIPTS[i].script_id for i in todo.shared.orders[voter.block])


def test_a_script_named_twice_spoils_the_ballot() -> None:
    todo = work(SCRIPTS, VIEWERS, seed=7)
    a, b, c, d, *_ = todo.shared.labels
    with pytest.raises(InvalidAnswer, match="exactly 5 different labels"):
        Vote().parse(todo.shared, todo.items[0][1], BallotForm(reaction="hm", top=[a, b, c, d, a]))


def test_three_scripts_want_three_places() -> None:
    todo = work(SCRIPTS[:3], VIEWERS, seed=7)
    assert len(todo.shared.orders) == 3
    form = BallotForm(reaction="hm", top=list(todo.shared.labels))
    assert Vote().parse(todo.shared, todo.items[0][1], form).top == ("S01", "S02", "S03")
