"""What the files of a run are called."""

from __future__ import annotations

import re
import unicodedata

from flair_ray.domain.scripts import FinalScript

OUTPUT_FILES = {
    "result.json": "the whole result, as result.schema.json describes it",
    "result.schema.json": "the JSON Schema of result.json",
    "report.html": "everything on one page: ranking, votes, scripts, patterns, stages, spend",
    "scripts.md": "every script as text",
    "ranking.csv": "every ranked script, a row each",
    "ballots.jsonl": "every ballot, a line each",
    "scripts/NN-….teleprompter.html": "a page to read the script from while filming",
    "scripts/NN-….srt": "subtitles, timed by the speaking pace",
    "scripts/NN-….vtt": "the same as WebVTT",
    "scripts/NN-….shots.csv": "the shot list",
    "run.zip": "all of the above in one file",
}
"""What ``write_outputs`` leaves in the run's folder; NN is the script's rank."""

WRITTEN_PER_SCRIPT = re.compile(r"scripts/\d{2,}-[a-z0-9-]+\.(teleprompter\.html|srt|vtt|shots\.csv)")


def stem(script: FinalScript) -> str:
    """Rank and the hook's first words, safe in every file system and URL: "01-nobody-tells-you-this"."""
    ascii_only = unicodedata.normalize("NFKD", script.hook).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", ascii_only.replace("'", "")).strip("-")
    whole_words = re.match(r"[a-z0-9-]{1,40}(?![a-z0-9])", words)
    return f"{script.rank:02d}-{whole_words[0].strip('-') if whole_words else words[:40] or 'script'}"
