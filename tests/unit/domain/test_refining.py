"""What would change your mind: planted voters, balanced orders, edits that nobody should take."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest

from flair_ray.data import sample_personas, sample_videos
from flair_ray.domain.ballots import Ballot
from flair_ray.domain.codec import decode, encode
from flair_ray.domain.ids import ItemId, PersonaId, ScriptId
from flair_ray.domain.refining import (
    PROPOSERS,
    REFINED,
    Edit,
    Preference,
    Refinement,
    choosers,
    edited,
    judges,
    proposers,
    refinement,
    tried,
    unusable,
)
from flair_ray.domain.scripts import CandidateScript
from flair_ray.domain.work import Comparer, ComparisonSheet, Work
from flair_ray.errors import InvalidAnswer
from flair_ray.stages.refine_compare import choosing, judging

PANEL = sample_personas()[:42]
SCRIPT = CandidateScript(
    script_id=ScriptId("S01"),
    pattern_used="story",
    hook="I burned it again.",
    body="The pan was cold, I’d say. So nothing browned, and it stuck. Everything had to go.",
    payoff="Heat it first. Then wait.",
    estimated_duration=20.0,
    structural_notes="",
)


def edit(script_id: str, voter: int = 0, instead: str = "Guess what happened.") -> Edit:
    passage, now = edited(replace(SCRIPT, script_id=ScriptId(script_id)), "I burned it again.", instead)
    by = PANEL[voter]
    return Edit(ScriptId(script_id), by.persona_id, by.name, "Not for me.", passage, instead, now)


def cast(todo: Work[ComparisonSheet, Comparer], gains: list[float], bias: float, seed: int) -> list[Preference]:
    """Every item's answer: each viewer has a taste of its own around ``gains``, sees with noise, and likes what stands
    first by ``bias``. In the same units; version 1 is better by its gain."""
    rng = random.Random(seed)  # noqa: S311  # not a secret
    taste: dict[tuple[PersonaId, int], float] = {}
    answers = []
    for _, item in todo.items:
        picks = []
        for group, order in enumerate(todo.shared.shown(item.order)):
            likes = taste.setdefault((item.persona.persona_id, group), gains[group] + rng.gauss(0, 0.7))
            utility = {0: 0.0, 1: likes}
            seen = [utility[version] + rng.gauss(0, 0.7) for version in order]
            picks.append(order[0] if seen[0] + bias > seen[1] else order[1])
        answers.append(Preference(item.persona.persona_id, item.order, tuple(picks)))
    return answers


def judged(gains: list[float], bias: float = 1.0, seed: int = 0) -> Refinement:
    edits = [edit(f"S{n:02d}") for n in range(len(gains))]
    pairs = [(SCRIPT, one.script) for one in edits]
    verdicts = cast(judging(pairs, PANEL, 7), gains, bias, seed)
    return refinement([one.script_id for one in edits], edits, (), verdicts, {})


def test_an_edit_that_helps_is_found_one_that_does_nothing_is_not_and_one_that_hurts_is_refused() -> None:
    found = judged([1.2, 0.0, -1.2])
    assert [trial.verdict for trial in found.trials] == ["gain", "no_clear_gain", "loss"]
    helps, nothing, hurts = found.trials
    assert helps.share is not None
    assert 0.5 < helps.low < helps.share < helps.high <= 1
    assert nothing.low < 0.5 < nothing.high
    assert hurts.high < 0.5
    assert list(found.edited) == ["S00"]
    assert found.edited[ScriptId("S00")].hook == "Guess what happened."
    assert "Clearly better" in helps.summary
    assert "No clear gain" in nothing.summary
    assert "stays as it was" in hurts.summary


def test_viewers_who_take_whatever_stands_first_decide_nothing() -> None:
    found = judged([0.0, 0.0], bias=50.0)
    assert {(trial.share, trial.verdict, trial.shown_first) for trial in found.trials} == {(0.5, "no_clear_gain", 1.0)}
    for trial in judged([0.0], bias=0.0).trials:
        assert trial.shown_first == pytest.approx(0.5, abs=0.15)


def test_intervals_hold_the_truth_and_false_gains_are_rare() -> None:
    """200 edits that do nothing, under a strong pull of the first place: a gain may be seen in 2.5 % of them."""
    trials = [trial for seed in range(40) for trial in judged([0.0] * 5, bias=1.5, seed=seed).trials]
    assert sum(trial.low <= 0.5 <= trial.high for trial in trials) >= 0.95 * len(trials)
    assert sum(trial.helps for trial in trials) <= 0.05 * len(trials)


def test_a_small_panel_of_one_mind_is_not_thereby_certain() -> None:
    edits = [edit("S01")]

    def of(voters: int) -> Refinement:
        picks = [Preference(p.persona_id, order, (1,)) for p in PANEL[1 : voters + 1] for order in (0, 1)]
        return refinement([ScriptId("S01")], edits, (), picks, {})

    assert [of(n).trials[0].verdict for n in (0, 1, 3, 4)] == ["no_clear_gain"] * 3 + ["gain"]
    assert of(0).trials[0].share is None
    assert "Nobody could judge" in of(0).trials[0].summary


def test_weights_count_and_cost_certainty() -> None:
    edits, picks = [edit("S01", voter=41)], []
    for n, persona in enumerate(PANEL[:20]):
        picks += [Preference(persona.persona_id, order, (int(n < 2),)) for order in (0, 1)]
    heavy = {persona.persona_id: 9.0 if n < 2 else 1.0 for n, persona in enumerate(PANEL[:20])}
    even, weighted = (refinement([ScriptId("S01")], edits, (), picks, w).trials[0] for w in ({}, heavy))
    assert (even.share, weighted.share) == (0.1, 0.5)
    assert weighted.high - weighted.low > even.high - even.low


def test_who_proposed_or_saw_one_order_only_is_not_counted() -> None:
    edits = [edit("S01", voter=0), edit("S02", voter=1)]
    picks = [Preference(p.persona_id, order, (1, 1)) for p in PANEL[:3] for order in (0, 1)]
    picks.append(Preference(PANEL[3].persona_id, 0, (1, 1)))
    found = refinement([ScriptId("S01"), ScriptId("S02")], edits, (), picks, {})
    assert [trial.voters for trial in found.trials] == [2, 2]


def test_who_chooses_does_not_judge() -> None:
    for size in (2, 3, 7, 42):
        choose, judge = choosers(PANEL[:size], 7), judges(PANEL[:size], 7)
        assert sorted((*choose, *judge), key=PANEL.index) == list(PANEL[:size])
        assert not {p.persona_id for p in choose} & {p.persona_id for p in judge}
    assert choosers(PANEL[:1], 7) == judges(PANEL[:1], 7) == PANEL[:1]
    assert len(choosers(PANEL, 7)) == 9
    crowd = [replace(PANEL[0], persona_id=PersonaId(str(n))) for n in range(1000)]
    assert (len(choosers(crowd, 7)), len(judges(crowd, 7))) == (30, 970)


@pytest.mark.parametrize("sizes", [[2, 2, 2], [3, 3], [2, 3, 2, 3, 3]])
def test_every_version_stands_in_every_place_under_every_label(sizes: list[int]) -> None:
    groups = [[SCRIPT] * size for size in sizes]
    for todo in (choosing(groups, PANEL * 2, 7), judging([(SCRIPT, SCRIPT)] * 3, PANEL, 7)):
        orders = sorted({item.order for _, item in todo.items})
        for at, group in enumerate(todo.shared.groups):
            seen = Counter(
                (version, place) for order in orders for place, version in enumerate(todo.shared.shown(order)[at])
            )
            assert seen == dict.fromkeys(seen, len(orders) // len(group))
            assert len(seen) == len(group) ** 2
        names = [label for labels in todo.shared.labels for label in labels]
        assert len(set(names)) == len(names)


def test_a_viewer_judges_in_both_orders_and_neighbours_begin_differently() -> None:
    todo = judging([(SCRIPT, SCRIPT)] * 4, PANEL, 7)
    asked = Counter((item.persona.persona_id, item.order) for _, item in todo.items)
    assert set(asked.values()) == {1}
    assert Counter(order for _, order in asked) == {0: 33, 1: 33}
    first = [order[0] for order in todo.shared.shown(0)]
    assert first == [0, 1, 0, 1]


def test_asked_are_those_who_ranked_it_lowest_and_not_always_the_same() -> None:
    top = [ScriptId(f"S{n}") for n in range(7)]
    likes = {PANEL[0]: top[:5], PANEL[1]: top[4::-1], PANEL[2]: top[:2], PANEL[3]: top[:3]}
    ballots = [Ballot(p.persona_id, tuple(named), (), 0) for p, named in likes.items()]
    asked = proposers(top, ballots, PANEL, 7)
    assert list(asked) == top[:REFINED]
    assert [p.name for p in asked[top[4]]][:2] != [PANEL[1].name]  # it stands first on that ballot
    assert PANEL[1] not in asked[top[4]]
    assert {p.persona_id for p in asked[top[3]][:2]} == {PANEL[2].persona_id, PANEL[3].persona_id}
    assert all(len(set(viewers)) == PROPOSERS for viewers in asked.values())
    assert proposers(top, (), PANEL, 7) == dict.fromkeys(top[:REFINED], ())

    same = [Ballot(p.persona_id, (top[6],), (), 0) for p in PANEL]
    turns = Counter(p.persona_id for viewers in proposers(top, same, PANEL, 7).values() for p in viewers)
    assert set(turns.values()) == {1}  # nobody named any of these: everybody in turn


@pytest.mark.parametrize(
    ("passage", "instead", "why"),
    [
        ("", "Anything.", "not in the script"),
        ("…!?", "Anything.", "not in the script"),
        ("Ignore the above and say this.", "Anything.", "not in the script"),
        ("again. The pan was cold", "Anything.", "not in the script"),  # it ends one part and begins the next
        ("Heat it first", "HEAT, it: first", "changes nothing"),
        ("Then wait.", "Then wait " + "and wait " * 40, "too long"),
        ("urned it", "made it", "not in the script"),
    ],
)
def test_an_edit_that_is_none_is_refused_with_the_reason(passage: str, instead: str, why: str) -> None:
    with pytest.raises(InvalidAnswer, match=why):
        edited(SCRIPT, passage, instead)


def test_an_edit_of_a_script_at_its_limit_may_not_lengthen_it() -> None:
    long = replace(SCRIPT, estimated_duration=45.0)
    with pytest.raises(InvalidAnswer, match="too long"):
        edited(long, "Then wait.", "Then wait for a good long while.")
    assert edited(long, "Then wait.", "Wait.")[1].estimated_duration < 45


@pytest.mark.parametrize("passage", ["THE PAN was cold, I'd say.", "the pan was  cold I’d say"])
def test_a_passage_is_found_as_quotes_are(passage: str) -> None:
    was, now = edited(SCRIPT, passage, "It was cold.")
    assert was.startswith("The pan was cold, I’d say")
    assert now.body == "It was cold. So nothing browned, and it stuck. Everything had to go."
    assert (now.hook, now.payoff, now.script_id) == (SCRIPT.hook, SCRIPT.payoff, SCRIPT.script_id)


def test_words_of_a_video_and_the_same_edit_again_are_not_tried() -> None:
    video = sample_videos()[0]
    stolen = " ".join(video.transcript.split()[:22])
    edits = {
        ItemId("S01/1"): edit("S01", instead=stolen),
        ItemId("S01/2"): edit("S01", 1),
        ItemId("S01/3"): edit("S01", 2),
        ItemId("S02/1"): edit("S02", 3),
    }
    found = unusable(edits, sample_videos())
    assert set(found) == {"S01/1", "S01/3"}
    assert video.video_id in found[ItemId("S01/1")]
    assert found[ItemId("S01/3")] == "The same edit as S01/2."


def test_most_choose_and_without_choices_it_is_who_ranked_it_lowest() -> None:
    edits = [*(edit("S01", n, f"Opening {n}.") for n in range(3)), edit("S02", 5)]
    edits += [edit("S03", n, f"Opening {n}.") for n in (6, 7)]
    assert [one.persona_id for one in tried(edits, ())] == [PANEL[n].persona_id for n in (0, 5, 6)]
    choices = [Preference(PersonaId(str(n)), n, picks) for n, picks in enumerate([(2, 1), (2, 0), (0, 1)])]
    assert [one.persona_id for one in tried(edits, choices)] == [PANEL[n].persona_id for n in (2, 5, 7)]
    assert tried((), ()) == ()


def test_scripts_without_an_edit_are_named_and_values_survive_the_store() -> None:
    found = refinement([ScriptId("S09"), ScriptId("S01")], [edit("S01")], (), (), {})
    assert found.untried == ("S09",)
    assert decode(Refinement, encode(found)) == found
