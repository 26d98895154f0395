"""Each bad input ends in one message that names the file and the record."""

from __future__ import annotations

import contextlib
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flair_ray.errors import InputError
from flair_ray.inputs import Ingest, files, read_videos, report
from flair_ray.inputs.folder import READABLE

Read = Callable[..., Ingest]
Write = Callable[..., Path]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.json", "", "the file is empty"),
        ("a.csv", "", "the file is empty"),
        ("a.txt", " \n\ufeff", "the file is empty"),
        ("a.json", '[\n{"id": 1,}\n]', "broken JSON at line 2, column 10"),
        ("a.json", "[" * 100_000, "nested too deeply"),
        ("a.json", '{"a":' * 100_000, "nested too deeply"),
        ("a.json", "[" + "9" * 5000 + "]", "a number too long"),
        ("a.json", "42", "a number, not a list of records"),
        ("a.json", '{"colour": []}', "its keys are colour"),
        ("a.json", "[]", "no record in it"),
        ("a.json", '["one", 2, null]', "a.json record 1: a text, not an object; a.json record 2: a number"),
        ("a.json", '[{"transcript": "too short"}]', "a.json record 1: the transcript has 2 words; at least 3"),
        ("a.jsonl", '{"id": 1\n{"id": 2\n', "a.jsonl line 1: broken JSON at line 1, column 9"),
        ("a.csv", "id,views\n1,5\n", r"a.csv line 2: no transcript among its fields \(id, views\). .*voice_to_text"),
        ("a.csv", "id,transcript\n", "no record in it"),
        ("a.csv", "id,transcript\n" + ",\n" * 3, "no record in it"),
        ("a.csv", b"id,transcript\n1,caf\xe9", "not UTF-8: byte 0xe9 at offset 19"),
        ("a.jsonl", b"\xff\xfe{\x00\x00\xd8", r"not UTF-16: byte 0x00 at offset 4"),
        ("a.json", b'[{"a": "\xc3', "not UTF-8: byte 0xc3 at offset 8"),
        ("a.srt", "no cues here", "no cue found; is it a SRT file"),
        ("a.vtt", b"\x00\x01\x02", "no cue found"),
        ("a.xlsx", b"PK", "files of this kind cannot be read. Readable are folders and .srt"),
        ("a.info.json", '{"_type": "playlist"}', "a.info.json: a playlist, not a video"),
    ],
)
def test_bad_files(read: Read, name: str, content: str | bytes, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        read(name, content)
    assert name in str(caught.value).partition(": ")[0]
    assert "\n" not in str(caught.value)


def test_the_byte_that_is_wrong_is_found_anywhere(read: Read) -> None:
    prefix = ("é" * 600_000).encode()  # a character is cut where the file is read in pieces
    with pytest.raises(InputError, match=r"byte 0xff at offset 1,200,001"):
        read("a.txt", b"x" + prefix + b"\xff" + prefix)


def test_a_missing_path_and_folders_without_videos(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.json: there is no such file or folder"):
        read_videos(tmp_path / "nowhere.json", max_transcript_bytes=10)
    with pytest.raises(InputError, match="the folder is empty"):
        read_videos(tmp_path, max_transcript_bytes=10)
    (tmp_path / "a.mp4").touch()
    with pytest.raises(InputError, match=r"no file that can be read, only \.mp4\. Readable are \.srt"):
        read_videos(tmp_path, max_transcript_bytes=10)
    with pytest.raises(InputError, match="too long"):
        read_videos(tmp_path / ("x" * 300), max_transcript_bytes=10)


def test_a_huge_transcript_is_refused_by_name_and_size(read: Read, write: Write, tmp_path: Path) -> None:
    huge = "ten bytes " * 1_048_576
    with pytest.raises(
        InputError, match=r"a\.json record 1: the transcript has at least 10,485,760 bytes; at most 200,000"
    ):
        read("a.json", json.dumps([{"id": 1, "transcript": huge}]))
    with pytest.raises(InputError, match=r"a\.txt: 10,485,760 bytes; at most"):
        read("a.txt", huge)
    with pytest.raises(InputError, match=r"b\.txt: the transcript has 299,999 bytes; at most 200,000 are taken"):
        read("b.txt", huge[:300_000])
    write("good.txt", "three small words")
    ingest = read_videos(tmp_path, max_transcript_bytes=200_000)
    assert len(ingest.videos) == 1
    assert [s.where for s in ingest.skipped] == ["a.txt", "b.txt", "a.json record 1"]


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with path.open("wb") as file:
        file.truncate(files.MAX_FILE_BYTES + 1)  # sparse: takes no room
    with pytest.raises(InputError, match=r"a\.csv: 536,870,913 bytes; at most 536,870,912"):
        read_videos(path, max_transcript_bytes=10)


def test_too_many_records_are_refused(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "MAX_RECORDS", 3)
    with pytest.raises(InputError, match=r"a\.jsonl: more than 3 records"):
        read("a.jsonl", "x\n" * 4)


def test_many_reasons_are_cut_to_the_first(read: Read) -> None:
    with pytest.raises(InputError, match=r"no usable video among 9 found.*line 3.*; and 6 more\."):
        read("a.jsonl", "{\n" * 9)


def test_an_unreadable_part_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(files.Unreadable("a.csv line 2", "broken")))  # noqa: S301
    assert (str(error), error.exit_code) == ("a.csv line 2: broken", 2)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers()
    | st.text(st.characters(exclude_categories=()), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["id", "transcript", "text", "stats", "views", "duration", "video", "events", "segs", "videos"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)
contents = st.binary(max_size=60) | json_values.map(json.dumps).map(str.encode)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(contents, st.sampled_from([s for s in READABLE if s != ".parquet"] + [".info.json"]))
def test_whatever_a_file_holds_it_is_read_or_refused(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with contextlib.suppress(InputError):
        assert read_videos(path, max_transcript_bytes=100).videos
