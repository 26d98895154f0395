"""The README's pictures of the studio, from a real run on `flair serve`, as headless Chromium shows it.

    python docs/studio.py

Needs `chromium` on PATH, and Playwright and Pillow of the extra dev. The run is seeded: but for its times, the pictures
change only when the code or the sample data do.
"""

from __future__ import annotations

import io
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from experiments.chromium import FLAGS, chromium

PICTURES = Path(__file__).resolve().parent / "pictures"
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


def ask(base: str, path: str, body: object = None) -> Any:
    """The API's answer."""
    sent = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(base + path, sent)) as answer:  # noqa: S310  # our own server
        return json.load(answer)


def report_posts(base: str, run_id: str) -> None:
    """Made-up numbers for every result: those the panel liked did somewhat better, by and large."""
    chance = random.Random(7)  # noqa: S311  # made-up numbers
    for row in ask(base, f"/api/pipeline/results/{run_id}")["results"]:
        for platform in ("tiktok", "youtube"):
            views = chance.randrange(4_000, 90_000)
            likes = int(views * (0.1 - 0.004 * row["rank"] + chance.random() * 0.03))
            numbers = {"views": views, "likes": likes, "comments": likes // 20, "shares": likes // 30}
            post = {"run_id": run_id, "script_id": row["script_id"], "platform": platform}
            ask(
                base, "/api/performance", post | numbers | {"post_url": f"https://example.org/{platform}/{row['rank']}"}
            )


def shoot(page: Page, name: str) -> None:
    """What the window shows, in few colours."""
    seen = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    seen.quantize(COLOURS, dither=Image.Dither.NONE).save(PICTURES / f"{name}.png", optimize=True)


def take(base: str, page: Page) -> None:
    """Every picture, of one run."""
    page.add_init_script("localStorage.setItem('flair:session', 'pictures')")
    page.goto(base)
    page.locator(".page-create .price").wait_for()
    shoot(page, "create")
    profile = ask(base, "/api/creator-profiles/samples")[0]["profile"]
    body = {"creator_profile": profile, "reasoning_model": "offline"}
    run_id = ask(base, "/api/pipeline/start?session_id=pictures", body)["run_id"]
    page.goto(f"{base}/#/runs/{run_id}")
    page.get_by_role("heading", name="Your scripts are ready").wait_for()
    page.locator(".facts", has_text="free").wait_for()
    shoot(page, "live")
    page.goto(f"{base}/#/runs/{run_id}/results")
    page.locator(".page-results .voters").first.wait_for()
    shoot(page, "results")
    report_posts(base, run_id)
    page.goto(f"{base}/#/insights")
    page.locator(".page-insights .lifts").first.wait_for()
    shoot(page, "insights")


def main() -> None:
    """Entry point."""
    with studio() as base, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        take(base, browser.new_page(viewport={"width": 1280, "height": 1000}, reduced_motion="reduce"))
        browser.close()


if __name__ == "__main__":
    main()
