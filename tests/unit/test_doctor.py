"""What `flair doctor` says of the local model."""

from __future__ import annotations

from pathlib import Path

import pytest

from flair_ray import doctor
from flair_ray.config import Settings


@pytest.mark.parametrize(("head", "fit"), [(b"GGUF", True), (b"text", None)])
async def test_it_names_the_file_that_a_run_would_use(
    head: bytes, fit: bool | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine.gguf"
    file.write_bytes(head)
    monkeypatch.setenv("FLAIR_LOCAL_MODEL", str(file))
    (check,) = [c for c in await doctor.examine(Settings(data_dir=tmp_path)) if c.name == "local model"]
    assert check.ok is fit
    assert "mine.gguf" in check.detail
    assert fit or "no GGUF file" in check.fix
