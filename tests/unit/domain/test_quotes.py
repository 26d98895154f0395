"""Quotes are looked up with everything evened out but the words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flair_ray.domain.quotes import Spoken, plain_words

SAID = "So… I’ve NEVER told anyone—\nnot even   my mum: the ﬁrst £20 I made, I lost! 三个月前，我什么都没有。"


@pytest.mark.parametrize(
    "quote",
    [
        "I've never told anyone",
        "anyone not even my mum",
        "“The first £20 I made”",
        "THE FIRST",
        "我什么都没有",
        "So I’ve",
    ],
)
def test_case_space_and_punctuation_do_not_matter(quote: str) -> None:
    spoken = Spoken(SAID)
    assert spoken.quote(quote) is not None
    assert (spoken.given, spoken.dropped) == (1, 0)


@pytest.mark.parametrize(
    "quote", ["I have never told anyone", "not even … the first", "my mum told", "ever told any", "", " … ", "🙂"]
)
def test_a_word_left_out_or_put_right_does(quote: str) -> None:
    spoken = Spoken(SAID)
    assert spoken.quote(quote) is None
    assert (spoken.given, spoken.dropped) == (1, 1)


def test_nothing_was_said_in_an_empty_transcript() -> None:
    assert Spoken("\n").quote("a") is None


words = st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1)


@given(words, st.data())
def test_every_run_of_words_is_found_at_its_place(words: list[str], data: st.DataObject) -> None:
    said = " ".join(words)
    first = data.draw(st.integers(0, len(words) - 1))
    quote = " ".join(words[first : data.draw(st.integers(first + 1, len(words)))])
    found = Spoken(said).quote(quote)
    assert (found is None) == (not plain_words(quote))
    assert found is None or 0 <= found.at < 1


@given(st.text())
def test_evening_out_twice_changes_nothing(text: str) -> None:
    assert plain_words(plain_words(text)) == plain_words(text)
