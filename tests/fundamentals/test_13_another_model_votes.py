"""The model that writes need not be the one that votes: it likes its own texts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from flair_ray.config import Settings
from flair_ray.domain.ids import RunId, StageName
from flair_ray.domain.money import Price
from flair_ray.domain.runs import Limits, ModelChoice, RunStatus
from flair_ray.engine.driver import Driver
from flair_ray.engine.estimate import estimate
from flair_ray.engine.local_executor import LocalExecutor
from flair_ray.engine.order import Order, prepare
from flair_ray.engine.results import gather_result
from flair_ray.engine.shard import Tools
from flair_ray.errors import InputError
from flair_ray.ports import Executor, Provider, StageJob
from flair_ray.providers.offline import OfflineProvider
from flair_ray.result import SAME_MODEL_NOTICE
from flair_ray.stores.redis_store import RedisRunStore
from flair_ray.wiring import choose_model, choose_voters

WRITER, VOTERS = ModelChoice("openai", "some-model", "http://127.0.0.1:1/v1"), ModelChoice("gemini", "gemini-3.8-flash")


@pytest.fixture
def order(small_order: Order) -> Order:
    return replace(
        small_order, model=WRITER, voter_model=VOTERS, limits=Limits(rpm=5), voter_limits=Limits(rpm=9), price=PRICE
    )


PRICE = Price(1.0, 0.1, 4.0, "a test")


async def test_it_is_asked_for_the_ballots_and_for_nothing_else(
    store: RedisRunStore,
    submit: Callable[[Order], Awaitable[RunId]],
    make_driver: Callable[[Executor], Driver],
    local_tools: Callable[..., Tools],
    order: Order,
) -> None:
    asked: list[ModelChoice] = []
    limits: dict[StageName, Limits] = {}

    def provider_for(model: ModelChoice) -> Provider:
        asked.append(model)
        return OfflineProvider()

    class Watched(LocalExecutor):
        def map(self, job: StageJob):  # type: ignore[no-untyped-def]
            limits[job.stage] = job.limits
            return super().map(job)

    run_id = await submit(order)
    tools = replace(local_tools(), provider_for=provider_for)
    assert await make_driver(Watched(tools)).drive(run_id) is RunStatus.COMPLETED
    assert asked == [WRITER, WRITER, VOTERS, WRITER]  # S1, S3, S4, S6
    assert [limits[stage].rpm for stage in (StageName.S3, StageName.S4)] == [5, 9]

    result = await gather_result(store, run_id)
    assert {line.stage: line.model for line in result.receipt()}[StageName.S4] == VOTERS.model
    assert result.document()["voter_model"] == {"provider": "gemini", "model": VOTERS.model}
    assert SAME_MODEL_NOTICE not in result.disclosures
    alone = replace(result, spec=replace(result.spec, voter_model=None))
    assert SAME_MODEL_NOTICE in alone.disclosures
    by_hand = sum(
        (result.spec.money.price_of(name) or PRICE).usd(counts.tally.usage) for name, counts in result.stages.items()
    )
    assert result.cost.usd == pytest.approx(by_hand)


def test_each_stage_is_paid_at_its_own_model_s_price(order: Order, settings: Settings) -> None:
    spec, inputs = prepare(replace(order, max_usd=5.0), settings)
    purses = {name: spec.money.purse(name) for name in (StageName.S3, StageName.S4)}
    assert [purse.price.source if purse else "" for purse in purses.values()] == [
        "a test",
        spec.money.price_of(StageName.S4).source,
    ]  # type: ignore[union-attr]
    found = estimate(spec, inputs)
    alone = estimate(*prepare(replace(order, voter_model=None), settings))
    assert found.stage_usd()[StageName.S3] == alone.stage_usd()[StageName.S3]
    assert found.stage_usd()[StageName.S4] != alone.stage_usd()[StageName.S4]
    assert found.usd() == pytest.approx(sum(found.stage_usd().values()))


def test_a_price_that_nobody_knows_is_not_a_price_of_nothing(order: Order, settings: Settings) -> None:
    unknown = replace(order, voter_model=replace(WRITER, model="another"))
    assert estimate(*prepare(unknown, settings)).usd() is None
    with pytest.raises(InputError, match="price of another"):
        prepare(replace(unknown, max_usd=5.0), settings)


def test_the_same_model_is_no_other_one_and_a_different_one_gives_other_answers(
    order: Order, settings: Settings
) -> None:
    same, none = (prepare(replace(order, voter_model=voters), settings)[0] for voters in (WRITER, None))
    assert same.voter_model is None
    assert same.fingerprint == none.fingerprint != prepare(order, settings)[0].fingerprint


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [
        ("offline", ("offline", "offline-heuristic")),
        ("gemini:some-other", ("gemini", "some-other")),
        ("llama3:8b", ("openai", "llama3:8b")),
        ("openai/some", ("openai", "openai/some")),
    ],
)
def test_how_it_is_named(asked: str, chosen: tuple[str, str]) -> None:
    writer = choose_model("openai", "some-model", WRITER.base_url)
    found = choose_voters(asked, writer, keyless=True).model
    assert (found.provider, found.model) == chosen
    assert found.base_url == (WRITER.base_url if found.provider == "openai" else None)
