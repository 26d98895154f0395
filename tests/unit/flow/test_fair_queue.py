"""Turns are fair between sessions and between a session's runs."""

from __future__ import annotations

from flair_ray.flow.fair_queue import FairQueue
from flair_ray.ports import Ask


def asks(run: str, count: int, session: str = "s") -> list[Ask]:
    return [Ask(f"{session}/{run}/{i}", 1, run, session) for i in range(count)]


def filled(*groups: list[Ask]) -> FairQueue:
    queue = FairQueue()
    for group in groups:
        for ask in group:
            queue.add(ask)
    return queue


def test_a_run_of_ten_is_not_stuck_behind_one_of_ten_thousand() -> None:
    queue = filled(asks("big", 10_000))
    for taken in queue.take(500):
        queue.served(taken)
    for ask in asks("small", 10):
        queue.add(ask)
    served = [t.ask.run_id for t in queue.take(22)]
    assert served.count("small") == 10


def test_who_comes_while_a_batch_is_offered_does_not_queue_behind_it() -> None:
    queue = filled(asks("big", 1000, "one"))
    offered = queue.take(256)
    for ask in asks("small", 3, "two"):
        queue.add(ask)
    queue.served(offered[0])
    queue.put_back(offered[1:])
    assert [t.ask.session_id for t in queue.take(7)].count("two") == 3


def test_a_session_gets_no_more_for_having_many_runs() -> None:
    queue = filled(*(asks(f"r{i}", 20, "many") for i in range(9)), asks("r", 20, "one"))
    served = [t.ask.session_id for t in queue.take(40)]
    assert served.count("one") == 20


def test_one_run_alone_is_served_in_the_order_in_which_it_asked() -> None:
    queue = filled(asks("r", 50))
    assert [t.ask for t in queue.take(50)] == asks("r", 50)
    assert len(queue) == 0


def test_what_was_not_granted_goes_back_to_its_place() -> None:
    queue = filled(asks("a", 5), asks("b", 5))
    before = [t.ask for t in filled(asks("a", 5), asks("b", 5)).take(10)]
    queue.put_back(queue.take(6))
    assert [t.ask for t in queue.take(10)] == before


def test_asked_twice_it_is_served_once_and_withdrawn_not_at_all() -> None:
    queue = filled(asks("a", 3), asks("a", 3))
    queue.withdraw("s/a/1")
    assert [t.ask.permit_id for t in queue.take(9)] == ["s/a/0", "s/a/2"]
    assert not queue.take(9)
