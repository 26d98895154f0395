"""A careful run asks some viewers twice and slips two scripts in whose place is known. None of that scores."""

from __future__ import annotations

import random
import statistics
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from flair_ray.config import Settings
from flair_ray.domain.ballots import Ballot
from flair_ray.domain.codec import encode
from flair_ray.domain.ids import PersonaId, RunId, ScriptId, StageName
from flair_ray.domain.ranking import rank
from flair_ray.domain.rigor import AGAIN, COPY, DULL, Rigor, counted, original, without_controls
from flair_ray.domain.runs import RunStatus
from flair_ray.domain.scripts import CandidateScript
from flair_ray.engine.driver import Driver
from flair_ray.engine.estimate import estimate
from flair_ray.engine.loading import load_state
from flair_ray.engine.order import Order, prepare
from flair_ray.engine.results import gather_result
from flair_ray.stages.s4_vote import Vote, work
from flair_ray.stores.redis_store import RedisRunStore

A, B, C = map(ScriptId, "ABC")


@pytest.fixture
def order(small_order: Order) -> Order:
    return replace(small_order, rigor=Rigor.CAREFUL)


async def test_the_tests_are_in_the_evidence_and_nowhere_else(
    store: RedisRunStore,
    submit: Callable[[Order], Awaitable[RunId]],
    local_driver: Callable[..., Driver],
    order: Order,
) -> None:
    run_id = await submit(order)
    assert await local_driver().drive(run_id) is RunStatus.COMPLETED
    state = await load_state(store, run_id)
    assert len(state.cast) == 7 + 3  # a third, rounded up
    assert [b.persona_id for b in state.ballots] == [p.persona_id for p in state.personas]
    ids = {script.script_id for script in state.scripts}
    assert all(set(ballot.top) <= ids for ballot in state.ballots)
    assert {row.script_id for row in state.ranking.rows} == ids
    assert (state.ranking.ballots, state.ranking.spoiled, state.ranking.late) == (7, 0, 0)

    assert state.ranking.evidence is not None
    found = state.ranking.evidence.reliability
    assert found is not None
    assert (found.asked_again, found.scripts, found.copied in ids) == (3, 8, True)
    assert found.copy.slope == 0 or found.copy.low <= found.copy.slope <= found.copy.high
    result = await gather_result(store, run_id)
    assert encode(result.ranking) == encode(state.ranking)  # computed again, to the byte
    assert not {COPY, DULL} & {script.script_id for script in result.scripts}

    votes = [event.data for event in await store.events(run_id) if event.name == "vote_cast"]
    assert [vote["top_5"] for vote in votes if vote["persona_id"].endswith(AGAIN)] == [[]] * 3
    assert not {COPY, DULL} & {script_id for vote in votes for script_id in vote["top_5"]}


async def test_a_standard_run_is_as_it_was(order: Order, settings: Settings) -> None:
    standard, careful = (prepare(replace(order, rigor=rigor), settings) for rigor in Rigor)
    assert standard[0].fingerprint != careful[0].fingerprint
    calls = [estimate(*each).stages[StageName.S4].calls for each in (standard, careful)]
    assert calls == [7, 10]


def test_who_is_asked_again_sees_another_order_and_the_same_question(order: Order, settings: Settings) -> None:
    _, inputs = prepare(order, settings)
    scripts = [CandidateScript(ScriptId(f"S{n}"), "p", f"Hook {n}.", "B.", "P.", 20.0, "") for n in range(6)]
    todo = work(scripts, inputs.personas, 7, rigor=Rigor.CAREFUL)
    voters = dict(todo.items)
    assert len(set(todo.shared.orders[0])) == 8
    for name, again in voters.items():
        if name.endswith(AGAIN):
            first = voters[type(name)(name.removesuffix(AGAIN))]
            assert again.block != first.block
            asked, before = (Vote().request(todo.shared, voter) for voter in (again, first))
            assert (asked.varying, asked.answer) == (before.varying, before.answer)


@pytest.mark.parametrize(
    ("top", "left"),
    [
        ([A, COPY, B, DULL, C], (A, B, C)),
        ([COPY, A, B], (A, B)),
        ([C, COPY, B], (C, B)),
        ([DULL, COPY], ()),
    ],
)
def test_controls_stand_for_nothing(top: list[ScriptId], left: tuple[ScriptId, ...]) -> None:
    assert without_controls(top) == left


def test_being_on_the_sheet_twice_is_no_advantage() -> None:
    """Voters who like all alike, and list what they see first: the script that is there twice stays what it was."""
    ids = [ScriptId(f"S{n}") for n in range(20)]
    scripts = [CandidateScript(i, "p", f"Hook {i}.", "B.", "P.", 20.0, "") for i in ids]
    places = []
    for seed in range(400):
        copied = original(scripts, seed).script_id
        rng = random.Random(seed)  # noqa: S311  # an experiment
        ballots = []
        for voter in range(30):
            order = rng.sample([*ids, COPY, DULL], 22)
            ballots.append(Ballot(PersonaId(f"p{voter}"), tuple(order), tuple(order[:5]), 0))
        rows = rank(counted(ballots, {ballot.persona_id for ballot in ballots}), scripts).rows
        places.append(next(row.rank for row in rows if row.script_id == copied))
    assert statistics.mean(places) == pytest.approx(10.5, abs=4 * 5.77 / 20)


def test_a_viewer_whose_name_ends_like_a_replicate_counts() -> None:
    odd = Ballot(PersonaId("p" + AGAIN), (A, B), (A, B), 0)
    assert counted([odd], {PersonaId("p" + AGAIN)}) == (odd,)
    assert counted([odd], {PersonaId("p")}) == ()
