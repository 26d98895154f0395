"""Folders as collectors leave them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from flair_ray.errors import InputError
from flair_ray.inputs import Ingest, read_videos

Write = Callable[..., Path]

SAID = "nobody tells you this about bread"


def vtt(text: str) -> str:
    return f"WEBVTT\n\n00:00:01.000 --> 00:00:02.000\n{text}\n"


def srt(text: str) -> str:
    return f"1\n00:00:01,000 --> 00:00:02,000\n{text}\n"


def json3(text: str) -> str:
    return json.dumps({"events": [{"segs": [{"utf8": text}]}]})


def read(folder: Path, limit: int = 200_000) -> Ingest:
    return read_videos(folder, max_transcript_bytes=limit)


def test_an_info_file_beside_its_subtitles(tmp_path: Path, write: Write) -> None:
    info = {
        "id": "abc",
        "_type": "video",
        "title": "my bread",
        "duration": 42,
        "view_count": 1000,
        "like_count": 50,
        "comment_count": 4,
        "repost_count": 3,
        "save_count": 2,
        "channel_follower_count": 77,
        "uploader": "ana",
        "webpage_url": "https://example.org/v/abc",
        "subtitles": {"en": [{"ext": "vtt", "url": "https://example.org/s"}]},
        "formats": [{"url": "x"}],
    }
    write("My bread v1.2 [abc].info.json", json.dumps(info))
    write("My bread v1.2 [abc].en.vtt", vtt(SAID))
    write("My bread v1.2 [abc].mp4", b"\0")
    write("My bread v1.2 [abc].live_chat.json", "{}\n{}")
    ingest = read(tmp_path)
    (video,) = ingest.videos
    assert (video.video_id, video.transcript, video.description, video.duration_s) == ("abc", SAID, "my bread", 42.0)
    assert (video.engagement.views, video.engagement.shares, video.engagement.saves) == (1000, 3, 2)
    assert (video.engagement.followers, video.author, video.url) == (77, "ana", "https://example.org/v/abc")
    assert (ingest.found, video.source) == (1, "My bread v1.2 [abc].info.json")


def test_every_field_of_an_info_file_is_optional(tmp_path: Path, write: Write) -> None:
    write("clip one.info.json", "{}")
    write("clip one.srt", srt(SAID))
    (video,) = read(tmp_path).videos
    assert (video.video_id, video.transcript) == ("clip one", SAID)


@pytest.mark.parametrize(
    ("tracks", "info", "chosen"),
    [
        (["en.vtt", "de.vtt", "fr.vtt"], {}, "en.vtt"),
        (["en.vtt", "de.vtt"], {"language": "de-DE"}, "de.vtt"),
        (["en.vtt", "en-orig.vtt"], {"language": "en"}, "en.vtt"),
        (["en.vtt", "de-orig.vtt"], {}, "de-orig.vtt"),
        (["en.vtt", "en-GB.vtt"], {"subtitles": {"en-GB": []}}, "en-GB.vtt"),
        (["en.json3", "en.srt", "en.vtt"], {}, "en.srt"),
        (["vtt", "de.vtt"], {}, "vtt"),
        (["eng-US.vtt", "spa-ES.vtt"], {}, "eng-US.vtt"),
        (["fil.vtt", "de.vtt"], {"subtitles": "damage", "language": 5}, "de.vtt"),
        (["en.txt", "en.json3"], {}, "en.json3"),
    ],
)
def test_the_track_in_the_spoken_language_wins(
    tmp_path: Path, write: Write, tracks: list[str], info: dict[str, object], chosen: str
) -> None:
    forms = {"vtt": vtt, "srt": srt, "json3": json3, "txt": str}
    write("a.info.json", json.dumps(info))
    for track in tracks:
        write(f"a.{track}", forms[track.rpartition(".")[2]](f"spoken in {track} here"))
    (video,) = read(tmp_path).videos
    assert video.transcript == f"spoken in {chosen} here"


def test_an_unusable_track_gives_way_to_the_next(tmp_path: Path, write: Write) -> None:
    write("a.info.json", '{"id": "1"}')
    write("a.en.srt", "no cues at all")
    write("a.en.vtt", vtt("[Music]"))
    write("a.de.vtt", vtt(SAID))
    assert read(tmp_path).videos[0].transcript == SAID


def test_a_transcript_inside_the_info_file_stands_in(tmp_path: Path, write: Write) -> None:
    write("a.info.json", json.dumps({"id": "1", "transcript": SAID}))
    assert read(tmp_path).videos[0].transcript == SAID


def test_playlists_and_videos_without_words_are_skipped_with_the_reason(tmp_path: Path, write: Write) -> None:
    write("good.txt", SAID)
    write("list.info.json", '{"_type": "playlist", "entries": []}')
    write("mute.info.json", '{"id": "m"}')
    write("music.info.json", '{"id": "n"}')
    write("music.en.vtt", vtt("[Music]"))
    write("broken.info.json", '{"id":\n "m"')
    write("torn.info.json", '{"id": "t"}')
    write("torn.en.vtt", b"WEBVTT\n\n\xff")
    write("list2.info.json", "[]")
    ingest = read(tmp_path)
    assert {s.where: s.reason for s in ingest.skipped} == {
        "list.info.json": "a playlist, not a video",
        "mute.info.json": "no subtitle file beside it and no transcript in it",
        "music.info.json": "its transcript is empty",
        "broken.info.json": "broken JSON at line 2, column 5: Expecting ',' delimiter",
        "torn.info.json": "torn.en.vtt: not UTF-8: byte 0xff at offset 8. Save the file as UTF-8",
        "list2.info.json": "not an object, so not a video's info file",
    }
    assert ingest.found == 7


def test_one_info_file_by_name(tmp_path: Path, write: Write) -> None:
    path = write("a.info.json", '{"id": "1"}')
    write("a.en.vtt", vtt(SAID))
    write("b.txt", SAID)
    assert [v.video_id for v in read(path).videos] == ["1"]


def test_plain_transcripts(tmp_path: Path, write: Write) -> None:
    write("b.txt", SAID + " b")
    write("a.srt", srt(SAID + " a"))
    write("a.en.vtt", vtt("another track of a"))
    write("c.part.txt", SAID + " c")
    write("sub/d.VTT", vtt(SAID + " d"))
    assert [(v.video_id, v.transcript[-1]) for v in read(tmp_path).videos] == [
        ("a", "a"),
        ("b", "b"),
        ("c.part", "c"),
        ("d", "d"),
    ]


@pytest.mark.parametrize(("name", "content"), [("a b.txt", SAID), ("a b.srt", srt(SAID)), ("a b.vtt", vtt(SAID))])
def test_one_transcript_by_name(write: Write, name: str, content: str) -> None:
    (video,) = read(write(name, content)).videos
    assert (video.video_id, video.transcript, video.source) == ("a b", SAID, name)


def test_equal_names_in_different_folders_are_different_videos(tmp_path: Path, write: Write) -> None:
    write("x/talk.txt", SAID)
    write("y/talk.txt", SAID + " again")
    assert [v.video_id for v in read(tmp_path).videos] == ["x/talk", "y/talk"]


def test_a_table_of_numbers_and_a_folder_of_transcripts_complete_each_other(tmp_path: Path, write: Write) -> None:
    write("numbers.csv", "video_id,plays,caption\n11,1.2M,first\n12,3K,second\n13,5,third\n")
    write("transcripts/11.txt", SAID)
    write("transcripts/12.txt", SAID + " too")
    ingest = read(tmp_path)
    assert [(v.video_id, v.engagement.views, v.description) for v in ingest.videos] == [
        ("11", 1_200_000, "first"),
        ("12", 3000, "second"),
    ]
    assert [s.where for s in ingest.skipped] == ["numbers.csv line 4"]


def test_a_bad_file_among_good_ones_is_skipped_with_its_reason(tmp_path: Path, write: Write) -> None:
    write("good.txt", SAID)
    write("bad.json", '[\n {"id": }\n]')
    write("latin.csv", "id,text\n1,caf\xe9".encode("latin-1"))
    write("latin.txt", "caf\xe9".encode("latin-1"))
    write("empty.txt", "")
    write("blank.txt", " \n")
    write("downloaded.txt", "youtube abc123\ntiktok 752\n")
    ingest = read(tmp_path)
    assert {s.where: s.reason.split(".")[0] for s in ingest.skipped} == {
        "bad.json": "broken JSON at line 2, column 9: Expecting value",
        "latin.csv": "not UTF-8: byte 0xe9 at offset 13",
        "latin.txt": "not UTF-8: byte 0xe9 at offset 3",
        "empty.txt": "the file is empty",
        "blank.txt": "the file is empty",
        "downloaded.txt": "a list of ids (yt-dlp's download archive), not a transcript",
    }
    assert len(ingest.videos) == 1


def test_links_are_not_followed_out_nor_round(tmp_path: Path, write: Write) -> None:
    write("outside/secret.txt", SAID + " secret")
    write("in/good.txt", SAID)
    (tmp_path / "in/out.txt").symlink_to(tmp_path / "outside/secret.txt")
    (tmp_path / "in/folder").symlink_to(tmp_path / "outside")
    (tmp_path / "in/round").symlink_to(tmp_path / "in")
    (tmp_path / "in/self.txt").symlink_to(tmp_path / "in/self.txt")
    (tmp_path / "in/alias.txt").symlink_to(tmp_path / "in/good.txt")
    ingest = read(tmp_path / "in")
    assert [v.transcript for v in ingest.videos] == [SAID]
    assert [s.where for s in ingest.skipped] == ["folder", "out.txt", "round", "self.txt"]
    assert [d.where for d in ingest.duplicates] == ["good.txt"]


def test_only_three_folders_down_and_nothing_hidden(tmp_path: Path, write: Write) -> None:
    write("a/b/c/near.txt", SAID)
    write("a/b/c/d/far.txt", SAID)
    write(".hidden/x.txt", SAID)
    write("._near.txt", b"\x00\x05")
    ingest = read(tmp_path)
    assert [v.source for v in ingest.videos] == ["a/b/c/near.txt"]
    assert [(s.where, s.reason) for s in ingest.skipped] == [("a/b/c/d", "more than 3 folders down")]


def test_a_pipe_is_not_waited_for(tmp_path: Path, write: Write) -> None:
    write("good.txt", SAID)
    os.mkfifo(tmp_path / "pipe.txt")
    assert [(s.where, s.reason) for s in read(tmp_path).skipped] == [("pipe.txt", "not a regular file")]
    with pytest.raises(InputError, match="not a regular file"):
        read(tmp_path / "pipe.txt")


def test_control_characters_in_a_file_name_reach_no_message(tmp_path: Path, write: Write) -> None:
    write("good.txt", SAID)
    write("a\x1b[2Jb.txt", "")
    assert read(tmp_path).skipped[0].where == "a[2Jb.txt"


def test_the_same_folder_reads_the_same_every_time(tmp_path: Path, write: Write) -> None:
    for n in (3, 1, 2):
        write(f"{n}.txt", f"{SAID} {n}")
    assert read(tmp_path) == read(tmp_path)
    assert [v.video_id for v in read(tmp_path).videos] == ["1", "2", "3"]
