"""Text from strangers is made safe, and counted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flair_ray.inputs.text import clean, clip, listing, word_count

any_text = st.text(st.characters(exclude_categories=()))  # lone surrogates too


def test_control_characters_go_and_white_space_becomes_one_space() -> None:
    assert clean("  one\x00\x1b[31m two\r\n\tthree\u202e \ufeff") == "one[31m two three"


def test_what_carries_meaning_stays() -> None:
    family = "👩\u200d👧"
    assert clean(f"café {family} שלום") == f"café {family} שלום"


@given(any_text)
def test_clean_text_can_be_encoded_and_is_clean(text: str) -> None:
    once = clean(text)
    once.encode()
    assert clean(once) == once


@given(any_text, st.integers(2, 50))
def test_clipped_text_is_never_longer(text: str, limit: int) -> None:
    assert len(clip(text, limit)) <= limit


def test_words_are_counted_with_and_without_spaces() -> None:
    assert word_count("Wait, what? It's — 5!") == 4
    assert word_count("今天分享一个秘密") == 8
    assert word_count("... !!! ♪") == 0


def test_a_long_listing_is_cut() -> None:
    assert listing(["a", "b", "c"], most=2) == "a, b and 1 more"
