"""A run under an id of one's own: made once, whoever asks for it again, and with however many at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from flair_ray.api import carry_out, made_before, submit
from flair_ray.config import Settings
from flair_ray.domain.calls import ChatRequest, Completion
from flair_ray.domain.ids import given_run_id
from flair_ray.domain.posts import RunRecord
from flair_ray.domain.runs import Feedback, Limits, RunStatus
from flair_ray.engine.driver import Driver
from flair_ray.engine.keeping import Keeper
from flair_ray.engine.order import Order
from flair_ray.errors import AuthRefused, InputError, RunConflict
from flair_ray.options import RunOptions
from flair_ray.providers.offline import OfflineProvider
from flair_ray.result import RunResult
from flair_ray.stores.redis_store import RedisRunStore
from flair_ray.stores.unkept import RedisUnkept
from flair_ray.wiring import Studio, open_archive

CALLS = 12 + 6 + 7 + 3


class Counted(OfflineProvider):
    """Counts what it is asked; ``refuses`` from the moment on that it may answer."""

    def __init__(self, *, held: bool = False, refuses: bool = False) -> None:
        super().__init__()
        self.calls, self.refuses = 0, refuses
        self.go = asyncio.Event()
        if not held:
            self.go.set()

    async def complete(self, request: ChatRequest, timeout_s: float) -> Completion:
        self.calls += 1
        await self.go.wait()
        if self.refuses:
            raise AuthRefused("The key is refused.")
        return await super().complete(request, timeout_s)


Make = Callable[[Order, Counted], asyncio.Task[RunResult]]


@pytest.fixture
def own_id() -> str:
    return f"batch-{uuid4().hex[:8]}"


@pytest.fixture
def make(
    store: RedisRunStore, redis: Redis, settings: Settings, local_driver: Callable[..., Driver], own_id: str
) -> Make:
    """What `flair run --run-id` does once Redis and Ray are there, begun."""

    async def whole(order: Order, provider: Counted) -> RunResult:
        keeper = Keeper(store, RedisUnkept(redis), open_archive(settings))
        studio = Studio(store, local_driver(provider), keeper)
        run_id = await submit(store, order, settings, own_id)
        return await carry_out(studio, run_id, settings, join=True)

    return lambda order, provider: asyncio.create_task(whole(order, provider))


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  # what a provider is asked is no event
        await asyncio.sleep(0.005)


async def test_the_same_order_again_is_the_same_run(make: Make, small_order: Order, own_id: str) -> None:
    first, second = Counted(), Counted()
    made = await make(small_order, first)
    again = await make(small_order, second)
    assert (made.run_id, first.calls, second.calls) == (own_id, CALLS, 0)
    assert again.document()["results"] == made.document()["results"]


async def test_of_two_at_a_time_one_calls_and_both_have_its_result(make: Make, small_order: Order) -> None:
    providers = Counted(), Counted()
    results = await asyncio.gather(*(make(small_order, one) for one in providers))
    assert sorted(one.calls for one in providers) == [0, CALLS]
    assert [r.exit_code for r in results] == [0, 0]


async def test_who_waits_for_another_ends_as_it_ends(make: Make, small_order: Order) -> None:
    first, second = Counted(held=True, refuses=True), Counted()
    made = make(small_order, first)
    await until(lambda: first.calls > 0)
    waits = make(small_order, second)
    await asyncio.sleep(0.05)
    first.go.set()
    assert [(await one).exit_code for one in (made, waits)] == [3, 3]
    assert second.calls == 0


async def test_what_is_left_open_or_failed_is_gone_on_with(make: Make, small_order: Order) -> None:
    killed, fails, last = Counted(held=True), Counted(refuses=True), Counted()
    made = make(small_order, killed)
    await until(lambda: killed.calls > 0)
    made.cancel()
    await asyncio.wait({made})
    assert (await make(small_order, fails)).status is RunStatus.FAILED
    assert (await make(small_order, last)).status is RunStatus.COMPLETED


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"num_scripts": 7}, "num_scripts"),
        ({"seed": 8}, "seed, videos or personas"),
        ({"num_videos": 11}, "num_videos, videos or personas"),
        ({"session_id": "another"}, "session_id"),
    ],
)
async def test_another_order_is_refused_by_what_differs(
    store: RedisRunStore, settings: Settings, small_order: Order, own_id: str, change: dict[str, object], named: str
) -> None:
    await submit(store, small_order, settings, own_id)
    with pytest.raises(RunConflict, match=f"by its {named}\\."):
        await submit(store, replace(small_order, **change), settings, own_id)  # type: ignore[arg-type]


async def test_how_fast_and_what_was_learned_since_make_no_other_order(
    store: RedisRunStore, settings: Settings, small_order: Order, own_id: str
) -> None:
    await submit(store, small_order, settings, own_id)
    later = replace(small_order, limits=Limits(7), cache=True, feedback=Feedback("short hooks do well"), remarks=("!",))
    assert await submit(store, later, settings, own_id) == own_id


async def test_a_complete_one_is_given_again_from_redis_alone(
    make: Make, small_order: Order, settings: Settings, redis_url: str, own_id: str
) -> None:
    there = settings.model_copy(update={"redis_url": Settings(redis_url=redis_url).redis_url})
    options = RunOptions(run_id=own_id)
    assert await made_before(options, small_order, there) is None
    made = await make(small_order, Counted())
    again = await made_before(options, small_order, there)
    assert again is not None
    assert again.document() == made.document()


async def test_what_only_the_archive_has_is_not_paid_again(
    store: RedisRunStore, settings: Settings, small_order: Order, own_id: str
) -> None:
    run_id = given_run_id(own_id)
    record = RunRecord(run_id, "anonymous", RunStatus.COMPLETED, 1, 2, {})
    await open_archive(settings).keep(record, {})
    with pytest.raises(RunConflict, match=f"flair export {own_id}"):
        await submit(store, small_order, settings, own_id)


async def test_one_that_was_deleted_lately_is_not_made_again(
    store: RedisRunStore, settings: Settings, small_order: Order, own_id: str
) -> None:
    await store.delete(await submit(store, small_order, settings, own_id))
    with pytest.raises(RunConflict, match="until lately"):
        await submit(store, small_order, settings, own_id)


@pytest.mark.parametrize("text", ["", "-a", "A", "a/b", "..", "a b", "a" * 65, "a\n", "é"])
def test_an_id_is_a_plain_word(text: str) -> None:
    with pytest.raises(InputError, match="A run id is"):
        given_run_id(text)
