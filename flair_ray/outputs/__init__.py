"""A run's result as files that people open: a report, scripts, tables, teleprompters, subtitles, a ZIP.

Everything is rendered in memory before anything is written, then written to a hidden folder on the same
disk, then moved into place: a new run's folder appears in one step, a file in an existing folder is
replaced in one step. Whatever fails on the way, no file is ever half there. The same result gives the
same bytes.

When a run is written again (after a resume its ranking may differ), files of the earlier writing that have
no successor are removed, but only those that are still byte for byte what the earlier run.zip holds.
"""

from __future__ import annotations

import io
import os
import shutil
import uuid
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path

from flair_ray.domain.ids import RunId
from flair_ray.errors import InfrastructureError
from flair_ray.outputs.captions import cues, speaking_pace, srt, vtt
from flair_ray.outputs.names import OUTPUT_FILES, WRITTEN_PER_SCRIPT, stem
from flair_ray.outputs.pages import report_html, scripts_md, teleprompter_html
from flair_ray.outputs.texts import ballots_jsonl, ranking_csv, result_json, shots_csv
from flair_ray.result import RunResult

__all__ = ["OUTPUT_FILES", "render_outputs", "result_schema", "unzipped", "write_files", "write_outputs"]

_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The oldest time a ZIP can hold: a fixed one, so that equal runs give equal archives."""


def write_outputs(result: RunResult, out_dir: Path) -> tuple[Path, ...]:
    """Write everything that this run has to ``out_dir``; returns the paths, run.zip last.

    A run without results or ranking gives the files it can. Raises InfrastructureError when the disk refuses.
    """
    return write_files(result.run_id, render_outputs(result), out_dir)


def write_files(run_id: RunId, contents: Mapping[str, bytes], out_dir: Path) -> tuple[Path, ...]:
    """The same for outputs that are made already."""
    try:
        stale = _written_before(out_dir) - contents.keys()
        _publish(contents, out_dir)
        for name in stale:
            (out_dir / name).unlink(missing_ok=True)
    except OSError as err:
        raise InfrastructureError(
            f"The outputs of run {run_id} cannot be written to {out_dir}: {err.strerror or err}. "
            f"Nothing is lost: `flair export {run_id} --out DIR` writes them elsewhere."
        ) from err
    return tuple(out_dir / name for name in contents)


def unzipped(run_zip: bytes) -> dict[str, bytes]:
    """Every file that a run had, from its run.zip, with that itself. Names that lead elsewhere are left out."""
    with zipfile.ZipFile(io.BytesIO(run_zip)) as archive:
        ours = [name for name in archive.namelist() if name in OUTPUT_FILES or WRITTEN_PER_SCRIPT.fullmatch(name)]
        return {name: archive.read(name) for name in ours} | {"run.zip": run_zip}


def result_schema() -> str:
    """The JSON Schema (Draft 2020-12) of result.json and of what ``--json`` prints."""
    return files(__name__).joinpath("result.schema.json").read_text("utf-8")


def render_outputs(result: RunResult) -> dict[str, bytes]:
    """Every file that this run has, by its name in the run's folder."""
    texts = {
        "result.json": result_json(result),
        "result.schema.json": result_schema(),
        "report.html": report_html(result),
        "scripts.md": scripts_md(result),
        "ranking.csv": ranking_csv(result),
        "ballots.jsonl": ballots_jsonl(result),
        **_per_script(result),
    }
    contents = {name: text.encode() for name, text in texts.items()}
    return contents | {"run.zip": _zip(contents)}


def _per_script(result: RunResult) -> dict[str, str]:
    texts: dict[str, str] = {}
    pace = speaking_pace(result.library)
    for script in result.results:
        timed = cues(script, pace)
        name = f"scripts/{stem(script)}"
        texts[f"{name}.teleprompter.html"] = teleprompter_html(script, timed[-1].end_ms / 1000 if timed else 1.0)
        texts[f"{name}.srt"] = srt(timed)
        texts[f"{name}.vtt"] = vtt(timed)
        texts[f"{name}.shots.csv"] = shots_csv(script.shots)
    return texts


def _zip(contents: Mapping[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as target:
        for name, data in contents.items():
            target.writestr(zipfile.ZipInfo(name, _ZIP_EPOCH), data, zipfile.ZIP_DEFLATED)
    return archive.getvalue()


def _publish(contents: Mapping[str, bytes], out_dir: Path) -> None:
    """Every file, whole, at its place; on failure those that are there already stay as they were."""
    home = out_dir if out_dir.exists() else out_dir.parent  # the same disk as the target, or a move would copy
    staging = home / f".{out_dir.name}.{uuid.uuid4().hex}"
    try:
        _write_all(contents, staging)
        if out_dir.exists():
            _move_all(contents, staging, out_dir)
        else:
            staging.rename(out_dir)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _write_all(contents: Mapping[str, bytes], folder: Path) -> None:
    for name, data in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _move_all(names: Iterable[str], source: Path, target: Path) -> None:
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(source / name, target / name)


def _written_before(out_dir: Path) -> set[str]:
    """Files per script that are still exactly as an earlier run.zip in this folder holds them."""
    try:
        with zipfile.ZipFile(out_dir / "run.zip") as archive:
            entries = [entry for entry in archive.infolist() if WRITTEN_PER_SCRIPT.fullmatch(entry.filename)]
    except (FileNotFoundError, NotADirectoryError, zipfile.BadZipFile):
        return set()
    return {entry.filename for entry in entries if _checksum(out_dir / entry.filename) == (entry.file_size, entry.CRC)}


def _checksum(path: Path) -> tuple[int, int] | None:
    try:
        data = path.read_bytes()
    except OSError:
        return None
    return len(data), zlib.crc32(data)
