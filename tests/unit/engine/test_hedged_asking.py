"""An item whose call is late is asked twice: whoever answers first is heard, both are paid for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from flair_ray.domain.calls import ChatRequest, Completion, Usage
from flair_ray.domain.ids import VideoId
from flair_ray.domain.videos import Video
from flair_ray.domain.work import Done, Skipped
from flair_ray.engine.asking import Asker, Patience, Verdict
from flair_ray.errors import BudgetSpent, CallTimeout, RateLimited, ServerTrouble
from flair_ray.flow.clock import SystemClock
from flair_ray.flow.hedging import Hedger
from flair_ray.flow.in_flight import Turn
from flair_ray.ports import Permit
from flair_ray.providers.offline.analyze import analyze
from flair_ray.stages.s1_analyze import Analyze

VIDEO = Video(VideoId("v"), "Why does this happen? Because you pour too fast. Now wait.", duration_s=9.0)
GOOD = Completion(analyze(VIDEO).model_dump_json(), Usage(100, 0, 10), "scripted")

Reply = asyncio.Future[Completion]


@dataclass
class Puppet:
    """A provider whose calls a test answers one by one."""

    calls: list[Reply] = field(default_factory=list)

    async def complete(self, request: ChatRequest, timeout_s: float) -> Completion:
        self.calls.append(asyncio.get_running_loop().create_future())
        return await self.calls[-1]

    async def check(self) -> None: ...

    async def close(self) -> None: ...


class Desk:
    """Counts the permits that are out."""

    held = 0

    def __init__(self) -> None:
        self.free = asyncio.Event()
        self.free.set()

    @asynccontextmanager
    async def permit(self, tokens: int) -> AsyncIterator[Permit]:
        await self.free.wait()
        self.held += 1
        try:
            yield Turn()
        finally:
            self.held -= 1


@dataclass
class Purse:
    """A budget that notes what it is told; ``room`` answers one reservation each, then yes."""

    room: list[bool | Exception] = field(default_factory=list)
    settled: dict[str, Usage | None] = field(default_factory=dict)

    async def reserve(self, call: str, request: ChatRequest) -> bool:
        answer = self.room.pop(0) if self.room else True
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def settle(self, call: str, usage: Usage | None) -> None:
        self.settled[call] = usage


@dataclass
class Scene:
    provider: Puppet
    desk: Desk
    purse: Purse
    hedger: Hedger
    asking: asyncio.Task[Verdict]

    async def until_calls(self, count: int) -> None:
        while len(self.provider.calls) < count:  # noqa: ASYNC110
            await asyncio.sleep(0)

    def declare_late(self) -> None:
        """As ``look`` would, once it knows what is usual."""
        for call in self.hedger._underway:
            call.overdue.set()


Play = Callable[[], Awaitable[Scene]]


@pytest.fixture
def play() -> Play:
    async def begin() -> Scene:
        provider, desk, purse, clock = Puppet(), Desk(), Purse(), SystemClock()
        hedger = Hedger(1, clock)
        asker = Asker(provider, desk, Patience(20, 60, 3), clock, purse, hedger)
        asking = asyncio.create_task(asker.ask(Analyze(), None, VIDEO, lambda: None, "v"))
        scene = Scene(provider, desk, purse, hedger, asking)
        await scene.until_calls(1)
        return scene

    return begin


@pytest.fixture
async def late(play: Play) -> Scene:
    """A first call that is late, and a second one beside it."""
    scene = await play()
    scene.declare_late()
    await scene.until_calls(2)
    return scene


async def test_a_call_in_time_is_asked_once(play: Play) -> None:
    scene = await play()
    scene.provider.calls[0].set_result(GOOD)
    verdict = await scene.asking
    assert isinstance(verdict.outcome, Done)
    assert (verdict.tally.calls, verdict.tally.hedges) == (1, 0)
    assert scene.purse.settled == {"v:1": GOOD.usage}


async def test_a_second_call_that_gets_no_permit_is_none(play: Play) -> None:
    scene = await play()
    scene.desk.free.clear()
    scene.declare_late()
    await asyncio.sleep(0.01)
    scene.provider.calls[0].set_result(GOOD)
    verdict = await scene.asking
    assert (len(scene.provider.calls), verdict.tally.calls, verdict.tally.hedges) == (1, 1, 0)


@pytest.mark.parametrize("first", [0, 1])
async def test_the_first_answer_is_taken_and_the_other_call_cut_off(late: Scene, first: int) -> None:
    late.provider.calls[first].set_result(GOOD)
    verdict = await late.asking
    assert isinstance(verdict.outcome, Done)
    assert (verdict.tally.calls, verdict.tally.hedges, verdict.tally.failed) == (2, 1, 0)
    assert late.provider.calls[1 - first].cancelled()
    assert late.desk.held == 0
    # what was cut off may have been billed
    assert late.purse.settled == {f"v:{first + 1}": GOOD.usage, f"v:{2 - first}": None}


@pytest.mark.parametrize("first", [0, 1])
async def test_one_that_fails_leaves_it_to_the_other(late: Scene, first: int) -> None:
    late.provider.calls[first].set_exception(ServerTrouble("500"))
    while late.desk.held > 1:  # noqa: ASYNC110
        await asyncio.sleep(0)
    late.provider.calls[1 - first].set_result(GOOD)
    verdict = await late.asking
    assert isinstance(verdict.outcome, Done)
    assert (verdict.tally.calls, verdict.tally.failed, verdict.tally.retries) == (2, 1, 0)
    assert late.purse.settled == {f"v:{first + 1}": Usage(), f"v:{2 - first}": GOOD.usage}


async def test_when_both_fail_it_is_one_failure_to_be_made_again(late: Scene) -> None:
    late.provider.calls[0].set_exception(RateLimited("429", 0.001))
    late.provider.calls[1].set_exception(CallTimeout("slow"))
    await late.until_calls(3)
    late.provider.calls[2].set_result(GOOD)
    verdict = await late.asking
    assert (verdict.tally.calls, verdict.tally.retries, verdict.tally.failed, verdict.tally.rejected_429) == (
        3,
        1,
        1,
        1,
    )
    assert late.purse.settled == {"v:1": Usage(), "v:2": None, "v:3": GOOD.usage}


async def test_an_answer_in_hand_survives_a_cancel(late: Scene) -> None:
    """It was paid for: the item is cancelled in the instant its answer is there."""
    late.provider.calls[0].set_result(GOOD)
    while late.desk.held > 1:  # noqa: ASYNC110
        await asyncio.sleep(0)
    late.asking.cancel()
    assert isinstance((await late.asking).outcome, Done)
    assert late.desk.held == 0


async def test_a_cancel_ends_both_calls(late: Scene) -> None:
    late.asking.cancel()
    await asyncio.wait({late.asking})
    assert late.asking.cancelled()
    assert all(call.cancelled() for call in late.provider.calls)
    assert late.desk.held == 0


async def test_no_room_in_the_budget_is_waited_out_without_a_permit_and_without_a_call() -> None:
    provider, desk, purse = Puppet(), Desk(), Purse([False, False])
    held: list[int] = []

    class Clock(SystemClock):
        async def sleep(self, seconds: float) -> None:
            held.append(desk.held)

    asker = Asker(provider, desk, Patience(20, 60, 3), Clock(), purse)
    asking = asyncio.create_task(asker.ask(Analyze(), None, VIDEO, lambda: None, "v"))
    while not provider.calls:  # noqa: ASYNC110
        await asyncio.sleep(0)
    provider.calls[0].set_result(GOOD)
    assert (await asking).tally.calls == 1
    assert held == [0, 0]
    assert list(purse.settled) == ["v:3"]


async def test_a_budget_that_is_spent_ends_the_item_uncalled() -> None:
    provider, purse = Puppet(), Purse([BudgetSpent("The cap of $1.00 is reached.")])
    asker = Asker(provider, Desk(), Patience(20, 60, 3), SystemClock(), purse)
    verdict = await asker.ask(Analyze(), None, VIDEO, lambda: None, "v")
    assert verdict.outcome == Skipped("The cap of $1.00 is reached.", BudgetSpent.exit_code)
    assert (verdict.tally.calls, provider.calls) == (0, [])
