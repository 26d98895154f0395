"""The limiter over books that grant one permit at a time, on a clock of the test's own."""

from __future__ import annotations

from collections.abc import Sequence

from flair_ray.actors.rate_limiter import RateLimiter
from flair_ray.domain.runs import Limits
from flair_ray.ports import Ask, Granted, Settlement


class Clock:
    now = 0.0

    def now_s(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


class OneAtATime:
    def __init__(self) -> None:
        self.flying: set[str] = set()

    async def declare(self, limits: Limits) -> None: ...

    async def exchange(
        self, asks: Sequence[Ask], settled: Sequence[Settlement] = (), renewed: Sequence[str] = ()
    ) -> Granted:
        self.flying -= {told.permit_id for told in settled}
        granted = () if self.flying else tuple(ask.permit_id for ask in asks[:1])
        self.flying.update(granted)
        return Granted(granted, None, len(self.flying))


async def test_nothing_is_granted_to_a_desk_that_has_died() -> None:
    """Its asks were there first; the one that lives is served all the same."""
    clock, books = Clock(), OneAtATime()
    limiter = RateLimiter(books, clock)
    dead = [Ask(f"dead-{n}", 1) for n in range(3)]
    assert (await limiter.exchange("dead", dead)).permit_ids == ("dead-0",)
    clock.now += 5
    await limiter.exchange("alive", [Ask("alive", 1)])
    turns = await limiter.exchange("alive", settled=[Settlement("dead-0", "failed")], wait_s=0.5)
    assert turns.permit_ids == ("alive",)
    await limiter.close()


async def test_a_desk_that_was_only_slow_meets_a_new_epoch() -> None:
    clock = Clock()
    limiter = RateLimiter(OneAtATime(), clock)
    before = await limiter.exchange("slow", [Ask("a", 1)])
    clock.now += 5
    assert (await limiter.exchange("slow")).epoch != before.epoch
    await limiter.close()
