"""Every record found is a video, skipped, or merged; the summaries count what is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flair_ray.inputs import Duplicate, Ingest, read_videos

Read = Callable[..., Ingest]

SAID = "nobody tells you this about bread"


def test_the_same_id_is_merged_and_the_first_wins(read: Read) -> None:
    records = [
        {"id": "1", "transcript": SAID, "views": 10, "description": "first"},
        {"id": "1", "transcript": "another take of it", "views": 99, "likes": 5, "duration": 9, "author": "ana"},
    ]
    ingest = read("a.json", json.dumps(records))
    (video,) = ingest.videos
    assert (video.transcript, video.description, video.duration_s, video.author) == (SAID, "first", 9.0, "ana")
    assert (video.engagement.views, video.engagement.likes) == (10, 5)
    assert ingest.duplicates == (Duplicate("1", "a.json record 2", "1"),)


def test_equal_content_under_another_id_is_merged(read: Read) -> None:
    records = [{"id": n, "transcript": SAID, "views": n} for n in ("1", "2")] + [
        {"id": "2", "transcript": SAID, "likes": 3}
    ]
    ingest = read("a.json", json.dumps(records))
    assert [(v.video_id, v.engagement.views, v.engagement.likes) for v in ingest.videos] == [("1", 1, 3)]
    assert [(d.video_id, d.merged_into) for d in ingest.duplicates] == [("2", "1"), ("2", "1")]


def test_a_transcript_that_comes_later_completes_the_record(read: Read) -> None:
    ingest = read("a.json", json.dumps([{"id": "1", "views": 5}, {"id": "1", "transcript": SAID}]))
    assert (ingest.videos[0].transcript, ingest.videos[0].engagement.views, ingest.skipped) == (SAID, 5, ())


def test_the_report(read: Read) -> None:
    records = [
        {"id": "1", "transcript": SAID, "duration": 10, "views": 100, "likes": 10},
        {"id": "2", "transcript": SAID + " too", "duration": 0, "views": 300, "likes": 30, "shares": 60},
        {"id": "3", "transcript": SAID + " as well", "duration": 30, "likes": 7},
        {"id": "3", "transcript": SAID},
        {"id": "4", "transcript": "hm"},
    ]
    assert read("a.json", json.dumps(records)).to_dict() == {
        "found": 5,
        "usable": 3,
        "skipped": [{"where": "a.json record 5", "reason": "the transcript has 1 word; at least 3 are needed"}],
        "duplicates": [{"video_id": "3", "where": "a.json record 4", "merged_into": "3"}],
        "durations_s": {"known": 2, "minimum": 10.0, "median": 20.0, "maximum": 30.0, "total": 40.0},
        "words": {"known": 3, "minimum": 6, "median": 7, "maximum": 8, "total": 21},
        "engagement": {"known": 3, "median_views": 200.0, "median_rate": 0.2},
    }


ids = st.sampled_from(["1", "2", "3", None, 4])
transcripts = st.sampled_from([SAID, SAID + " too", "hm", "", None, 5])
records = st.lists(st.fixed_dictionaries({"id": ids, "transcript": transcripts}) | st.just("damage"), max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=80)
@given(records)
def test_every_record_is_accounted_for_once(tmp_path: Path, found: list[object]) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"id": "0", "transcript": "always one good record"}, *found]))
    ingest = read_videos(path, max_transcript_bytes=1000)
    places = (
        [v.source for v in ingest.videos] + [s.where for s in ingest.skipped] + [d.where for d in ingest.duplicates]
    )
    assert sorted(places) == sorted(f"a.json record {n}" for n in range(1, len(found) + 2))
    assert ingest.found == len(found) + 1
    assert len({v.video_id for v in ingest.videos}) == len(ingest.videos)
    json.dumps(ingest.to_dict())


def test_real_records_read_well() -> None:
    path = Path(__file__).parents[4] / "shared/data/tiktok_videos.json"
    if not path.exists():
        pytest.skip("the collection of real records is not here")
    ingest = read_videos(path, max_transcript_bytes=200_000)
    assert (ingest.found, len(ingest.videos), ingest.skipped) == (50, 49, ())
    assert [d.where for d in ingest.duplicates] == ["tiktok_videos.json record 44"]
    report: dict[str, Any] = ingest.to_dict()
    assert report["durations_s"]["known"] == sum(1 for v in ingest.videos if v.duration_s)
    assert report["engagement"]["known"] == 0
    assert all(v.transcript == " ".join(v.transcript.split()) for v in ingest.videos)
