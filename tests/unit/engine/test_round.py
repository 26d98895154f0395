"""When a stage may move on: with everything, or with its quorum and a short grace."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import cast

import pytest

from flair_ray.domain.ids import ItemId
from flair_ray.engine.round import MOST_GRACE_S, UNKNOWN_GRACE_S, Round, grace_s, needed
from flair_ray.errors import AuthRefused
from flair_ray.ports import Delivered, Lost, StageJob

JOB = cast(StageJob, None)
"""No round looks into it."""


class Clock:
    """Time stands still until a test lets it go on."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.go = asyncio.Event()

    def now_s(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await self.go.wait()


class Told:
    """An executor that delivers what a test hands it; None ends it."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Delivered | Lost | Exception | None] = asyncio.Queue()
        self.closed = False

    async def map(self, job: StageJob) -> AsyncGenerator[Delivered | Lost, None]:
        try:
            while (delivery := await self.queue.get()) is not None:
                if isinstance(delivery, Exception):
                    raise delivery
                yield delivery
        finally:
            self.closed = True

    def tell(self, *deliveries: Delivered | Lost | Exception | None) -> None:
        for delivery in deliveries:
            self.queue.put_nowait(delivery)


def done(name: str, took_s: float = 1.0) -> Delivered:
    return Delivered(ItemId(name), ok=True, took_s=took_s)


@pytest.mark.parametrize(("total", "quorum", "need"), [(100, 0.95, 95), (20, 0.95, 19), (19, 0.95, 19), (1, 0.95, 1)])
def test_below_twenty_items_a_quorum_is_all_of_them(total: int, quorum: float, need: int) -> None:
    assert needed(total, quorum) == need


def test_the_grace_follows_what_a_call_usually_takes() -> None:
    assert grace_s([]) == UNKNOWN_GRACE_S
    assert grace_s([0.01] * 9) == 1.0
    assert grace_s([1.0, 2.0, 90.0]) == 4.0
    assert grace_s([60.0]) == MOST_GRACE_S


async def test_it_is_over_when_everything_was_tried() -> None:
    executor, clock = Told(), Clock()
    async with Round(executor, JOB, 2, clock) as underway:
        executor.tell(done("a"), Delivered(ItemId("b"), ok=False), Lost((ItemId("c"),), "crash"), None)
        assert await underway.over()
        assert [lost.item_ids for lost in underway.lost] == [("c",)]
    assert clock.slept == []


async def test_with_its_quorum_it_waits_no_longer_than_the_grace() -> None:
    executor, clock = Told(), Clock()
    async with Round(executor, JOB, 2, clock) as underway:
        executor.tell(done("a"), done("b"))
        clock.go.set()
        assert not await underway.over()
        assert clock.slept == [2.0]
        assert not executor.closed  # what is late may still come
    assert executor.closed


async def test_who_comes_within_the_grace_is_in() -> None:
    executor, clock = Told(), Clock()
    async with Round(executor, JOB, 1, clock) as underway:
        executor.tell(done("a"))
        over = asyncio.create_task(underway.over())
        while not clock.slept:  # noqa: ASYNC110
            await asyncio.sleep(0)
        executor.tell(done("b"), None)
        assert await over


async def test_an_item_that_was_given_up_makes_no_quorum() -> None:
    executor, clock = Told(), Clock()
    async with Round(executor, JOB, 1, clock) as underway:
        executor.tell(Delivered(ItemId("a"), ok=False))
        over = asyncio.create_task(underway.over())
        for _ in range(20):
            await asyncio.sleep(0)
        assert clock.slept == []
        executor.tell(None)
        assert await over


async def test_an_error_of_the_executor_is_raised() -> None:
    executor = Told()
    async with Round(executor, JOB, 5, Clock()) as underway:
        executor.tell(done("a"), AuthRefused("no"))
        with pytest.raises(AuthRefused):
            await underway.over()
