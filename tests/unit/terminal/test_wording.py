"""Texts and numbers for a terminal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flair_ray.terminal.wording import clean, clock, compact, plural, span


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;a title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]52;c;aGk=\x07clipboard", "clipboard"),
        ("\x9b31mred", "red"),
        ("\x1bc\x1b(Breset", "reset"),
        ("two\nlines\r\n\tand a tab", "two lines and a tab"),
        ("back\x08space and bell\x07", "back space and bell"),
        ("\u202egnirts\u202c", "gnirts"),
        ("half \ud83d emoji", "half \ufffd emoji"),
        ("family 👨\u200d👩\u200d👧 stays", "family 👨\u200d👩\u200d👧 stays"),
        ("[bold]markup[/bold]", "[bold]markup[/bold]"),
        ("an end that never comes \x1b]0;swallowed\nstays", "an end that never comes stays"),
        (42, "42"),
    ],
)
def test_clean_keeps_the_text_and_nothing_a_terminal_obeys(raw: object, shown: str) -> None:
    assert clean(raw) == shown


@given(st.text(st.characters(), max_size=60) | st.text(st.sampled_from("\x1b\x9b\x90[]0;m\x07\\ \nab"), max_size=20))
def test_no_control_character_survives(raw: str) -> None:
    shown = clean(raw)
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")]
    assert clean(shown) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(-1, "0:00"), (0, "0:00"), (12.9, "0:12"), (75, "1:15"), (3723, "1:02:03")]
)
def test_clock(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


@pytest.mark.parametrize(("seconds", "shown"), [(0.04, "0.0s"), (4.12, "4.1s"), (59.94, "59.9s"), (60, "1:00")])
def test_span(seconds: float, shown: str) -> None:
    assert span(seconds) == shown


@pytest.mark.parametrize(
    ("number", "shown"),
    [(0, "0"), (950, "950"), (999, "999"), (1000, "1k"), (41_234, "41.2k"), (999_700, "1M"), (2.5e9, "2.5G")],
)
def test_compact(number: float, shown: str) -> None:
    assert compact(number) == shown


def test_plural() -> None:
    assert [plural(n, "call") for n in (0, 1, 2000)] == ["0 calls", "1 call", "2,000 calls"]
