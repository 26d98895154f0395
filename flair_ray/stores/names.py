"""What a kept file may be called: a path inside its run's folder that leads nowhere else."""

from __future__ import annotations

import re

from flair_ray.domain.ids import RunId
from flair_ray.errors import InputError

_PART = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
_RUN_ID = re.compile(_PART)
_NAME = re.compile(rf"{_PART}(/{_PART}){{0,3}}")


def is_run(run_id: RunId) -> bool:
    """Whether a folder may be called so."""
    return bool(_RUN_ID.fullmatch(run_id))


def is_name(run_id: RunId, name: str) -> bool:
    """Whether there can be such a file at all."""
    return is_run(run_id) and bool(_NAME.fullmatch(name))


def check_name(run_id: RunId, name: str) -> None:
    """Raises InputError."""
    if not is_name(run_id, name):
        raise InputError(f"A file of a run cannot be called {name!r}: take letters, digits and . _ - between slashes.")
