"""Every word that was spoken, once."""

from __future__ import annotations

import json
import time

import pytest

from flair_ray.inputs.files import Unreadable
from flair_ray.inputs.subtitles import spoken_text

ROLLING = """WEBVTT
Kind: captions
Language: en

00:00:00.160 --> 00:00:02.389 align:start position:0%
 
never<00:00:00.480><c> salt</c><00:00:00.960><c> the water</c>

00:00:02.389 --> 00:00:02.399 align:start position:0%
never salt the water
 

00:00:02.399 --> 00:00:04.870 align:start position:0%
never salt the water
until<00:00:02.639><c> it</c><00:00:02.800><c> boils</c>

00:00:04.870 --> 00:00:04.880 align:start position:0%
until it boils
 

00:00:04.880 --> 00:00:06.000 align:start position:0%
until it boils
here is why
"""  # fmt: skip


def srt(*cues: str) -> str:
    return "\n".join(f"{n}\n00:00:{n:02},000 --> 00:00:{n + 1:02},000\n{cue}\n" for n, cue in enumerate(cues, 1))


def words(text: str, form: str = "srt") -> str:
    return spoken_text(text, form, "clip")


def test_rolling_captions_say_each_line_once() -> None:
    assert words(ROLLING, "vtt") == "never salt the water until it boils here is why"


def test_rolling_captions_survive_lost_blanks_and_line_endings() -> None:
    stripped = "\r\n".join(line.rstrip() for line in ROLLING.splitlines())
    assert words(stripped, "vtt") == "never salt the water until it boils here is why"


def test_rolling_captions_converted_to_srt_have_no_tags_left_and_still_roll() -> None:
    converted = srt("one two", "one two", "one two\nthree four", "three four", "three four\nfive six")
    assert words(converted) == "one two three four five six"


def test_captions_that_grow_word_by_word() -> None:
    assert words(srt("stop", "stop doing", "stop doing this", "ever again")) == "stop doing this ever again"


def test_a_genuine_repetition_stays() -> None:
    assert words(srt("No.", "No.", "I said", "leave", "now", "please")) == "No. No. I said leave now please"


def test_styles_notes_identifiers_and_speakers_are_not_speech() -> None:
    text = (
        "WEBVTT\n\nSTYLE\n::cue { color: red }\n\nNOTE made by hand\nover two lines\n\nintro\n"
        "00:01.000 --> 00:02.000 line:0\n<v Ana>I quit &amp; moved</v>\n\nNOTE later\n\nb2\n"
        "00:02.000 --> 00:03.000\n{\\an8}<i>to</i> [Music] the coast ♪\n>> in\n2024\n"
    )
    assert words(text, "vtt") == "I quit & moved to the coast in 2024"


def test_a_line_of_digits_is_kept_between_cues() -> None:
    assert words(srt("in the year\n2024", "it broke\n7")) == "in the year 2024 it broke 7"


def test_cues_without_blank_lines_between_them() -> None:
    assert words("1\n00:00:01,000 --> 00:00:02,000\nfirst\n2\n00:00:02,000 --> 00:00:03,000\nsecond") == "first second"


def test_json3_joins_words_and_ignores_windows_and_line_breaks() -> None:
    document = {
        "events": [
            {"tStartMs": 0, "wWinId": 1},
            {"segs": [{"utf8": "nobody"}, {"utf8": " tells", "tOffsetMs": 200}]},
            {"aAppend": 1, "segs": [{"utf8": "\n"}]},
            {"segs": [{"utf8": "you this"}, {"utf8": None}, 5]},
            "damage",
        ]
    }
    assert words(json.dumps(document), "json3") == "nobody tells you this"


@pytest.mark.parametrize(
    ("text", "form", "says"),
    [
        ("just some prose\nwithout times", "srt", "no cue found"),
        ("WEBVTT\n\n", "vtt", "no cue found"),
        ("{", "json3", "line 1, column 2"),
        ("[]", "json3", "no list of events"),
    ],
)
def test_what_is_no_subtitle_file_says_so(text: str, form: str, says: str) -> None:
    with pytest.raises(Unreadable, match=says) as caught:
        words(text, form)
    assert str(caught.value).startswith("clip: ")


@pytest.mark.parametrize(
    "body",
    [
        "<" * 200_000,
        "<a" * 100_000,
        "{" * 200_000,
        "< " + " " * 200_000,
        "x\n" * 100_000,
        "\n" * 200_000 + "x",
        "[" * 200_000,
    ],
    ids=["angles", "tags", "braces", "blanks", "lines", "newlines", "brackets"],
)
def test_hostile_cues_take_linear_time(body: str) -> None:
    began = time.process_time()
    words(srt("one two three", body))
    assert time.process_time() - began < 5  # quadratic patterns take minutes
