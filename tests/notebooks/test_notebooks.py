"""Every notebook runs from top to bottom, and is kept without what running leaves."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
import ray
from nbformat import NotebookNode

from docs.notebooks import NOTEBOOKS, PICTURES, execute, pictures

QUICK = "01-a-run.ipynb"
OWN_RAY = "04-a-cluster.ipynb"  # it starts a studio
README = PICTURES.parents[2] / "notebooks" / "README.md"
SLOW = [path for path in NOTEBOOKS if path.name != QUICK]


def printed(notebook: NotebookNode) -> str:
    return "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", ()))


def shown(notebook: NotebookNode) -> str:
    """All HTML, as it stood at the end."""
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", ()))
    return "".join(output.get("data", {}).get("text/html", "") for output in outputs)


def named(notebook: NotebookNode) -> set[str]:
    return {cell.metadata["picture"] for cell in notebook.cells if "picture" in cell.metadata}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_it_is_kept_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell["id"] for cell in code if cell.outputs or cell.execution_count] == []
    links = [target for cell in notebook.cells for target in re.findall(r"\]\(([^)#]+)", cell.source)]
    assert [target for target in links if not (path.parent / target).exists()] == []


def test_the_gallery_has_pictures_that_notebooks_make() -> None:
    made = {name for path in NOTEBOOKS for name in named(nbformat.read(path, as_version=4))}
    assert {path.stem for path in PICTURES.glob("*.png")} == made
    assert set(re.findall(r"notebooks/([\w-]+)\.png", README.read_text(encoding="utf-8"))) <= made


@pytest.mark.timeout(100)
def test_the_first_one_runs_and_shows_its_run_as_it_goes(tmp_path: Path, ray_cluster: None, redis_url: str) -> None:
    here = ray.get_runtime_context().gcs_address
    notebook = execute(NOTEBOOKS[0], tmp_path, RAY_ADDRESS=here, FLAIR_REDIS_URL=redis_url)
    assert NOTEBOOKS[0].name == QUICK
    assert "never predicted views" in shown(notebook)
    assert re.search(r"completed · elapsed 0:0\d.*Panel votes.*24/24", shown(notebook), re.DOTALL)
    assert {name for name, _ in pictures(notebook)} == named(notebook)


@pytest.mark.long
@pytest.mark.timeout(180)
@pytest.mark.parametrize("path", SLOW, ids=lambda path: path.name)
def test_the_others_run(path: Path, tmp_path: Path, ray_cluster: None, redis_url: str) -> None:
    shared = {"RAY_ADDRESS": ray.get_runtime_context().gcs_address, "FLAIR_REDIS_URL": redis_url}
    notebook = execute(path, tmp_path, **({} if path.name == OWN_RAY else shared))
    assert {name for name, _ in pictures(notebook)} == named(notebook)
    assert "Traceback" not in printed(notebook)
