"""The Chromium of this machine, found and kept quiet: for the report, the pictures and the tests in a browser."""

from __future__ import annotations

import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
"""It runs as root, without a screen, and asks nobody for anything."""


def chromium() -> str:
    """Its path. Raises SystemExit, which says how to get one."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        raise SystemExit("This needs Chromium. On Debian: apt-get install chromium")
    return found
