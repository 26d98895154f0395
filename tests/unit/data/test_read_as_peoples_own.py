"""The sample files are good examples of what people may bring: their readers find in them what the loaders do."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import as_file, files

from flair_ray.data import sample_personas, sample_videos
from flair_ray.inputs import read_personas, read_videos


def test_the_video_reader_finds_every_sample_video_whole() -> None:
    with as_file(files("flair_ray.data").joinpath("videos.jsonl")) as path:
        ingest = read_videos(path, max_transcript_bytes=200_000)
    assert not ingest.skipped
    assert not ingest.duplicates
    assert [replace(v, source="") for v in ingest.videos] == [replace(v, source="") for v in sample_videos()]


def test_the_persona_reader_finds_every_sample_persona() -> None:
    with as_file(files("flair_ray.data").joinpath("personas.json")) as path:
        assert read_personas(path) == sample_personas()
