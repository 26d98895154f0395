"""The one way a file is opened: regular, bounded, and known to decode before its first character is used.

A file is checked before it is read: too large, empty, not a file, not UTF-8 (or UTF-16 with a byte order
mark, as spreadsheets write it). Checking the whole file first costs one fast pass and gives two things: the
exact byte that is wrong, and readers that stream without ever failing halfway.

Failure is always ``Unreadable``: for a file that was named it is the error, inside a folder the file is
skipped for its reason.
"""

from __future__ import annotations

import codecs
import json
import stat
from pathlib import Path
from typing import Any, TextIO

from flair_ray.errors import InputError

MAX_FILE_BYTES = 512 * 1024**2
"""A collection of 10,000 videos is about 20 MB; what is far larger is a mistake, and would fill the memory."""

_CHUNK = 1 << 20


class Unreadable(InputError):
    """A file, or a part of one, that cannot be used. ``where`` names it, ``reason`` says why."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(where, reason)
        self.where = where
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


def check_size(path: Path, where: str, limit: int) -> None:
    """Raises Unreadable unless the path is a regular file with content within ``limit`` bytes."""
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):  # reading a pipe or a device might never end
        raise Unreadable(where, "not a regular file")
    if facts.st_size > limit:
        raise Unreadable(where, f"{facts.st_size:,} bytes; at most {limit:,} are read from such a file")
    if facts.st_size == 0:
        raise Unreadable(where, "the file is empty")


def open_text(path: Path, where: str, limit: int = MAX_FILE_BYTES, newline: str | None = None) -> TextIO:
    """The file as text, from its beginning. Raises Unreadable."""
    try:
        check_size(path, where, limit)
        return path.open(encoding=_encoding(path, where), newline=newline)
    except OSError as err:
        raise Unreadable(where, err.strerror or "cannot be opened") from None


def read_text(path: Path, where: str, limit: int = MAX_FILE_BYTES) -> str:
    """The whole file. Raises Unreadable, also for a file of white space."""
    with open_text(path, where, limit) as file:
        text = file.read()
    if not text.strip("\ufeff\0 \t\r\n"):
        raise Unreadable(where, "the file is empty")
    return text


def read_json(path: Path, where: str) -> Any:
    """The value in a JSON file. Raises Unreadable with line and column."""
    return parse_json(read_text(path, where), where)


def parse_json(text: str, where: str, line: int = 1) -> Any:
    """The value in a JSON text that begins on this line of a file. Raises Unreadable with line and column."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as err:
        at = f"line {line + err.lineno - 1}, column {err.colno}"
        raise Unreadable(where, f"broken JSON at {at}: {err.msg}") from None
    except RecursionError:
        raise Unreadable(where, "JSON nested too deeply to be read") from None
    except ValueError:  # the interpreter's own bound on the digits of a number
        raise Unreadable(where, "JSON with a number too long to be read") from None


def _encoding(path: Path, where: str) -> str:
    """The codec to open the file with, after all of it has passed through that codec once."""
    with path.open("rb") as file:
        mark = file.read(2)
        wide = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}.get(mark)
        decoder = codecs.getincrementaldecoder(wide or "utf-8")()
        file.seek(0)
        base = 0
        while True:
            chunk = file.read(_CHUNK)
            pending = len(decoder.getstate()[0])
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as err:
                name, byte = ("UTF-16" if wide else "UTF-8"), err.object[err.start]
                offset = base - pending + err.start
                raise Unreadable(
                    where, f"not {name}: byte 0x{byte:02x} at offset {offset:,}. Save the file as UTF-8"
                ) from None
            if not chunk:
                return "utf-16" if wide else "utf-8-sig"
            base += len(chunk)
