"""The desk over a real RateLimiter and a real Redis, in one process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from uuid import uuid4

import pytest

from flair_ray.actors import rate_limiter
from flair_ray.actors.rate_limiter import RateLimiter
from flair_ray.domain.runs import Limits
from flair_ray.errors import CallTimeout, ClusterUnavailable, RateLimited
from flair_ray.flow import permits
from flair_ray.flow.clock import SystemClock
from flair_ray.flow.permits import PermitDesk
from flair_ray.ports import Ask, Granted, Settlement, Turns
from flair_ray.stores.permits import RedisPermits
from flair_ray.stores.redis_store import connect


class Gone(Exception):
    pass


class Books:
    """The real permits; remembers what was settled."""

    def __init__(self, permits: RedisPermits) -> None:
        self._permits = permits
        self.outcomes: list[str] = []
        self.exchanges = 0

    async def declare(self, limits: Limits) -> None:
        await self._permits.declare(limits)

    async def exchange(
        self, asks: Sequence[Ask], settled: Sequence[Settlement] = (), renewed: Sequence[str] = ()
    ) -> Granted:
        self.exchanges += 1
        self.outcomes += [told.outcome for told in settled]
        return await self._permits.exchange(asks, settled, renewed)


class World:
    """A limiter that can die, and desks."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.limiter = RateLimiter(books, SystemClock())
        self.lose_replies = 0
        self.desks: list[PermitDesk] = []

    async def exchange(
        self, client: str, asks: Sequence[Ask], settled: Sequence[Settlement], renewed: Sequence[str], wait_s: float
    ) -> Turns:
        try:
            turns = await self.limiter.exchange(client, asks, settled, renewed, wait_s)
        except ClusterUnavailable:
            raise Gone from None  # in this world to be closed is to die
        if self.lose_replies:
            self.lose_replies -= 1
            raise Gone
        return turns

    def desk(self) -> PermitDesk:
        self.desks.append(PermitDesk(self.exchange, (Gone,), 15.0, SystemClock()))
        return self.desks[-1]


@pytest.fixture
async def world(redis_url: str) -> AsyncIterator[World]:
    redis = connect(redis_url)
    made = World(Books(RedisPermits(redis, uuid4().hex)))
    yield made
    for desk in made.desks:
        await desk.close()
    await made.limiter.close()
    await redis.aclose()
    await redis.connection_pool.aclose()


async def test_never_more_calls_at_once_than_declared_and_all_get_their_turn(world: World) -> None:
    await world.books.declare(Limits(max_in_flight=5))
    now, most, done = 0, 0, 0

    async def call(desk: PermitDesk, run: int) -> None:
        nonlocal now, most, done
        async with desk.limiter(f"r{run}", "s").permit(10) as permit:
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.002)
            permit.used(8)
            now -= 1
            done += 1

    desks = [world.desk() for _ in range(3)]
    await asyncio.gather(*(call(desk, i % 4) for desk in desks for i in range(40)))
    assert (most, done) == (5, 120)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (RateLimited("slow down", 0.0), "refused"),
        (CallTimeout("late"), "abandoned"),
        (asyncio.CancelledError(), "abandoned"),
        (ValueError("no"), "failed"),
    ],
)
async def test_how_the_context_is_left_says_what_came_of_the_call(
    world: World, error: BaseException, outcome: str
) -> None:
    desk = world.desk()
    with pytest.raises(type(error)):
        async with desk.limiter("r", "s").permit(1):
            raise error
    await desk.close()
    assert world.books.outcomes == [outcome]


async def test_a_call_that_is_not_sent_gives_its_permit_back(world: World) -> None:
    desk = world.desk()
    async with desk.limiter("r", "s").permit(1) as permit:
        permit.unused()
    await desk.close()
    assert world.books.outcomes == ["unused"]


async def test_who_is_cancelled_while_waiting_takes_nobodys_turn(world: World) -> None:
    await world.books.declare(Limits(max_in_flight=1))
    limiter = world.desk().limiter("r", "s")
    got: list[str] = []

    async def call(name: str) -> None:
        async with limiter.permit(1):
            got.append(name)

    async with limiter.permit(1):
        first, second = asyncio.create_task(call("first")), asyncio.create_task(call("second"))
        await asyncio.sleep(0.02)
        first.cancel()
        await asyncio.sleep(0.02)
    await second
    assert got == ["second"]


async def test_asks_of_one_turn_travel_together(world: World) -> None:
    await world.books.declare(Limits(max_in_flight=100))
    limiter = world.desk().limiter("r", "s")

    async def call() -> None:
        async with limiter.permit(1):
            pass

    await asyncio.gather(*(call() for _ in range(100)))
    assert world.books.exchanges <= 6


async def test_lost_replies_and_a_blank_limiter_neither_lose_nor_double_a_permit(world: World) -> None:
    await world.books.declare(Limits(max_in_flight=4))
    limiter = world.desk().limiter("r", "s")
    now, most, done = 0, 0, 0

    async def call() -> None:
        nonlocal now, most, done
        async with limiter.permit(1):
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.003)
            now -= 1
            done += 1

    calls = asyncio.gather(*(call() for _ in range(60)))
    for _ in range(4):
        await asyncio.sleep(0.01)
        world.lose_replies = 2
        await world.limiter.close()
        world.limiter = RateLimiter(world.books, SystemClock())
    await calls
    assert (most, done) == (4, 60)


async def test_two_limiters_share_one_budget(world: World, redis_url: str) -> None:
    await world.books.declare(Limits(max_in_flight=3))
    other = World(world.books)
    now, most = 0, 0

    async def call(desk: PermitDesk) -> None:
        nonlocal now, most
        async with desk.limiter("r", "s").permit(1):
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.002)
            now -= 1

    desks = [world.desk(), other.desk()]
    await asyncio.gather(*(call(desk) for desk in desks for _ in range(20)))
    await desks[1].close()
    await other.limiter.close()
    assert most == 3


async def test_a_limiter_that_stays_away_is_given_up() -> None:
    class Fast:
        now = 0.0

        def now_s(self) -> float:
            return self.now

        async def sleep(self, seconds: float) -> None:
            self.now += seconds
            await asyncio.sleep(0)

    async def away(*_: object) -> Turns:
        raise Gone

    desk = PermitDesk(away, (Gone,), 15.0, Fast())
    with pytest.raises(ClusterUnavailable):
        async with desk.limiter("r", "s").permit(1):
            pass
    await desk.close()


async def test_who_finds_the_queue_full_comes_back_and_nobody_is_let_down(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limiter, "MOST_ASKS", 4)
    monkeypatch.setattr(permits, "LONGEST_BACKOFF_S", 0.01)
    await world.books.declare(Limits(max_in_flight=2))
    served = 0

    async def call(desk: PermitDesk) -> None:
        nonlocal served
        async with desk.limiter("r", "s").permit(10):
            await asyncio.sleep(0.001)
        served += 1

    await asyncio.gather(*(call(desk) for desk in (world.desk(), world.desk()) for _ in range(20)))
    assert served == 40
