"""A run may be given a cap. When it is reached, what exists is ranked and the result says what is missing, and why."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import jsonschema
import pytest
from pydantic_core import from_json, to_jsonable_python

from flair_ray.domain.calls import ChatRequest, Completion
from flair_ray.domain.ids import RunId, StageName
from flair_ray.domain.money import Price
from flair_ray.domain.runs import RunStatus
from flair_ray.engine.driver import Driver
from flair_ray.engine.order import Order
from flair_ray.engine.results import gather_result
from flair_ray.errors import ProviderError
from flair_ray.outputs import result_schema
from flair_ray.providers.offline import OfflineProvider
from flair_ray.stores.redis_store import RedisRunStore

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
