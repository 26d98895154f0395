from __future__ import annotations

from importlib.metadata import version

import pytest

from flair_ray.domain.runs import ModelChoice
from flair_ray.errors import InputError
from flair_ray.providers.gemini import THINKING_TOKENS
from flair_ray.providers.kimi import kimi_dialect
from flair_ray.providers.openai_compatible import COMPATIBLE, openai_dialect
from flair_ray.providers.prices import DATES, FREE, known_price, parse_price, thinking_tokens
from flair_ray.wiring import DEFAULT_MODELS


@pytest.mark.parametrize(("provider", "model"), DEFAULT_MODELS.items())
def test_every_default_model_has_a_price(provider: str, model: str) -> None:
    price = known_price(ModelChoice(provider, model))
    assert price is not None
    assert price.free == (provider in FREE)
    assert 0 <= price.cached <= price.input <= price.output


def test_the_table_says_how_old_it_is() -> None:
    price = known_price(ModelChoice("kimi", "kimi-k2.6"))
    assert price is not None
    assert (price.source, price.as_of) == (f"genai-prices {version('genai-prices')}", DATES[version("genai-prices")])


def test_of_a_tiered_price_the_base_is_taken() -> None:
    price = known_price(ModelChoice("openai", "gpt-5.4"))
    assert price is not None
    assert (price.input, price.output) == (2.5, 15.0)


@pytest.mark.parametrize(
    "model",
    [
        ModelChoice("openai", "gpt-5.4-mini", "http://127.0.0.1:8089/v1"),
        ModelChoice("kimi", "kimi-k2.6", "http://127.0.0.1:8089/v1"),
        ModelChoice("openai", "a-model-of-tomorrow"),
        ModelChoice("elsewhere", "kimi-k2.6"),
    ],
)
def test_what_nobody_knows_is_unknown(model: ModelChoice) -> None:
    assert known_price(model) is None


def test_a_price_can_be_given() -> None:
    assert [(p.input, p.cached, p.output) for p in map(parse_price, ("1/4", "1/0.1/4", "0/0"))] == [
        (1.0, 1.0, 4.0),
        (1.0, 0.1, 4.0),
        (0.0, 0.0, 0.0),
    ]


@pytest.mark.parametrize("text", ["", "1", "1/2/3/4", "a/b", "-1/2", "nan/1", "1/inf", "1//2"])
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"--price must be IN/OUT"):
        parse_price(text)


@pytest.mark.parametrize(
    ("model", "room"),
    [
        *(
            (ModelChoice("kimi", m), kimi_dialect(m).thinking_tokens)
            for m in ("kimi-k2.6", "kimi-k2.7-code", "kimi-k3")
        ),
        *((ModelChoice("openai", m), openai_dialect(m).thinking_tokens) for m in ("gpt-5.4-mini", "gpt-4.1")),
        (ModelChoice("openai", "o9", "http://x/v1"), COMPATIBLE.thinking_tokens),
        (ModelChoice("gemini", "gemini-3.8-flash"), THINKING_TOKENS),
        (ModelChoice("offline", "offline-heuristic"), 0),
    ],
)
def test_room_for_reasoning_is_what_the_adapters_ask_for(model: ModelChoice, room: int) -> None:
    assert thinking_tokens(model) == room
