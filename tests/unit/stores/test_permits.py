"""The real script on a real server, at times that the test chooses."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from flair_ray.domain.runs import Limits
from flair_ray.ports import Ask, Outcome, Settlement
from flair_ray.stores.permits import PERMIT_LEASE_S, RedisPermits

T0 = 1_700_000_000_000
LEASE_MS = round(PERMIT_LEASE_S * 1000)


@pytest.fixture
def permits(redis: Redis) -> RedisPermits:
    return RedisPermits(redis, uuid4().hex)


def asks(*names: str, tokens: int = 0) -> list[Ask]:
    return [Ask(name, tokens) for name in names]


async def test_permits_in_flight_stop_at_the_declared_limit(permits: RedisPermits) -> None:
    await permits.declare(Limits(max_in_flight=2))
    first = await permits.exchange(asks("a", "b", "c"), now_ms=T0)
    assert (first.permit_ids, first.in_flight) == (("a", "b"), 2)
    then = await permits.exchange(asks("c"), [Settlement("a", "ok")], now_ms=T0 + 1)
    assert then.permit_ids == ("c",)


async def test_asked_again_the_same_permit_is_returned_and_charged_once(permits: RedisPermits) -> None:
    await permits.declare(Limits(rpm=60, tpm=6000, max_in_flight=5))
    for _ in range(3):
        assert (await permits.exchange(asks("a", tokens=10), now_ms=T0)).permit_ids == ("a",)
    assert (await permits.exchange(asks("b"), now_ms=T0)).wait_s == pytest.approx(1 / 0.995, abs=0.002)
    assert (await permits.exchange(asks("b"), now_ms=T0 + 1006)).permit_ids == ("b",)


async def test_a_dead_holders_permits_are_back_after_one_lease(permits: RedisPermits) -> None:
    await permits.declare(Limits(max_in_flight=200))
    names = [f"p{i}" for i in range(200)]
    assert len((await permits.exchange(asks(*names), now_ms=T0)).permit_ids) == 200
    assert (await permits.exchange(asks("x"), now_ms=T0 + LEASE_MS - 1)).wait_s == 0.001
    assert (await permits.exchange(asks("x"), now_ms=T0 + LEASE_MS)).in_flight == 1


async def test_a_renewed_permit_lives_on_and_is_taken_again_when_it_had_run_out(permits: RedisPermits) -> None:
    await permits.declare(Limits(max_in_flight=1))
    await permits.exchange(asks("a"), now_ms=T0)
    await permits.exchange([], renewed=["a"], now_ms=T0 + LEASE_MS * 2 // 3)
    assert (await permits.exchange(asks("b"), now_ms=T0 + LEASE_MS * 4 // 3)).permit_ids == ()
    assert (await permits.exchange([], renewed=["a"], now_ms=T0 + LEASE_MS * 3)).in_flight == 1


async def test_tokens_are_estimated_and_then_put_right(permits: RedisPermits) -> None:
    await permits.declare(Limits(tpm=6000, max_in_flight=100))  # 100 a second, 1,000 at once
    assert (await permits.exchange(asks("a", "b", tokens=600), now_ms=T0)).permit_ids == ("a",)
    late = await permits.exchange(asks("b", tokens=600), [Settlement("a", "ok", 1100)], now_ms=T0)
    assert late.wait_s == pytest.approx(7.0)
    back = await permits.exchange(asks("b", tokens=600), now_ms=T0 + 7000)
    assert back.permit_ids == ("b",)
    await permits.exchange([], [Settlement("b", "unused")], now_ms=T0 + 7000)
    assert (await permits.exchange(asks("c", tokens=600), now_ms=T0 + 7000)).permit_ids == ("c",)


async def test_a_permit_that_was_never_used_gives_back_what_it_took_and_no_more(permits: RedisPermits) -> None:
    await permits.declare(Limits(rpm=240, max_in_flight=100))  # not quite two at once
    assert (await permits.exchange(asks("a"), now_ms=T0)).permit_ids == ("a",)
    at_once = await permits.exchange(asks("b"), [Settlement("a", "unused")], now_ms=T0 + 1)
    assert at_once.permit_ids == ("b",)
    assert (await permits.exchange(asks("c"), now_ms=T0 + 5000)).permit_ids == ("c",)
    late = await permits.exchange(asks("d", "e"), [Settlement("b", "unused")], now_ms=T0 + 5020)
    assert late.permit_ids == ("d",)  # the bucket had filled since, so b was missing nowhere


async def test_an_ask_above_the_burst_is_granted_when_the_bucket_is_full(permits: RedisPermits) -> None:
    await permits.declare(Limits(tpm=6000, max_in_flight=100))
    assert (await permits.exchange(asks("a", tokens=5000), now_ms=T0)).permit_ids == ("a",)
    assert (await permits.exchange(asks("b", tokens=1), now_ms=T0)).wait_s == pytest.approx(40.01)


@pytest.mark.parametrize(("outcome", "free_after_ms"), [("ok", 0), ("failed", 0), ("unused", 0), ("abandoned", 500)])
async def test_a_place_is_free_when_the_server_has_noticed(
    permits: RedisPermits, outcome: Outcome, free_after_ms: int
) -> None:
    await permits.declare(Limits(max_in_flight=1))
    await permits.exchange(asks("a"), now_ms=T0)
    then = await permits.exchange(asks("b"), [Settlement("a", outcome)], now_ms=T0 + 1)
    assert bool(then.permit_ids) == (free_after_ms == 0)
    assert (await permits.exchange(asks("b"), now_ms=T0 + 1 + free_after_ms)).permit_ids == ("b",)


async def test_a_refusal_pauses_the_account_as_long_as_the_server_asks(permits: RedisPermits) -> None:
    await permits.exchange(asks("a", "b"), now_ms=T0)
    told = [Settlement("a", "ok"), Settlement("b", "refused", retry_after_ms=3000)]
    assert (await permits.exchange(asks("c"), told, now_ms=T0 + 10)).wait_s == 3.0
    assert (await permits.exchange(asks("c"), now_ms=T0 + 3010)).permit_ids == ("c",)


async def test_settling_twice_changes_nothing(permits: RedisPermits) -> None:
    await permits.declare(Limits(tpm=6000, max_in_flight=9))
    await permits.exchange(asks("a", tokens=1000), now_ms=T0)
    for _ in range(3):
        await permits.exchange([], [Settlement("a", "ok", 900)], now_ms=T0)
    assert (await permits.exchange(asks("b", tokens=101), now_ms=T0)).permit_ids == ()


async def test_two_askers_share_one_budget(redis_url: str, permits: RedisPermits) -> None:
    await permits.declare(Limits(max_in_flight=7))
    both = await asyncio.gather(*(permits.exchange(asks(*(f"{i}-{j}" for j in range(5)))) for i in range(2)))
    assert sum(len(granted.permit_ids) for granted in both) == 7
