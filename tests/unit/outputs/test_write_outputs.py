"""The run's folder: what is in it, that it is all or nothing, and that equal runs give equal bytes."""

from __future__ import annotations

import csv
import io
import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from flair_ray.errors import InfrastructureError
from flair_ray.outputs import OUTPUT_FILES, write_outputs
from flair_ray.result import OFFLINE_NOTICE, PRESCREEN_NOTICE, RunResult


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_every_declared_file_is_written_and_nothing_else(result: RunResult, tmp_path: Path) -> None:
    paths = write_outputs(result, tmp_path / "new" / "run")
    written = tree(tmp_path / "new" / "run")
    assert {p.relative_to(tmp_path / "new" / "run").as_posix() for p in paths} == written.keys()
    fixed = {name for name in OUTPUT_FILES if "NN" not in name}
    suffixes = [name.partition("…")[2] for name in OUTPUT_FILES if "NN" in name]
    assert fixed <= written.keys()
    assert len(written) == len(fixed) + len(suffixes) * len(result.results)
    assert all(any(name.endswith(suffix) for suffix in suffixes) for name in written.keys() - fixed)
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["run"]  # no staging folder is left


def test_the_archive_holds_all_but_itself(result: RunResult, tmp_path: Path) -> None:
    write_outputs(result, tmp_path / "run")
    written = tree(tmp_path / "run")
    with zipfile.ZipFile(io.BytesIO(written.pop("run.zip"))) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == written


def test_equal_results_give_equal_bytes(make_result: Callable[..., RunResult], tmp_path: Path) -> None:
    write_outputs(make_result(), tmp_path / "a")
    write_outputs(replace(make_result(), out_dir=tmp_path), tmp_path / "b")
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


def test_an_existing_folder_keeps_what_is_not_ours(result: RunResult, tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "99-mine.srt").write_text("mine")
    (tmp_path / "report.html").write_text("old")
    write_outputs(result, tmp_path)
    assert (tmp_path / "scripts" / "99-mine.srt").read_text() == "mine"
    assert (tmp_path / "report.html").read_text() != "old"
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_writing_again_removes_only_untouched_files_of_the_earlier_writing(result: RunResult, tmp_path: Path) -> None:
    write_outputs(result, tmp_path)
    untouched, edited = sorted((tmp_path / "scripts").glob("0[12]-*.srt"))
    edited.write_text("my own timing")
    write_outputs(replace(result, results=result.results[2:]), tmp_path)
    assert not untouched.exists()
    assert edited.read_text() == "my own timing"
    assert len(list((tmp_path / "scripts").iterdir())) == 4 * len(result.results[2:]) + 1


def test_a_foreign_archive_deletes_nothing(result: RunResult, tmp_path: Path) -> None:
    precious = tmp_path / "precious.srt"
    precious.write_text("keep")
    run = tmp_path / "run"
    run.mkdir()
    with zipfile.ZipFile(run / "run.zip", "w") as archive:
        archive.writestr("../precious.srt", "keep")
        archive.writestr("scripts/../../precious.srt", "keep")
    write_outputs(result, run)
    assert precious.read_text() == "keep"
    (run / "run.zip").write_bytes(b"not an archive")
    write_outputs(result, run)
    assert zipfile.is_zipfile(run / "run.zip")


@pytest.mark.parametrize("existing", [False, True])
def test_a_failure_while_writing_leaves_the_folder_as_it_was(
    result: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, existing: bool
) -> None:
    run = tmp_path / "run"
    if existing:
        run.mkdir()
        (run / "report.html").write_text("the earlier report")
    write_bytes = Path.write_bytes

    def full_disk(path: Path, data: bytes) -> int:
        if path.name == "ranking.csv":
            write_bytes(path, data[:10])
            raise OSError(28, "No space left on device")
        return write_bytes(path, data)

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(InfrastructureError, match=f"No space left.*flair export {result.run_id}"):
        write_outputs(result, run)
    assert tree(tmp_path) == ({"run/report.html": b"the earlier report"} if existing else {})
    assert [p.name for p in tmp_path.rglob("*")] == (["run", "report.html"] if existing else [])


