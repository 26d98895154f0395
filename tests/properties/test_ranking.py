"""The ranking depends on what was voted and on what the scripts say, on nothing else."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from flair_ray.domain.ballots import BALLOT_LENGTH, Ballot
from flair_ray.domain.ids import PersonaId, ScriptId
from flair_ray.domain.ranking import borda_scores, pairwise_wins, rank
from flair_ray.domain.scripts import CandidateScript


def script(number: int) -> CandidateScript:
    return CandidateScript(ScriptId(f"S{number:02d}"), "p", f"Hook {number}.", "Body.", "Payoff.", 20.0, "notes")


@st.composite
def elections(draw: st.DrawFn) -> tuple[list[Ballot], list[CandidateScript]]:
    scripts = [script(n) for n in range(draw(st.integers(1, 12)))]
    ids = [s.script_id for s in scripts]
    tops = draw(st.lists(st.permutations(ids).map(lambda order: tuple(order[:BALLOT_LENGTH])), max_size=15))
    return [Ballot(PersonaId(f"p{n}"), top, tuple(ids), 0) for n, top in enumerate(tops)], scripts


@given(elections(), st.randoms(use_true_random=False))
def test_the_order_of_ballots_and_scripts_plays_no_part(
    election: tuple[list[Ballot], list[CandidateScript]], rng: object
) -> None:
    ballots, scripts = election
    shuffled = sorted(ballots, key=lambda _: rng.random()), sorted(scripts, key=lambda _: rng.random())  # type: ignore[attr-defined]
    assert rank(*shuffled) == rank(ballots, scripts)


@given(elections(), st.data())
def test_names_play_no_part(election: tuple[list[Ballot], list[CandidateScript]], data: st.DataObject) -> None:
    """Scripts under other ids, with the same texts and votes, come in the same order."""
    ballots, scripts = election
    ids = [s.script_id for s in scripts]
    other = dict(zip(ids, data.draw(st.permutations(ids)), strict=True))
    renamed = [replace(s, script_id=other[s.script_id]) for s in scripts]
    revoted = [replace(b, top=tuple(other[i] for i in b.top)) for b in ballots]
    rows = [replace(row, script_id=other[row.script_id]) for row in rank(ballots, scripts).rows]
    assert list(rank(revoted, renamed).rows) == rows


@given(elections())
def test_every_script_has_one_row_and_ranks_have_no_gap(
    election: tuple[list[Ballot], list[CandidateScript]],
) -> None:
    ballots, scripts = election
    rows = rank(ballots, scripts).rows
    assert {row.script_id for row in rows} == {s.script_id for s in scripts}
    assert [row.rank for row in rows] == list(range(1, len(scripts) + 1))
    assert [row.score for row in rows] == sorted((row.score for row in rows), reverse=True)


@given(elections())
def test_no_points_are_lost(election: tuple[list[Ballot], list[CandidateScript]]) -> None:
    ballots, scripts = election
    given_out = sum(sum(range(5, 5 - len(b.top), -1)) for b in ballots)
    assert sum(borda_scores(ballots, [s.script_id for s in scripts]).values()) == given_out
    rows = rank(ballots, scripts).rows
    assert sum(row.mentions for row in rows) == sum(len(b.top) for b in ballots)
    assert sum(row.first_choices for row in rows) == len(ballots)


@given(elections())
def test_pairwise_wins_are_counted_as_they_are_defined(
    election: tuple[list[Ballot], list[CandidateScript]],
) -> None:
    """By hand, over every pair and every ballot: a listed script beats an unlisted one."""
    ballots, scripts = election
    ids = [s.script_id for s in scripts]

    def prefers(ballot: Ballot, a: ScriptId, b: ScriptId) -> bool:
        return a in ballot.top and (b not in ballot.top or ballot.top.index(a) < ballot.top.index(b))

    expected = {
        a: sum(sum(prefers(v, a, b) for v in ballots) > sum(prefers(v, b, a) for v in ballots) for b in ids if b != a)
        for a in ids
    }
    assert pairwise_wins(ballots, ids) == expected


@given(elections().filter(lambda e: len(e[1]) > 1), st.data())
def test_a_vote_more_never_hurts_its_favourite(
    election: tuple[list[Ballot], list[CandidateScript]], data: st.DataObject
) -> None:
    ballots, scripts = election
    ids = [s.script_id for s in scripts]
    favourite = data.draw(st.sampled_from(ids))
    before = next(r.rank for r in rank(ballots, scripts).rows if r.script_id == favourite)
    voted = [*ballots, Ballot(PersonaId("new"), (favourite,), tuple(ids), 0)]
    assert next(r.rank for r in rank(voted, scripts).rows if r.script_id == favourite) <= before


@given(elections().filter(lambda e: len(e[1]) > 1), st.data())
def test_moving_a_script_up_on_ballots_never_takes_it_down(
    election: tuple[list[Ballot], list[CandidateScript]], data: st.DataObject
) -> None:
    """Also onto ballots that left it out, whose last one then goes, and whatever their voters weigh."""
    ballots, scripts = election
    moved = data.draw(st.sampled_from([s.script_id for s in scripts]))
    weights = {b.persona_id: data.draw(st.sampled_from([0.5, 1.0, 3.0])) for b in ballots}

    def lifted(ballot: Ballot) -> Ballot:
        others = [i for i in ballot.top if i != moved]
        stands = ballot.top.index(moved) if moved in ballot.top else len(others)
        to = data.draw(st.integers(0, stands))
        return replace(ballot, top=(*others[:to], moved, *others[to:])[: len(ballot.top)])

    def place(voted: list[Ballot]) -> int:
        return next(r.rank for r in rank(voted, scripts, weights=weights).rows if r.script_id == moved)

    assert place([lifted(ballot) for ballot in ballots]) <= place(ballots)
