"""What the pages show of `make run`, from a real run: its output, its report in headless Chromium, its winner drawn.

    python docs/demo.py

Of the output only the middle is trimmed: progress within a stage, and the scripts that were not chosen. Needs
`chromium` on PATH. The run is seeded, so both change only when the code or the sample data do.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from experiments.chromium import FLAGS, chromium
from flair_ray.domain.codec import decode
from flair_ray.domain.scripts import FinalScript
from flair_ray.providers.animatic.frames import Frames

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "pictures" / "report.png"
FRAMES = PICTURE.with_name("animatic.jpg")
SEEN_S, FRAME = (2.3, 9.3, 32.6), (324, 576)
MARKED = re.compile(r"(<!-- run-output:begin -->\n).*(<!-- run-output:end -->)", re.DOTALL)
WIDTH, PAGE = "112", "1000,1450"


def run(folder: str) -> str:
    """The output of the default run, as a terminal without colours shows it."""
    command = [sys.executable, "-m", "flair_ray.cli", "run", "--provider", "offline", "--out", f"{folder}/run"]
    env = {**os.environ, "FLAIR_DATA_DIR": f"{folder}/data", "COLUMNS": WIDTH}
    done = subprocess.run(command, check=True, text=True, capture_output=True, env=env)  # noqa: S603
    return done.stderr + done.stdout.replace(f"{folder}/run", "~/.local/share/flair_ray/runs/" + _run_id(done.stderr))


def _run_id(log: str) -> str:
    return re.search(r"run ([0-9a-f-]{36})", log)[1]  # type: ignore[index]  # a run says its id first


def trimmed(output: str) -> str:
    """Without progress inside stages and the rows below the chosen scripts; what was cut shows as an ellipsis."""
    lines = [line.rstrip() for line in output.splitlines() if " in flight" not in line]
    cut = next(i for i, line in enumerate(lines) if not line)
    return "\n".join([*lines[:cut], "…", lines[-1]])


def picture(report: str, browser: str, folder: str) -> None:
    """The first page of the report, in few colours: text stays sharp, and it is a third of the size."""
    options = ["--headless", *FLAGS]
    options += [f"--user-data-dir={folder}/profile", f"--window-size={PAGE}", f"--screenshot={PICTURE}"]
    subprocess.run([browser, *options, f"file://{report}"], check=True, stderr=subprocess.DEVNULL)  # noqa: S603
    Image.open(PICTURE).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(PICTURE, optimize=True)


def frames(result: str) -> None:
    """A frame of each beat of the winner's animatic, side by side."""
    winner = json.loads(Path(result).read_text(encoding="utf-8"))["results"][0]
    drawn = Frames(decode(FinalScript, json.dumps(winner)), FRAME[0] * 2, fps=10)
    sheet = Image.new("RGB", (len(SEEN_S) * (FRAME[0] + 12) - 12, FRAME[1]), "white")
    for number, at_s in enumerate(SEEN_S):
        sheet.paste(drawn.frame(round(at_s * 10)).resize(FRAME), (number * (FRAME[0] + 12), 0))
    sheet.save(FRAMES, quality=88, optimize=True)


def main() -> None:
    """Entry point."""
    browser = chromium()
    readme = ROOT / "README.md"
    with tempfile.TemporaryDirectory(prefix="flair-demo-") as folder:
        shown = trimmed(run(folder))
        text = readme.read_text(encoding="utf-8")
        readme.write_text(MARKED.sub(lambda m: f"{m[1]}\n```text\n{shown}\n```\n\n{m[2]}", text), encoding="utf-8")
        picture(f"{folder}/run/report.html", browser, folder)
        frames(f"{folder}/run/result.json")


if __name__ == "__main__":
    main()
