"""At most N at once, in the order they came, whatever becomes of them."""

from __future__ import annotations

import asyncio

import pytest

from flair_ray.flow.clock import SystemClock
from flair_ray.flow.in_flight import InFlightLimiter


@pytest.mark.parametrize("limit", [1, 3, 50])
async def test_never_one_too_many_and_never_fewer_than_allowed(limit: int) -> None:
    limiter, now, seen = InFlightLimiter(limit), 0, []

    async def call() -> None:
        nonlocal now
        async with limiter.permit(1):
            now += 1
            seen.append(now)
            for _ in range(3):
                await asyncio.sleep(0)
            now -= 1

    await asyncio.gather(*(call() for _ in range(60)))
    assert max(seen) == limit
    assert now == 0


async def test_first_come_first_served() -> None:
    limiter, order = InFlightLimiter(1), []

    async def call(n: int) -> None:
        async with limiter.permit(1):
            order.append(n)
            await asyncio.sleep(0)

    await asyncio.gather(*(call(n) for n in range(20)))
    assert order == list(range(20))


async def test_a_call_that_fails_or_is_dropped_gives_its_permit_back() -> None:
    limiter = InFlightLimiter(1)

    async def call(error: bool) -> None:
        async with limiter.permit(1):
            if error:
                raise ZeroDivisionError
            await asyncio.Event().wait()

    with pytest.raises(ZeroDivisionError):
        await call(error=True)
    holding, waiting = asyncio.create_task(call(error=False)), asyncio.create_task(call(error=False))
    await asyncio.sleep(0)
    waiting.cancel()
    holding.cancel()
    await asyncio.wait({holding, waiting})
    async with asyncio.timeout(1), limiter.permit(1):
        pass


async def test_the_real_clock_moves_on() -> None:
    clock = SystemClock()
    before = clock.now_s()
    await clock.sleep(0.001)
    assert clock.now_s() > before
