"""File names made of hooks: safe everywhere, and never empty."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flair_ray.outputs.names import WRITTEN_PER_SCRIPT, stem
from flair_ray.result import RunResult


@pytest.mark.parametrize(
    ("hook", "name"),
    [
        ("Don't water on Sunday!", "01-dont-water-on-sunday"),
        ("Crème brûlée, 3 ways", "01-creme-brulee-3-ways"),
        ("../../etc/passwd", "01-etc-passwd"),
        ("هل تعلم؟ 🌱", "01-script"),
        ("a" * 60, "01-" + "a" * 40),
        ("one two three four five six seven eight nine ten", "01-one-two-three-four-five-six-seven-eight"),
    ],
)
def test_names_say_what_the_script_is(result: RunResult, hook: str, name: str) -> None:
    assert stem(replace(result.results[0], hook=hook)) == name


@given(hook=st.text(max_size=120), rank=st.integers(1, 200))
def test_every_hook_makes_a_name_that_is_recognised_later(result: RunResult, hook: str, rank: int) -> None:
    name = f"scripts/{stem(replace(result.results[0], hook=hook, rank=rank))}.srt"
    assert WRITTEN_PER_SCRIPT.fullmatch(name)
    assert len(name) < 60
