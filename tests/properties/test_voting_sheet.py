"""Orders and labels that give no script an advantage."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from flair_ray.data import sample_personas
from flair_ray.domain.answers import BallotForm
from flair_ray.domain.ids import ScriptId
from flair_ray.domain.labels import CONSONANTS, labels
from flair_ray.domain.scripts import CandidateScript
from flair_ray.errors import InvalidAnswer
from flair_ray.stages.s4_vote import BLOCKS, Vote, cyclic_orders, work

counts = st.integers(1, 60)
seeds = st.integers()


@st.composite
def sheets(draw: st.DrawFn) -> tuple[int, tuple[tuple[int, ...], ...]]:
    count = draw(counts)
    return count, cyclic_orders(count, draw(st.integers(1, min(BLOCKS, count))), draw(seeds))


@given(sheets())
def test_every_order_shows_every_script_once(sheet: tuple[int, tuple[tuple[int, ...], ...]]) -> None:
    count, orders = sheet
    assert all(sorted(order) == list(range(count)) for order in orders)
    assert len(set(orders)) == len(orders)


@given(sheets())
def test_each_scripts_places_are_spread_evenly(sheet: tuple[int, tuple[tuple[int, ...], ...]]) -> None:
    """Round the circle, the gaps between a script's places differ by at most one."""
    count, orders = sheet
    for script in range(count):
        places = sorted(order.index(script) for order in orders)
        gaps = [(b - a) % count or count for a, b in zip(places, [*places[1:], places[0]], strict=True)]
        assert max(gaps) - min(gaps) <= 1
        assert sum(gaps) == count


@given(sheets())
def test_each_place_is_held_by_as_many_scripts_as_there_are_orders(
    sheet: tuple[int, tuple[tuple[int, ...], ...]],
) -> None:
    count, orders = sheet
    for place in range(count):
        assert len({order[place] for order in orders}) == len(orders)


@given(st.integers(1, 1200), seeds)
def test_labels_are_distinct_and_say_nothing(count: int, seed: int) -> None:
    made = labels(count, seed)
    assert len(set(made)) == count
    assert {len(label) for label in made} == {2 if count <= 400 else 3}
    assert all(set(label) <= set(CONSONANTS) for label in made)
    assert labels(count, seed) == made


def test_a_label_leans_to_no_place_over_many_seeds() -> None:
    """The first script is not oftener named with an early letter: 2,000 seeds, 20 letters, 100 each expected."""
    first = Counter(labels(20, seed)[0][0] for seed in range(2_000))
    assert len(first) == len(CONSONANTS)
    assert all(60 < n < 150 for n in first.values())


@given(st.integers(1, 8), st.data())
def test_only_so_many_different_known_labels_are_a_ballot(count: int, data: st.DataObject) -> None:
    """Unknown, repeated, short, long, empty, in another case, with a blank: refused, whatever it is."""
    scripts = [CandidateScript(ScriptId(f"S{n}"), "p", "Hook.", "Body.", "End.", 20.0, "") for n in range(count)]
    todo = work(scripts, sample_personas()[:3], seed=7)
    known = todo.shared.labels
    odd = st.sampled_from([known[0].lower(), f" {known[0]}", "", "AEIOU"]) | st.text(max_size=3)
    top = data.draw(st.lists(st.sampled_from(known) | odd, max_size=8) | st.permutations(known).map(lambda p: p[:5]))
    valid = len(top) == len(set(top)) == min(5, count) and set(top) <= set(known)
    try:
        ballot = Vote().parse(todo.shared, todo.items[0][1], BallotForm(reaction="Hm.", top=top))
    except InvalidAnswer:
        assert not valid
    else:
        assert valid
        named = dict(zip(known, scripts, strict=True))
        assert ballot.top == tuple(named[label].script_id for label in top)