def test_a_failure_while_moving_leaves_only_whole_files(
    result: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_outputs(result, tmp_path / "whole")
    run = tmp_path / "run"
    run.mkdir()
    move = os.replace

    def cut(source: Path, target: Path) -> None:
        if target.name == "ballots.jsonl":
            raise PermissionError(13, "Permission denied")
        move(source, target)

    monkeypatch.setattr("os.replace", cut)
    with pytest.raises(InfrastructureError, match="Permission denied"):
        write_outputs(result, run)
    assert tree(run).items() <= tree(tmp_path / "whole").items()
    assert "run.zip" not in tree(run)


def test_a_file_in_the_way_is_a_clear_error(result: RunResult, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    with pytest.raises(InfrastructureError, match="cannot be written to"):
        write_outputs(result, tmp_path / "run")
    assert tree(tmp_path) == {"run": b"a file"}


def test_a_run_that_ended_early_gives_what_it_has(partial: RunResult, tmp_path: Path) -> None:
    write_outputs(partial, tmp_path / "run")
    written = tree(tmp_path / "run")
    markdown = written["scripts.md"].decode()
    report = written["report.html"].decode()
    for script in partial.scripts:
        assert script.hook in markdown
    if partial.scripts and not partial.results:
        assert all(script.payoff in report for script in partial.scripts)
    assert partial.status.value in report


@pytest.mark.parametrize("sizes", [(1, 3, 1), (200, 300, 200)])
def test_small_and_large_runs(
    make_result: Callable[..., RunResult], tmp_path: Path, sizes: tuple[int, int, int]
) -> None:
    scripts, personas, top_n = sizes
    paths = write_outputs(make_result(scripts=scripts, personas=personas, top_n=top_n), tmp_path / "run")
    assert len(paths) == len([n for n in OUTPUT_FILES if "NN" not in n]) + 4 * top_n
    assert len({p.name for p in paths}) == len(paths)


def test_the_ranking_table_guards_against_formulas(result: RunResult, tmp_path: Path) -> None:
    attacks = ("=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", "\tx", " =1+1", "＝1", "\n=1", 'plain, "quoted"')
    finals = tuple(replace(f, hook=a) for f, a in zip(result.results, attacks, strict=False))
    shots = tuple(replace(s, visual="=cmd|' /C calc'!A0", on_screen_text="-2") for s in finals[0].shots)
    finals = (replace(finals[0], shots=shots), *finals[1:])
    write_outputs(replace(result, results=finals), tmp_path)
    with (tmp_path / "ranking.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["hook"] for row in rows[: len(attacks)]] == [*("'" + a for a in attacks[:-1]), attacks[-1]]
    assert [int(row["rank"]) for row in rows] == list(range(1, 21))
    assert all(float(row["vote_score"]) >= 0 for row in rows)
    shot_list = next((tmp_path / "scripts").glob("01-*.shots.csv"))
    with shot_list.open(newline="", encoding="utf-8") as file:
        first = next(csv.DictReader(file))
    assert (first["visual"], first["on_screen_text"]) == ("'=cmd|' /C calc'!A0", "'-2")
    assert (first["start_s"], first["end_s"]) == ("0.0", "3.0")


def test_ballots_are_one_a_line(result: RunResult, tmp_path: Path) -> None:
    write_outputs(result, tmp_path)
    lines = (tmp_path / "ballots.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["top"] for line in lines] == [list(ballot.top) for ballot in result.ballots]


def test_markdown_shows_hostile_text_as_text(hostile: RunResult, tmp_path: Path) -> None:
    write_outputs(hostile, tmp_path)
    markdown = (tmp_path / "scripts.md").read_text("utf-8")
    assert "<" not in markdown.replace("\\<", "")
    assert r"\<script\>alert(1)\</script\>" in markdown


def test_every_file_for_people_says_what_the_ranking_is(result: RunResult, tmp_path: Path) -> None:
    write_outputs(result, tmp_path)
    for name in ("report.html", "scripts.md", "result.json"):
        text = (tmp_path / name).read_text("utf-8")
        assert PRESCREEN_NOTICE in text
        assert OFFLINE_NOTICE in text
