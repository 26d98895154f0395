"""S5: from ballots to one order of all scripts. A pure function with a declared rule for every tie."""

from __future__ import annotations

from flair_ray.domain.ballots import Ballot
from flair_ray.domain.ids import PersonaId, ScriptId
from flair_ray.domain.scripts import CandidateScript
from flair_ray.stages.s5_rank import rank


def script(name: str) -> CandidateScript:
    return CandidateScript(ScriptId(name), "pattern", f"Hook of {name}.", "Body.", "Payoff.", 20.0, "notes")


def ballot(*top: str) -> Ballot:
    return Ballot(PersonaId("p"), tuple(map(ScriptId, top)), (), 0)


SCRIPTS = [script(name) for name in "ABCDEF"]


def order(*ballots: Ballot) -> str:
    return "".join(row.script_id for row in rank(ballots, SCRIPTS, spoiled=0).rows)


def test_five_points_for_a_first_place_one_for_a_fifth() -> None:
    rows = rank([ballot(*"ABCDE"), ballot(*"ABCDF")], SCRIPTS, spoiled=0).rows
    assert {row.script_id: row.score for row in rows} == {"A": 10, "B": 8, "C": 6, "D": 4, "E": 1, "F": 1}


def test_every_script_gets_a_row_also_without_a_vote() -> None:
    rows = rank([ballot(*"ABCDE")], SCRIPTS, spoiled=0).rows
    assert [row.rank for row in rows] == [1, 2, 3, 4, 5, 6]
    assert (rows[-1].script_id, rows[-1].score, rows[-1].mentions) == ("F", 0, 0)


SWAPPED = str.maketrans("AB", "BA")


def test_equal_points_go_by_how_many_others_are_beaten() -> None:
    """A and B have ten points each; B is preferred to all five others, A to four. And the other way round."""
    votes = ["BAFEC", "AECFD", "BEFDA"]
    assert order(*(ballot(*v) for v in votes))[:2] == "BA"
    assert order(*(ballot(*v.translate(SWAPPED)) for v in votes))[:2] == "AB"


def test_then_by_first_choices() -> None:
    """Ten points and four others beaten, both; only A was anybody's first choice."""
    votes = ["AFBCD", "DBECA", "EABFD"]
    assert order(*(ballot(*v) for v in votes))[:2] == "AB"
    assert order(*(ballot(*v.translate(SWAPPED)) for v in votes))[:2] == "BA"


def test_a_perfect_tie_is_broken_by_the_text_and_never_by_who_came_first() -> None:
    votes = (ballot("A", "B"), ballot("B", "A"))
    assert order(*votes) == order(*reversed(votes))
    assert rank(votes, SCRIPTS, 2).rows == rank(votes, SCRIPTS[::-1], 2).rows


def test_a_missing_ballot_is_counted_and_not_scored() -> None:
    ranking = rank([ballot(*"ABCDE")], SCRIPTS, spoiled=2)
    assert (ranking.ballots, ranking.spoiled) == (1, 2)


def test_the_best_few_are_a_cut_of_the_same_list() -> None:
    ranking = rank([ballot(*"FEDCB")], SCRIPTS, spoiled=0)
    assert [row.script_id for row in ranking.top(2)] == ["F", "E"]
    assert len(ranking.top(99)) == len(SCRIPTS)
