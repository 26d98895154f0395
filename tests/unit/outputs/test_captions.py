"""Subtitles: in order, without overlap, readable, complete, and understood by an independent reader."""

from __future__ import annotations

from dataclasses import replace

import pysubs2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flair_ray.domain.ids import ScriptId
from flair_ray.domain.scripts import CandidateScript, FinalScript
from flair_ray.outputs.captions import DEFAULT_PACE, FASTEST, SLOWEST, cues, speaking_pace, srt, vtt
from flair_ray.result import RunResult


def spoken(hook: str, body: str, payoff: str) -> FinalScript:
    original = CandidateScript(ScriptId("s"), "p", hook, body, payoff, 20.0, "")
    return FinalScript(ScriptId("s"), original, hook, body, payoff, "", (), 1, 1.0)


texts = st.text(alphabet=st.characters(codec="utf-8"), max_size=400)


@given(texts, texts, texts, st.floats(SLOWEST, FASTEST))
def test_cues_follow_one_another_and_fit_the_screen(hook: str, body: str, payoff: str, pace: float) -> None:
    timed = cues(spoken(hook, body, payoff), pace)
    at = 0
    for cue in timed:
        assert cue.start_ms == at
        assert cue.end_ms > cue.start_ms
        assert 1 <= len(lines := cue.text.split("\n")) <= 2
        assert all(0 < len(line) <= 42 for line in lines)
        at = cue.end_ms
    shown = "".join("".join(cue.text for cue in timed).split())
    assert shown == "".join(f"{hook} {body} {payoff}".split())


def test_both_formats_are_read_by_an_independent_reader(result: RunResult) -> None:
    timed = cues(result.results[0], 2.6)
    for text, kind in ((srt(timed), "srt"), (vtt(timed), "vtt")):
        read = pysubs2.SSAFile.from_string(text, format_=kind)
        assert [(e.start, e.end, e.plaintext) for e in read] == [(c.start_ms, c.end_ms, c.text) for c in timed]


def test_hostile_text_cannot_forge_a_cue(hostile: RunResult) -> None:
    timed = cues(hostile.results[0], 2.6)
    assert srt(timed).count("-->") == len(timed)
    assert vtt(timed).count("-->") == len(timed)
    assert "<" not in vtt(timed)
    assert "{b}" in srt(timed)


def test_hook_body_and_payoff_never_share_a_cue() -> None:
    timed = cues(spoken("No.", "Yes. Or maybe.", "Go."), 2.6)
    assert [cue.text for cue in timed] == ["No.", "Yes. Or maybe.", "Go."]


def test_time_is_words_by_pace() -> None:
    sixty_words = " ".join(["word"] * 60)
    assert cues(spoken(sixty_words, "", ""), 3.0)[-1].end_ms == pytest.approx(20_000, abs=20)
    chinese = "花" * 94
    assert cues(spoken(chinese, "", ""), DEFAULT_PACE)[-1].end_ms == pytest.approx(20_000, rel=0.02)


def test_the_pace_is_measured_where_it_can_be(result: RunResult) -> None:
    library = result.library
    assert library is not None
    assert speaking_pace(library) == 2.9
    assert speaking_pace(None) == DEFAULT_PACE
    assert speaking_pace(replace(library, median_words_per_second=None)) == DEFAULT_PACE
    assert speaking_pace(replace(library, median_words_per_second=0.2)) == SLOWEST
    assert speaking_pace(replace(library, median_words_per_second=9.0)) == FASTEST
