"""The notebooks, executed from top to bottom in kernels of their own, and the pictures of their gallery.

    python docs/notebooks.py [01 …]     # all, or those whose names begin so

Notebooks are kept without outputs. A cell whose metadata name a ``picture`` leaves one in docs/pictures/notebooks.
Data go into a folder that is removed, and keys that are exported are hidden: nothing here asks a real model.
"""

from __future__ import annotations

import base64
import io
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PICTURES = ROOT / "docs" / "pictures" / "notebooks"
COLOURS = 64
"""Of a picture: charts stay sharp, and are a third of the size."""
CELL_S = 150


def execute(path: Path, folder: Path, **variables: str) -> NotebookNode:
    """The notebook with its outputs. Raises CellExecutionError for the first cell that fails."""
    notebook = nbformat.read(path, as_version=4)
    ours = {"FLAIR_DATA_DIR": str(folder / "data"), "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    env = {name: text for name, text in os.environ.items() if not name.endswith("_API_KEY")} | ours | variables
    client = NotebookClient(
        notebook, timeout=CELL_S, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.execute(env=env)
    return notebook


def pictures(notebook: NotebookNode) -> Iterator[tuple[str, bytes]]:
    """Every picture by its name, as PNG in few colours."""
    for cell in notebook.cells:
        name = cell.metadata.get("picture")
        for output in cell.get("outputs", ()) if name else ():
            if drawn := output.get("data", {}).get("image/png"):
                seen = Image.open(io.BytesIO(base64.b64decode(drawn))).convert("RGB")
                kept = io.BytesIO()
                seen.quantize(COLOURS, dither=Image.Dither.NONE).save(kept, "PNG", optimize=True)
                yield name, kept.getvalue()


def main() -> None:
    """Entry point."""
    PICTURES.mkdir(exist_ok=True)
    for path in NOTEBOOKS:
        if path.name.startswith(tuple(sys.argv[1:] or [""])):
            with tempfile.TemporaryDirectory(prefix="flair-notebook-") as folder:
                for name, content in pictures(execute(path, Path(folder))):
                    (PICTURES / f"{name}.png").write_bytes(content)


if __name__ == "__main__":
    main()
