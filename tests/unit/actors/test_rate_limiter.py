"""The limiter in one process, over a real Redis."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from flair_ray.actors import rate_limiter
from flair_ray.actors.rate_limiter import RateLimiter
from flair_ray.errors import LimiterFull
from flair_ray.flow.clock import SystemClock
from flair_ray.ports import Ask, Granted, Limits, Settlement
from flair_ray.stores.permits import RedisPermits
from flair_ray.stores.redis_store import connect
from flair_ray.telemetry import metrics, record

LEASE_S = 0.5
HOLDER = """
import asyncio, sys
from flair_ray.ports import Ask
from flair_ray.stores.permits import RedisPermits
from flair_ray.stores.redis_store import connect
async def main():
    permits = RedisPermits(connect(sys.argv[1]), sys.argv[2], {lease})
    got = await permits.exchange([Ask(f"p{{i}}", 1) for i in range(200)])
    print(len(got.permit_ids), flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.fixture
async def permits(redis_url: str) -> AsyncIterator[RedisPermits]:
    redis = connect(redis_url)
    yield RedisPermits(redis, uuid4().hex, LEASE_S)
    await redis.aclose()
    await redis.connection_pool.aclose()


@pytest.fixture
async def limiter(permits: RedisPermits) -> AsyncIterator[RateLimiter]:
    await permits.declare(Limits(max_in_flight=2))
    made = RateLimiter(permits, SystemClock())
    yield made
    await made.close()


async def test_a_poll_is_answered_when_somebody_else_is_done(limiter: RateLimiter) -> None:
    assert (await limiter.exchange("one", [Ask("a", 1), Ask("b", 1)])).permit_ids == ("a", "b")
    poll = asyncio.create_task(limiter.exchange("two", [Ask("c", 1)], wait_s=5))
    await asyncio.sleep(0.01)
    assert not poll.done()
    await limiter.exchange("one", settled=[Settlement("a", "ok")])
    assert (await poll).permit_ids == ("c",)


async def test_what_waits_is_held_and_has_waited_is_told(permits: RedisPermits) -> None:
    await permits.declare(Limits(max_in_flight=2))
    account = f"openai-{uuid4().hex[:6]}"
    limiter = RateLimiter(permits, SystemClock(), account)

    def said() -> list[float]:
        told = (metrics.PERMITS_WANTED, metrics.PERMITS_HELD, metrics.PERMIT_WAIT_S)
        return [record.said(metric, account=account) for metric in told]

    await limiter.exchange("one", [Ask(name, 1) for name in "abcd"])
    assert said() == [2, 2, 2]
    done = [Settlement("d", "unused"), Settlement("a", "ok")]
    assert (await limiter.exchange("one", settled=done)).permit_ids == ("c",)
    assert said() == [0, 2, 3]
    await limiter.exchange("one", settled=[Settlement("b", "ok"), Settlement("c", "ok")])
    assert said() == [0, 0, 3]
    assert record.said(metrics.PERMIT_AGE_S, account=account) == 0
    await limiter.close()


async def test_a_grant_that_nobody_heard_of_is_told_with_the_next_call(limiter: RateLimiter) -> None:
    await limiter.exchange("one", [Ask("a", 1), Ask("b", 1)])
    await limiter.exchange("two", [Ask("c", 1)])
    await limiter.exchange("one", settled=[Settlement("a", "ok")])
    assert (await limiter.exchange("two", wait_s=1)).permit_ids == ("c",)


async def test_an_epoch_is_one_desks_and_one_limiters(limiter: RateLimiter, permits: RedisPermits) -> None:
    first = await limiter.exchange("one")
    assert (await limiter.exchange("one")).epoch == first.epoch
    assert (await RateLimiter(permits, SystemClock()).exchange("one")).epoch != first.epoch


async def test_a_full_queue_says_so(limiter: RateLimiter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limiter, "MOST_ASKS", 3)
    with pytest.raises(LimiterFull):
        await limiter.exchange("one", [Ask(str(i), 1) for i in range(4)])


async def test_desks_that_are_not_heard_of_are_forgotten_with_their_asks(permits: RedisPermits) -> None:
    class Later(SystemClock):
        late_s = 0.0

        def now_s(self) -> float:
            return super().now_s() + self.late_s

    clock = Later()
    limiter = RateLimiter(permits, clock)
    await permits.declare(Limits(max_in_flight=1))
    await limiter.exchange("one", [Ask("a", 1), Ask("b", 1)])
    assert not limiter.idle
    clock.late_s = 61
    assert limiter.idle
    await limiter.close()


async def test_what_a_killed_process_held_is_back_within_one_lease(redis_url: str) -> None:
    account = uuid4().hex
    redis = connect(redis_url)
    permits = RedisPermits(redis, account, LEASE_S)
    await permits.declare(Limits(max_in_flight=200))
    holder = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", HOLDER.format(lease=LEASE_S), redis_url, account], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout
    assert await asyncio.to_thread(holder.stdout.readline) == "200\n"
    seconds, micros = await redis.time()
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()

    class AtItsDeath:
        now_ms = seconds * 1000 + micros // 1000

        async def exchange(self, *brought: Any) -> Granted:
            return await permits.exchange(*brought, now_ms=self.now_ms)

    moment = AtItsDeath()
    limiter = RateLimiter(moment, SystemClock())  # type: ignore[arg-type]  # nobody declares anything
    assert not (await limiter.exchange("next", [Ask(f"q{i}", 1) for i in range(200)])).permit_ids
    moment.now_ms += round(LEASE_S * 1000)
    got: set[str] = set()
    while len(got) < 200 and (more := (await limiter.exchange("next", wait_s=10)).permit_ids):
        got |= set(more)
    await limiter.close()
    await redis.aclose()
    await redis.connection_pool.aclose()
    assert len(got) == 200
