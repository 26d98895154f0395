"""CSV, TSV, JSON lines, JSON and Parquet, under the names that sources use."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flair_ray.domain.videos import Engagement
from flair_ray.errors import InputError
from flair_ray.inputs import Ingest, read_videos

Read = Callable[..., Ingest]
Write = Callable[..., Path]

SAID = "nobody tells you this about bread"
FULL = Engagement(views=1_200_000, likes=3400, comments=12, shares=5, saves=7, followers=12_500)


def test_a_spreadsheet_export(read: Read) -> None:
    (video,) = read(
        "clips.csv",
        "\ufeffVideo ID;Caption;Captions Text;Play Count;Hearts;Comments;Shares;Collect Count;Followers;Duration;"
        "Author;URL\r\n"
        f'7520436018546216247;my bread;"{SAID}";1.2M;3,400;12;5;7;12.5K;0:42;ana;https://example.org/v/1\r\n',
    ).videos
    assert video.video_id == "7520436018546216247"
    assert (video.transcript, video.description, video.duration_s) == (SAID, "my bread", 42.0)
    assert video.engagement == FULL
    assert (video.author, video.url, video.source) == ("ana", "https://example.org/v/1", "clips.csv line 2")


def test_utf16_as_spreadsheets_save_unicode_text(read: Read) -> None:
    (video,) = read("clips.tsv", f"id\ttext\n1\t{SAID} é\n".encode("utf-16")).videos
    assert (video.video_id, video.transcript) == ("1", f"{SAID} é")


def test_nested_statistics(read: Read) -> None:
    item = {
        "id": "9",
        "desc": "my bread",
        "voice_to_text": SAID,
        "video": {"duration": 42, "id": "not this one"},
        "author": {"uniqueId": "ana", "id": "nor this"},
        "authorStats": {"followerCount": 12500, "heartCount": 99},
        "stats": {"playCount": 1200000, "diggCount": 3400, "commentCount": 12, "shareCount": 5, "collectCount": 7},
    }
    (video,) = read("feed.json", json.dumps({"itemList": [item]})).videos
    assert video.engagement == FULL
    assert (video.video_id, video.duration_s, video.author) == ("9", 42.0, "ana")


def test_a_flattened_export_of_nested_statistics(read: Read) -> None:
    (video,) = read(
        "feed.csv", f"id,transcript,stats.playCount,videoMeta/duration,authorMeta.name\n1,{SAID},5,9,ana\n"
    ).videos
    assert (video.engagement.views, video.duration_s, video.author) == (5, 9.0, "ana")


def test_a_feed_in_milliseconds(read: Read) -> None:
    item = {"aweme_id": "7", "text": SAID, "video": {"duration": 15_200}, "statistics": {"digg_count": 3}}
    (video,) = read("feed.json", json.dumps({"data": {"aweme_list": [item]}})).videos
    assert (video.video_id, video.duration_s, video.engagement.likes) == ("7", 15.2, 3)
    assert read("ms.json", json.dumps([{"text": SAID, "duration_ms": 900}])).videos[0].duration_s == 0.9


def test_engagement_without_numbers_and_a_duration_of_zero_are_unknown(read: Read) -> None:
    (video,) = read(
        "a.json", json.dumps([{"id": 1, "transcript": SAID, "duration": 0, "engagement": {"source": "x"}}])
    ).videos
    assert (video.duration_s, video.engagement) == (None, Engagement())


def test_nan_infinity_and_nonsense_are_unknown(read: Read) -> None:
    line = (
        f'{{"id": "a", "transcript": "{SAID}", "views": NaN, "likes": -5, "comments": 1e999,'
        ' "duration": "soon", "url": "javascript:x"}'
    )
    (video,) = read("a.jsonl", line).videos
    assert (video.engagement, video.duration_s, video.url) == (Engagement(), None, None)


def test_text_is_the_caption_when_there_is_a_better_transcript(read: Read) -> None:
    (video,) = read("a.jsonl", json.dumps({"text": "my bread", "subtitles": SAID})).videos
    assert (video.transcript, video.description) == (SAID, "my bread")
    (video,) = read("b.jsonl", json.dumps({"text": SAID})).videos
    assert (video.transcript, video.description) == (SAID, "")


@pytest.mark.parametrize(
    "transcript",
    [
        ["nobody tells you", "this about bread"],
        [{"text": "nobody tells you", "start": 0}, {"text": "this about bread"}, 5],
        {"text": SAID},
        {"events": [{"segs": [{"utf8": SAID}]}]},
        f"WEBVTT\n\n00:01.000 --> 00:02.000\n<b>{SAID}</b>",
        f"1\n00:00:01,000 --> 00:00:02,000\n{SAID}\n",
        f"  nobody\n\ttells you\x00 this{chr(0xA0)}about bread \ud800",
    ],
    ids=["lines", "segments", "object", "json3", "vtt", "srt", "blanks"],
)
def test_shapes_of_a_transcript(read: Read, transcript: object) -> None:
    assert read("a.json", json.dumps([{"id": "1", "transcript": transcript}])).videos[0].transcript == SAID


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("7520436018546216247", "7520436018546216247"),
        (752043601854621624, "752043601854621624"),
        (12.0, "12"),
        ("12.0", "12"),
    ],
)
def test_ids(read: Read, written: object, read_as: str) -> None:
    assert read("a.json", json.dumps([{"id": written, "text": SAID}])).videos[0].video_id == read_as


@pytest.mark.parametrize("written", ["7.52044E+18", 7.52044e18, "", None, True, {"a": 1}])
def test_an_id_that_identifies_nothing_is_replaced_by_one_of_the_content(read: Read, written: object) -> None:
    records = [{"id": written, "text": SAID}, {"id": written, "text": "something else entirely"}]
    ids = [video.video_id for video in read("a.json", json.dumps(records)).videos]
    assert len(set(ids)) == 2
    assert all(video_id.startswith("v-") for video_id in ids)


def test_json_with_a_single_record_and_json_lines_under_the_name_of_json(read: Read) -> None:
    assert read("one.json", json.dumps({"id": "1", "transcript": SAID}, indent=1)).found == 1
    lines = "\n".join(json.dumps({"id": n, "transcript": f"{SAID} {n}"}) for n in range(3))
    assert [v.video_id for v in read("many.json", lines).videos] == ["0", "1", "2"]


def test_a_recogniser_table_is_one_transcript(read: Read) -> None:
    (video,) = read("talk.tsv", "start\tend\ttext\n0\t900\tnobody tells you\n900\t2000\tthis about bread\n").videos
    assert (video.video_id, video.transcript) == ("talk", SAID)


def test_broken_lines_are_skipped_with_their_number(read: Read) -> None:
    good = json.dumps({"id": "1", "transcript": SAID})
    ingest = read("a.jsonl", f'{good}\n\n{{"id": \n[1]\n"text"\nnull\n{good[:-1]}, "x": {"9" * 5000}}}\n')
    assert [(s.where, s.reason) for s in ingest.skipped] == [
        ("a.jsonl line 3", "broken JSON at line 3, column 7: Expecting value"),
        ("a.jsonl line 4", "a list, not an object"),
        ("a.jsonl line 5", "a text, not an object"),
        ("a.jsonl line 6", "null, not an object"),
        ("a.jsonl line 7", "JSON with a number too long to be read"),
    ]
    assert (ingest.found, len(ingest.videos)) == (6, 1)


def test_rows_that_cannot_be_told_apart_are_skipped_not_guessed(read: Read) -> None:
    ingest = read(
        "a.csv", f'id,transcript\n1,{SAID}\n2,bread, butter and salt\n3,"line one\nline two {SAID}"\n4,"open\n5,lost\n'
    )
    assert [video.source for video in ingest.videos] == ["a.csv line 2", "a.csv line 4"]
    assert [(s.where, s.reason.split(";")[0]) for s in ingest.skipped] == [
        ("a.csv line 3", "3 values for 2 columns"),
        ("a.csv line 6", "a quote is opened and never closed"),
    ]


def test_a_long_field_does_not_end_the_file(read: Read) -> None:
    ingest = read("a.csv", f"id,transcript\n1,{'word ' * 60_000}\n2,{'word ' * 30_000}\n3,{SAID}\n")
    assert [video.video_id for video in ingest.videos] == ["2", "3"]
    assert ingest.skipped[0].reason == "the transcript has 299,999 bytes; at most 200,000 are taken"


cells = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=30)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.lists(st.tuples(cells, st.integers(0, 10**9)), min_size=1, max_size=8), st.sampled_from(",;\t|"))
def test_csv_round_trip(tmp_path: Path, rows: list[tuple[str, int]], delimiter: str) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(["id", "transcript", "description", "views"])
    writer.writerows([n, f'{SAID}, "{n}"\nin quotes', f"x {cell} x", views] for n, (cell, views) in enumerate(rows))
    path = tmp_path / "round.csv"
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    ingest = read_videos(path, max_transcript_bytes=1000)
    assert [v.engagement.views for v in ingest.videos] == [views for _, views in rows]
    assert all(v.transcript == f'{SAID}, "{n}" in quotes' for n, v in enumerate(ingest.videos))


def test_parquet(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    table = pa.table(
        {
            "video_id": [7520436018546216247, 2],
            "transcript": [SAID, None],
            "stats": [{"playCount": 5}, None],
            "unrelated": [[1], [2]],
        }
    )
    pq.write_table(table, tmp_path / "clips.parquet")
    ingest = read_videos(tmp_path / "clips.parquet", max_transcript_bytes=1000)
    assert (ingest.videos[0].video_id, ingest.videos[0].engagement.views) == ("7520436018546216247", 5)
    assert ingest.skipped[0].where == "clips.parquet row 2"


def test_parquet_without_a_known_column_names_those_it_has(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table({"colour": ["red"]}), tmp_path / "clips.parquet")
    with pytest.raises(InputError, match=r"clips\.parquet: no known column; it has colour.*transcript"):
        read_videos(tmp_path / "clips.parquet", max_transcript_bytes=1000)


def test_parquet_that_is_none(read: Read) -> None:
    pytest.importorskip("pyarrow")
    with pytest.raises(InputError, match=r"clips\.parquet: not a readable Parquet file"):
        read("clips.parquet", b"PAR1 and nothing more")


def test_parquet_without_pyarrow_says_what_to_install(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"clips\.parquet: .*pip install 'flair_ray\[parquet\]'"):
        read("clips.parquet", b"PAR1")
