from __future__ import annotations

from dataclasses import replace

import pytest

from flair_ray.config import Account, Settings
from flair_ray.domain.ids import StageName
from flair_ray.domain.money import MICROS, Price
from flair_ray.domain.runs import Limits, ModelChoice
from flair_ray.domain.tokens import request_tokens
from flair_ray.engine.estimate import Estimate, allowances, estimate
from flair_ray.engine.order import Order, prepare
from flair_ray.errors import InputError
from flair_ray.stages.s1_analyze import Analyze
from flair_ray.wiring import Choice, declared_limits

PRICE = Price(1.0, 0.1, 4.0, "a test")
SERVER = ModelChoice("openai", "some-model", "http://127.0.0.1:1/v1")
S1, S3, S4, S6 = StageName.S1, StageName.S3, StageName.S4, StageName.S6


@pytest.fixture
def paid(small_order: Order) -> Order:
    return replace(small_order, model=SERVER, price=PRICE)


def of(order: Order, settings: Settings) -> Estimate:
    return estimate(*prepare(order, settings))


def test_the_first_stage_is_estimated_from_its_real_prompts(paid: Order, settings: Settings) -> None:
    _, inputs = prepare(paid, settings)
    tokens = sum(request_tokens(Analyze().request(None, video)) for video in inputs.videos)
    assert of(paid, settings).stages[S1].expected.input_tokens == tokens


def test_every_call_is_counted(paid: Order, settings: Settings) -> None:
    assert {n: s.calls for n, s in of(paid, settings).stages.items()} == {S1: 12, S3: 6, S4: 7, S6: 3}


def test_low_expected_and_high_are_in_that_order(paid: Order, settings: Settings) -> None:
    found = of(replace(paid, num_scripts=20, num_personas=42), settings)
    costs = [found.usd(bound) for bound in ("low", "expected", "high")]
    assert costs == sorted(costs, key=lambda cost: cost or 0)
    assert found.stages[S4].low.cached_tokens > found.stages[S4].expected.cached_tokens > 0


def test_without_a_price_tokens_are_known_and_dollars_are_not(paid: Order, settings: Settings) -> None:
    found = of(replace(paid, price=None), settings)
    assert found.usd() is None
    assert found.document()["usd"] == {"low": None, "expected": None, "high": None}
    assert found.document()["stages"]["S1_MAP"]["expected"]["input_tokens"] > 0


def test_a_declared_rate_stretches_the_run(paid: Order, settings: Settings) -> None:
    slow = of(replace(paid, limits=Limits(rpm=6)), settings)
    assert slow.duration_s == pytest.approx(28 / 6 * 60)
    assert slow.duration_s > of(paid, settings).duration_s


@pytest.mark.parametrize("share", [0.3, 1.0, 5.0])
def test_the_last_stage_is_held_back_in_full(paid: Order, settings: Settings, share: float) -> None:
    found = of(paid, settings)
    cap = share * (found.usd() or 0)
    allowed = allowances(found, cap)
    assert list(allowed) == [S1, S3, S4, S6]
    assert sorted(allowed.values()) == list(allowed.values())
    assert allowed[S6] == int(cap * MICROS)
    held = allowed[S6] - allowed[S4]
    assert held >= min(found.stage_usd()[S6] * MICROS, allowed[S6]) - 1


def test_the_rest_is_shared_in_proportion(paid: Order, settings: Settings) -> None:
    found = of(paid, settings)
    allowed, expected = allowances(found, 10.0), found.stage_usd()
    shares = allowed[S3] - allowed[S1], allowed[S4] - allowed[S3]
    assert shares[1] / shares[0] == pytest.approx(expected[S4] / expected[S3], rel=1e-3)


def test_the_first_stage_is_not_starved_by_its_reservations(paid: Order, settings: Settings) -> None:
    """Calls that go out one by one, each at its expected cost, get through in proportion to the cap."""
    found = of(paid, settings)
    allowed, stage = allowances(found, 0.7 * (found.usd() or 0)), found.stages[S1]
    each, worst = PRICE.micros(stage.expected) / stage.calls, PRICE.micros(stage.worst_call)
    assert (allowed[S1] - worst) // each + 1 >= 0.4 * stage.calls


def test_a_cap_needs_a_price(paid: Order, settings: Settings) -> None:
    with pytest.raises(InputError, match=r"nobody here knows the price of some-model.*--price"):
        prepare(replace(paid, price=None, max_usd=1.0), settings)


@pytest.mark.parametrize("cap", [0.0, -1.0, float("nan"), float("inf")])
def test_a_cap_is_a_number_of_dollars(paid: Order, settings: Settings, cap: float) -> None:
    with pytest.raises(InputError, match="--max-usd must be"):
        prepare(replace(paid, max_usd=cap), settings)


def test_money_decides_no_answer(paid: Order, settings: Settings) -> None:
    spec, _ = prepare(replace(paid, max_usd=1.0, limits=Limits(3, 60, 9000)), settings)
    assert spec.money.purse(S1) is not None
    assert spec.fingerprint == prepare(replace(paid, price=None), settings)[0].fingerprint


def test_limits_are_those_of_whoever_says_them_first(settings: Settings) -> None:
    account = Account("kimi", max_in_flight=7, tpm=9)
    kimi = Choice(ModelChoice("kimi", "kimi-k2.6"), account)
    assert declared_limits(kimi, settings, Limits(rpm=5)) == Limits(7, 5, 9)
    wide = settings.model_copy(update={"max_in_flight": 3})
    assert declared_limits(Choice(kimi.model, Account("kimi")), wide) == Limits(3, 200, 2_000_000)
    assert declared_limits(Choice(SERVER, Account("openai")), settings) == Limits()
