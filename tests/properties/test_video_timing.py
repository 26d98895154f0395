"""Whatever a script says, its beats fill its estimated duration, hook first."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flair_ray.domain.ids import ScriptId
from flair_ray.domain.scripts import MAX_SECONDS, MIN_SECONDS, CandidateScript, FinalScript
from flair_ray.providers.animatic.timing import PAGE_CHARACTERS, PAGE_WORDS, beats

TEXTS = st.text(max_size=400) | st.lists(
    st.sampled_from(["Wait.", "the", "pan", "half-empty,", "你好世界今天", "مرحبا", "😀", "x" * 60, "why?"]),
    max_size=60,
).map(" ".join)


def script_of(hook: str, body: str, payoff: str, seconds: float) -> FinalScript:
    original = CandidateScript(ScriptId("S01"), "pattern", hook, body, payoff, seconds, "")
    return FinalScript(original.script_id, original, hook, body, payoff, "", (), 1, 1.0)


@given(TEXTS, TEXTS, TEXTS, st.floats(MIN_SECONDS, MAX_SECONDS))
def test_beats_fill_the_duration_without_a_gap(hook: str, body: str, payoff: str, seconds: float) -> None:
    made = beats(script_of(hook, body, payoff, seconds))
    assert sum(beat.end_s - beat.start_s for beat in made) == pytest.approx(seconds, rel=0.05)
    assert (made[0].start_s, made[-1].end_s) == (0, seconds)
    for one, other in pairwise(made):
        assert one.end_s == other.start_s
    for beat in made:
        assert beat.pages[0].start_s == beat.start_s
        assert beat.pages[-1].end_s == pytest.approx(beat.end_s)
        for page, following in pairwise(beat.pages):
            assert page.end_s == following.start_s
        times = [word.start_s for page in beat.pages for word in page.words]
        assert times == sorted(times)
        assert all(page.start_s < page.end_s for page in beat.pages)


@given(TEXTS.filter(str.strip), TEXTS.filter(str.strip), TEXTS, st.floats(MIN_SECONDS, MAX_SECONDS))
def test_the_hook_has_the_first_three_seconds(hook: str, body: str, payoff: str, seconds: float) -> None:
    first = beats(script_of(hook, body, payoff, seconds))[0]
    assert (first.name, first.start_s, first.end_s) == ("hook", 0, 3)


@given(TEXTS, TEXTS, TEXTS)
def test_every_word_is_seen_in_order_and_no_page_is_crowded(hook: str, body: str, payoff: str) -> None:
    for beat in beats(script_of(hook, body, payoff, 30)):
        shown = [word.text for page in beat.pages for word in page.words]
        said = "".join({"hook": hook, "body": body, "payoff": payoff}[beat.name].split())
        assert "".join(shown).strip() == said
        for page in beat.pages:
            assert len(page.words) <= PAGE_WORDS
            assert len(page.words) == 1 or len(" ".join(w.text for w in page.words)) <= PAGE_CHARACTERS


@pytest.mark.parametrize("seconds", [0.0, -3.0, float("nan"), float("inf"), 1e9])
def test_a_duration_that_cannot_be_is_kept_within_bounds(seconds: float) -> None:
    assert 1 <= beats(script_of("Hook.", "Body.", "Payoff.", seconds))[-1].end_s <= 180


def test_a_breath_between_sentences_and_time_for_the_last() -> None:
    made = beats(script_of("Stop.", "One two. Three four", "Five six", 20))
    body = made[1].pages[0].words
    gaps = [b.start_s - a.start_s for a, b in pairwise(body)]
    assert gaps[1] > 1.5 * gaps[0]
    last = made[2].pages[-1]
    assert last.end_s - last.words[-1].start_s > 2 * gaps[0]
