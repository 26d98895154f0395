"""What goes along when a run is handed in to a job server: the line, and the files that it names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer

from flair_ray.cli import app
from flair_ray.cli_options import as_words
from flair_ray.cli_submit import _packed, is_job_server
from flair_ray.data import sample_personas
from flair_ray.domain.codec import encode
from flair_ray.inputs import read_videos


def parsed(*words: str) -> dict[str, Any]:
    """The options of `flair run`, as Typer hands them on."""
    command: Any = typer.main.get_command(app)
    values = command.commands["run"].make_context("run", list(words)).params
    return {name: values[name] for name in values.keys() - {"run_id", "out_dir", "as_json", "address"}}


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--num-scripts", "7", "--no-cache", "--max-usd", "0.5", "--provider", "openai", "--price", "1/2"),
        ("--base-url", "http://127.0.0.1:8089/v1", "--model", "two words", "--rigor", "careful", "--seed", "1"),
    ],
)
def test_the_words_say_the_same_again(words: tuple[str, ...]) -> None:
    given = parsed(*words)
    assert parsed(*as_words(given)) == given
    assert len(as_words(given)) == len(words)


def test_a_copy_of_what_is_read_goes_along_and_no_film(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "job"
    (home / "collection" / "deeper").mkdir(parents=True)
    folder.mkdir()
    for name, text in {
        "a.info.json": '{"id": "a", "view_count": 5}',
        "a.en.vtt": "WEBVTT\n\n00:00.000 --> 00:02.000\nHello there, this is said.\n",
        "a.mp4": "film",
        "deeper/b.txt": "Something else is said in this one.",
        ".env": "KEY=secret",
    }.items():
        (home / "collection" / name).write_text(text)
    (home / "me.json").write_text('{"tone": "dry"}')
    (home / "panel.json").write_text(encode(sample_personas()[:3]))
    given = parsed(
        *("--videos", str(home / "collection"), "--profile", str(home / "me.json")),
        *("--personas", str(home / "panel.json"), "--own-videos", str(home / "collection" / "a.info.json")),
    )
    there = _packed(given, folder)
    went = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert went == {
        *("videos/a.info.json", "videos/a.en.vtt", "videos/deeper/b.txt", "own_videos/a.info.json"),
        *("own_videos/a.en.vtt", "profile.json", "personas.json"),
    }
    assert [str(there[name]) for name in ("videos", "own_videos", "profile", "personas")] == [
        *("videos", "own_videos/a.info.json", "profile.json", "personas.json"),
    ]
    for name in ("videos", "own_videos"):
        here = read_videos(given[name], max_transcript_bytes=1000).videos
        assert read_videos(folder / there[name], max_transcript_bytes=1000).videos == here


@pytest.mark.parametrize(
    ("address", "is_one"),
    [("http://127.0.0.1:8265", True), ("https://ray.example.com", True), ("10.0.0.5:6379", False), ("auto", False)],
)
def test_a_dashboard_is_told_from_where_nodes_join(address: str, is_one: bool) -> None:
    assert is_job_server(address) is is_one
