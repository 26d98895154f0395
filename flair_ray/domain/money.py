"""What calls cost, and how much of it a run may spend.

Prices are US dollars per million tokens. A price that nobody knows is None wherever one is asked for, never 0. What a
run may spend is kept in whole micro-dollars: a price per million tokens in dollars is one per token in micro-dollars,
and integers add up exactly however many workers add.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from flair_ray.domain.calls import ChatRequest, Usage
from flair_ray.domain.ids import StageName
from flair_ray.domain.tokens import request_tokens

MICROS = 1_000_000
MOST_USD = 1e9
"""Of a cap: its micro-dollars are still whole numbers to Redis, whose scripts count in doubles."""
INPUT_MARGIN = 1.25
"""An input may be a quarter longer than estimated before a reservation is too small for it."""


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens of one model."""

    input: float
    cached: float
    """Of input that the vendor had in its cache."""
    output: float
    """Reasoning included."""
    source: str
    """Who says so."""
    as_of: str = ""
    """The date of the table; empty where there is none."""

    @property
    def free(self) -> bool:
        return not (self.input or self.cached or self.output)

    def micros(self, usage: Usage) -> float:
        """What these calls cost, in micro-dollars."""
        fresh = usage.input_tokens - usage.cached_tokens
        return fresh * self.input + usage.cached_tokens * self.cached + usage.output_tokens * self.output

    def usd(self, usage: Usage) -> float:
        """What these calls cost, in dollars."""
        return self.micros(usage) / MICROS

    def __str__(self) -> str:
        if self.free:
            return f"free: {self.source}"
        rates = f"${self.input:g} in, ${self.cached:g} cached, ${self.output:g} out per million tokens"
        return f"{rates} ({self.source}{f', as of {self.as_of}' if self.as_of else ''})"


@dataclass(frozen=True, slots=True)
class Purse:
    """What one stage may spend from."""

    allowance: int
    """Micro-dollars that the run may have spent in all by the end of this stage."""
    price: Price
    thinking_tokens: int
    """Room for reasoning that each call has beside its answer."""

    def worst(self, request: ChatRequest) -> int:
        """Micro-dollars of one call whose input is not cached and whose answer is as long as it may be."""
        tokens = math.ceil(INPUT_MARGIN * request_tokens(request))
        return math.ceil(self.price.micros(Usage(tokens, 0, request.max_output_tokens + self.thinking_tokens)))

    def cost(self, usage: Usage) -> int:
        """Micro-dollars of a call that has been answered."""
        return math.ceil(self.price.micros(usage))


@dataclass(frozen=True, slots=True)
class Money:
    """A run's price, its cap, and what was expected of it; decides no answer."""

    price: Price | None = None
    max_usd: float | None = None
    estimate_usd: dict[StageName, float] = field(default_factory=dict)
    """What each stage was expected to cost when the run was submitted; empty without a price."""
    allowances: dict[StageName, int] = field(default_factory=dict)
    """Per stage the micro-dollars that the run may have spent in all by its end; empty without a cap."""
    thinking_tokens: int = 0
    stage_prices: dict[StageName, Price | None] = field(default_factory=dict)
    """Of stages that another model answers."""
    stage_thinking: dict[StageName, int] = field(default_factory=dict)
    """The same."""

    def price_of(self, stage: StageName) -> Price | None:
        return self.stage_prices.get(stage, self.price)

    @property
    def free(self) -> bool:
        """Whether nothing that this run does costs anything."""
        return all(price is not None and price.free for price in (self.price, *self.stage_prices.values()))

    @property
    def known(self) -> bool:
        """Whether every price is."""
        return None not in (self.price, *self.stage_prices.values())

    def purse(self, stage: StageName) -> Purse | None:
        """None: this run has no cap."""
        price = self.price_of(stage)
        if price is None or stage not in self.allowances:
            return None
        return Purse(self.allowances[stage], price, self.stage_thinking.get(stage, self.thinking_tokens))


def dollars(usd: float | None) -> str:
    """$12.40, $0.0123, unknown: cents are too coarse for a cheap run."""
    if usd is None:
        return "unknown"
    return f"${usd:,.4f}" if 0 < usd < 1 else f"${usd:,.2f}"
