"""A run may be given a cap. When it is reached, what exists is ranked and the result says what is missing, and why."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import jsonschema
import pytest
from pydantic_core import from_json, to_jsonable_python

from flair_ray.domain.calls import ChatRequest, Completion, Usage
from flair_ray.domain.ids import RunId, StageName
from flair_ray.domain.money import Price
from flair_ray.domain.runs import RunStatus
from flair_ray.domain.tokens import estimated_tokens, request_tokens
from flair_ray.engine.driver import Driver
from flair_ray.engine.local_executor import LocalExecutor
from flair_ray.engine.order import Order
from flair_ray.engine.results import gather_result
from flair_ray.engine.shard import Tools
from flair_ray.errors import ConnectionLost, ProviderError
from flair_ray.outputs import result_schema
from flair_ray.ports import Executor, StageJob
from flair_ray.providers.offline import OfflineProvider
from flair_ray.stores.budget import RedisBudget
from flair_ray.stores.redis_store import RedisRunStore, connect

PRICE = Price(1.0, 0.1, 4.0, "a test")
Submit = Callable[[Order], Awaitable[RunId]]


class NoRoom(ProviderError):
    """As a budget that is spent ends an item."""

    exit_code = 5


class OutOfMoney(OfflineProvider):
    """Answers until the last stage."""

    async def complete(self, request: ChatRequest, timeout_s: float) -> Completion:
        if request.stage is StageName.S6:
            raise NoRoom("There is no room for another call.")
        return await super().complete(request, timeout_s)


async def test_a_run_that_reaches_its_cap_is_partial_and_says_so(
    store: RedisRunStore, submit: Submit, local_driver: Callable[..., Driver], small_order: Order
) -> None:
    run_id = await submit(replace(small_order, price=PRICE, max_usd=1.0))
    assert await local_driver(OutOfMoney()).drive(run_id) is RunStatus.COMPLETED
    result = await gather_result(store, run_id)
    assert (result.partial, result.stopped_by, result.exit_code) == (True, "budget", 5)
    assert [final.personalized for final in result.results] == [False] * 3
    assert "The cap of $1.00 was reached; not done: 3 of S6_PERSONALIZE." in result.disclosures


async def test_a_result_carries_its_receipt(
    store: RedisRunStore, submit: Submit, local_driver: Callable[..., Driver], small_order: Order
) -> None:
    run_id = await submit(replace(small_order, price=PRICE, max_usd=1.0))
    await local_driver().drive(run_id)
    result = await gather_result(store, run_id)
    assert (result.partial, result.stopped_by, result.exit_code) == (False, None, 0)
    assert [(line.stage, line.calls) for line in result.receipt()] == [
        (StageName.S1, 12), (StageName.S3, 6), (StageName.S4, 7), (StageName.S6, 3),
    ]  # fmt: skip
    assert sum(line.usd or 0 for line in result.receipt()) == pytest.approx(result.cost.usd)
    assert all((line.estimated_usd or 0) > 0 for line in result.receipt())
    assert (result.cost.unsure_usd, result.spec.money.max_usd) == (0.0, 1.0)
    jsonschema.validate(to_jsonable_python(result.document()), from_json(result_schema()))


class Wordy(OfflineProvider):
    """Counts tokens as a vendor would; every seventh call is lost, and may have been billed."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    async def complete(self, request: ChatRequest, timeout_s: float) -> Completion:
        self.calls += 1
        if self.calls % 7 == 0:
            raise ConnectionLost("Cut.")
        answer = await super().complete(request, timeout_s)
        return replace(answer, usage=Usage(request_tokens(request), 0, estimated_tokens(answer.text)))


@pytest.mark.parametrize("cap", [0.005, 0.03, 0.05, 0.08])
async def test_no_run_costs_more_than_its_cap_even_if_lost_calls_were_billed(
    store: RedisRunStore,
    redis_url: str,
    submit: Submit,
    make_driver: Callable[[Executor], Driver],
    local_tools: Callable[..., Tools],
    small_order: Order,
    cap: float,
) -> None:
    redis = connect(redis_url)

    def budget(job: StageJob) -> RedisBudget:
        assert job.purse is not None
        return RedisBudget(redis, job.run_id, job.stage, job.purse, 60)

    run_id = await submit(replace(small_order, price=PRICE, max_usd=cap))
    tools = replace(local_tools(Wordy()), budget_for=budget)
    assert await make_driver(LocalExecutor(tools)).drive(run_id) is RunStatus.COMPLETED
    result = await gather_result(store, run_id)
    assert result.cost.usd is not None
    assert result.cost.unsure_usd is not None
    assert result.cost.usd + result.cost.unsure_usd <= cap
    assert result.partial == (result.exit_code == 5) == any(result.skipped.values())
    await redis.aclose()
    await redis.connection_pool.aclose()
