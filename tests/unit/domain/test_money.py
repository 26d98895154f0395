from __future__ import annotations

import pytest

from flair_ray.domain.answers import VideoAnalysis
from flair_ray.domain.calls import ChatRequest, Reask, Usage
from flair_ray.domain.ids import StageName
from flair_ray.domain.money import Money, Price, Purse, dollars
from flair_ray.domain.tokens import estimated_tokens, request_tokens

PRICE = Price(1.0, 0.1, 4.0, "a test", "2026-01-01")
ASKED = ChatRequest(StageName.S1, "system", "shared", "varying", VideoAnalysis, None, max_output_tokens=100)


def test_cached_input_is_charged_as_such_and_reasoning_as_output() -> None:
    assert PRICE.usd(Usage(1_000_000, 400_000, 500_000, 300_000)) == pytest.approx(0.6 + 0.04 + 2.0)


def test_a_price_says_where_it_is_from() -> None:
    assert str(PRICE) == "$1 in, $0.1 cached, $4 out per million tokens (a test, as of 2026-01-01)"
    assert str(Price(0, 0, 0, "nobody was asked")) == "free: nobody was asked"


def test_the_worst_case_is_uncached_and_as_long_as_allowed_with_all_its_reasoning() -> None:
    worst = Purse(0, PRICE, thinking_tokens=50).worst(ASKED)
    assert worst >= request_tokens(ASKED) * 1 + (100 + 50) * 4
    assert worst > Purse(0, PRICE, thinking_tokens=50).cost(Usage(request_tokens(ASKED), 0, 150))


def test_without_a_cap_there_is_no_purse() -> None:
    assert Money(PRICE).purse(StageName.S1) is None
    money = Money(PRICE, 1.0, allowances={StageName.S1: 9}, thinking_tokens=2, stage_thinking={StageName.S4: 5000})
    assert money.purse(StageName.S1) == Purse(9, PRICE, 2)  # what another model thinks is no part of it


@pytest.mark.parametrize(("usd", "said"), [(None, "unknown"), (0.0, "$0.00"), (0.0123, "$0.0123"), (12.4, "$12.40")])
def test_unknown_is_not_zero(usd: float | None, said: str) -> None:
    assert dollars(usd) == said


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("日本語", 3), ("\ud83d", 1)]
)
def test_four_bytes_are_a_token(text: str, tokens: int) -> None:
    assert estimated_tokens(text) == tokens


def test_what_is_shown_again_counts_as_input() -> None:
    again = ChatRequest(StageName.S1, "system", "shared", "varying", VideoAnalysis, None, reask=Reask("x" * 400, "no"))
    assert request_tokens(again) == request_tokens(ASKED) + 101
