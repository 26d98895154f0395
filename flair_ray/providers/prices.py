"""What a model costs: from the genai-prices package, from ``--price``, or nothing because no vendor is asked. And how
much room it has to think, which is billed, too.

Only the table that the installed package carries is read; it is never updated over the network. Where a price depends
on the length of the prompt, the base tier is taken: none of our prompts comes near the next one. A server under
``--base-url`` may charge anything or nothing, so its price is unknown, and so is that of a model that the table lacks.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from flair_ray.domain.money import Price
from flair_ray.domain.runs import ModelChoice
from flair_ray.errors import InputError

FREE = {"offline": "no language model was used", "local": "the model ran on this machine"}
VENDORS = {"kimi": "moonshotai", "openai": "openai", "gemini": "google"}
"""Our providers by the names that genai-prices has for them."""
DATES = {"0.2.3": "2026-11-03"}
"""The last day on which anything in a release's table was checked, as its own comments say. A test fails when the
installed release is not here."""


def known_price(model: ModelChoice) -> Price | None:
    """The price of this model; None: nobody here knows it."""
    if model.provider in FREE:
        return Price(0.0, 0.0, 0.0, FREE[model.provider])
    vendor = VENDORS.get(model.provider)
    return _tabled(vendor, model.model) if vendor and not model.base_url else None


def _tabled(vendor: str, model: str) -> Price | None:
    from genai_prices.data_snapshot import get_snapshot

    try:
        _, found = get_snapshot().find_provider_model(model, None, vendor, None)
    except LookupError:
        return None
    prices = found.get_prices(datetime.now(UTC))
    fresh, output = _base(prices.input_mtok), _base(prices.output_mtok)
    if fresh is None or output is None:
        return None
    cached = _base(prices.cache_read_mtok)
    release = version("genai-prices")
    return Price(fresh, fresh if cached is None else cached, output, f"genai-prices {release}", DATES.get(release, ""))


def _base(price: Any) -> float | None:
    """A Decimal, or that of the base tier."""
    return None if price is None else float(getattr(price, "base", price))


def thinking_tokens(model: ModelChoice) -> int:
    """Room for reasoning that the adapter of this model adds to a request's output limit: it is billed as output.

    Said here, too, because an estimate wants to know it without loading anybody's SDK.
    """
    match model.provider:
        case "gemini":
            return 4096
        case "kimi":
            return 0 if model.model.startswith(("kimi-k2.5", "kimi-k2.6", "moonshot-v1")) else 8192
        case "openai" if not model.base_url:
            return 0 if model.model.startswith(("gpt-4", "gpt-3", "chatgpt-")) or "chat-latest" in model.model else 4096
        case _:
            return 0


def parse_price(text: str) -> Price:
    """IN/OUT or IN/CACHED/OUT, dollars per million tokens. Raises InputError."""
    try:
        rates = [float(part) for part in text.split("/")]
    except ValueError:
        rates = []
    if len(rates) not in (2, 3) or not all(math.isfinite(rate) and rate >= 0 for rate in rates):
        raise InputError(
            f"--price must be IN/OUT or IN/CACHED/OUT in dollars per million tokens, such as 0.95/0.16/4, not {text!r}."
        )
    return Price(rates[0], rates[-2], rates[-1], "given")
