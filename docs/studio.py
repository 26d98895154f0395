"""The README's pictures of the studio, from a real run on `flair serve`, as headless Chromium shows it.

    python docs/studio.py

Needs `chromium` on PATH, and Playwright and Pillow of the extra dev. The run is seeded: but for its times, the pictures
change only when the code or the sample data do.
"""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

PICTURES = Path(__file__).resolve().parent / "pictures"
FLAGS = ["--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-background-networking", "--disable-sync"]
COLOURS = 128
"""Of a picture: text stays sharp, and it is a third of the size."""


@contextmanager
def studio() -> Iterator[str]:
    """`flair serve`, with data of its own."""
    with tempfile.TemporaryDirectory(prefix="flair-studio-") as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        command = [sys.executable, "-m", "flair_ray.cli", "serve", "--port", str(port)]
        env = {**os.environ, "FLAIR_DATA_DIR": folder}
        process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)  # noqa: S603
        try:
            for line in process.stderr or ():
                if "studio is at" in line:
                    break
            yield f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def order(base: str, session: str) -> str:
    """A default run for the first sample profile; its id."""
    with urllib.request.urlopen(f"{base}/api/creator-profiles/samples") as answer:  # noqa: S310  # our own server
        profile = json.load(answer)[0]["profile"]
    body = json.dumps({"creator_profile": profile, "reasoning_model": "offline"}).encode()
    start = urllib.request.Request(f"{base}/api/pipeline/start?session_id={session}", body)  # noqa: S310
    with urllib.request.urlopen(start) as answer:  # noqa: S310
        return str(json.load(answer)["run_id"])


def shoot(page: Page, name: str) -> None:
    """What the window shows, in few colours."""
    seen = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    seen.quantize(COLOURS, dither=Image.Dither.NONE).save(PICTURES / f"{name}.png", optimize=True)


def take(base: str, page: Page) -> None:
    """Every picture, of one run."""
    page.add_init_script("localStorage.setItem('flair:session', 'pictures')")
    run_id = order(base, "pictures")
    page.goto(f"{base}/#/runs/{run_id}")
    page.get_by_role("heading", name="Your scripts are ready").wait_for()
    page.locator(".facts", has_text="free").wait_for()
    shoot(page, "live")


def main() -> None:
    """Entry point."""
    with studio() as base, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        take(base, browser.new_page(viewport={"width": 1280, "height": 1000}, reduced_motion="reduce"))
        browser.close()


if __name__ == "__main__":
    main()
