"""Fonts: Inter, which comes with the extra, and what the machine has for writings that Inter lacks.

Nothing is downloaded. A character that no font here can draw is left out where it is a picture or a sign (emoji), and
shown as a box where it is a letter, so that a text is never silently another one.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path

import fontpkg_inter
from PIL import ImageFont

Face = ImageFont.FreeTypeFont
INTER: Path = fontpkg_inter.ROOT / "files" / "Inter[opsz,wght].ttf"
OPTICAL_SIZE = 32
FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "/System/Library/Fonts", "/Library/Fonts")
OTHERS = ("NotoSans*Bold*", "NotoSans*", "DejaVuSans-Bold*", "PingFang*", "Hiragino*W6*", "Arial Unicode*", "wqy*")
"""File names to try, in this order, for what Inter lacks."""
LONGEST = 400
"""Characters that are looked at for a few lines: measuring a text takes as long as it is."""
UNREADABLE = 0.1
"""Share of letters without a shape from which on a video is of no use."""
_NO_CHARACTER = "\uffff"


@lru_cache(maxsize=256)
def face(size: int, weight: int = 800, path: Path = INTER) -> Face:
    """A font at a size in pixels; other files than Inter's have the weight they have."""
    made = ImageFont.truetype(path, max(size, 4))
    if path == INTER:
        made.set_variation_by_axes([OPTICAL_SIZE, weight])
    return made


def face_for(text: str, size: int, weight: int = 800) -> Face:
    """The first font that can draw all of this; Inter where none can."""
    missing = "".join(dict.fromkeys(c for c in text if not _has(INTER, c)))
    return face(size, weight, _other(missing) if missing else INTER)


@lru_cache(maxsize=4096)
def drawable(text: str) -> str:
    """The text on one line, without control characters and the signs that no font here has."""
    line = "".join(" " if unicodedata.category(c)[0] == "C" else _plain(c) for c in text)
    return " ".join("".join(c for c in line if not _is_lost_sign(c)).split())


def unreadable(text: str) -> str:
    """Some of the letters that no font here has, where they are so many that the text would be boxes; else empty."""
    letters = [c for c in drawable(text) if c.isalpha()]
    lost = [c for c in letters if not _has(_other(c), c)]
    return "".join(dict.fromkeys(lost))[:8] if len(lost) > UNREADABLE * len(letters) else ""


def wrapped(text: str, at: Face, width: float, lines: int) -> list[str]:
    """At most so many lines of at most this width; what does not fit ends in an ellipsis."""
    made, held = [], ""
    for word in _cut(text[:LONGEST].split(), at, width):
        longer = f"{held} {word}".strip()
        if held and at.getlength(longer) > width:
            made.append(held)
            longer = word
        held = longer
    made.append(held)
    if len(made) > lines:
        last = made[lines - 1]
        while last and at.getlength(last + "…") > width:
            last = last[:-1]
        made = [*made[: lines - 1], last.rstrip(" ,.;:") + "…"]
    return made


def _cut(words: Sequence[str], at: Face, width: float) -> list[str]:
    """Words that are wider than a line in pieces."""
    pieces = []
    for word in words:
        while len(word) > 1 and at.getlength(word) > width:
            size = max(1, bisect_right(range(1, len(word)), width, key=lambda n: at.getlength(word[:n])))
            pieces.append(word[:size])
            word = word[size:]  # noqa: PLW2901  # what is left of it
        pieces.append(word)
    return pieces


def _plain(character: str) -> str:
    """Letters that are dressed up, as in 𝓵𝓸𝓿𝓮, as plain ones where no font has them."""
    return character if _has(_other(character), character) else unicodedata.normalize("NFKC", character)


def _is_lost_sign(character: str) -> bool:
    """Combining marks and joiners go with the picture that they belong to."""
    category = unicodedata.category(character)
    if category == "Mn":
        return not _has(INTER, character) and _other(character) == INTER
    return category in ("So", "Sk", "Cn") and not _has(_other(character), character)


@lru_cache(maxsize=4096)
def _has(path: Path, character: str) -> bool:
    at = face(16, path=path)
    return character.isspace() or bytes(at.getmask(character)) != bytes(at.getmask(_NO_CHARACTER))


@lru_cache(maxsize=512)
def _other(missing: str) -> Path:
    return next((path for path in (INTER, *_others()) if all(_has(path, c) for c in missing)), INTER)


@cache
def _others() -> tuple[Path, ...]:
    found = [path for name in OTHERS for folder in FOLDERS for path in sorted(Path(folder).rglob(name))]
    return tuple(path for path in dict.fromkeys(found) if path.suffix in (".ttf", ".otf", ".ttc") and _opens(path))


def _opens(path: Path) -> bool:
    try:
        face(16, path=path)
    except OSError:
        return False
    return True
