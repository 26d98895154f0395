"""Log records as lines of text or JSON, with what they are about, and without the secrets that we know.

A message of ours is constant; what varies is in fields, which have names. ``about`` gives them to every record of a
task and of what it starts, those of libraries too. Where an exception is logged, the JSON has its type and where it
was raised, but not its words: they may quote an answer, an address, an input.
"""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

OURS = ("flair_ray", "serve_app")
"""Loggers."""
FIELDS = ("request_id", "run_id", "stage", "job_id", "provider", "status", "error")
"""What a record may carry beside its message; nothing else of it is written."""
BLOT = "[secret]"
SHORTEST_SECRET = 6
"""What is shorter would blot out words."""

_about: ContextVar[Mapping[str, str]] = ContextVar("about", default={})  # noqa: B039  # replaced, never changed


@contextmanager
def about(**fields: str) -> Iterator[None]:
    """Every record of this task and of those it starts has these fields."""
    before = _about.set({**_about.get(), **fields})
    try:
        yield
    finally:
        _about.reset(before)


def known(field: str) -> str:
    """What the records of this task say in this field; a dash where it is not known."""
    return _about.get().get(field, "-")


class _Discreet(logging.Formatter):
    """Writes no secret, whoever put it into a message."""

    def __init__(self, form: str | None = None, secrets: Iterable[str] = ()) -> None:
        super().__init__(form, defaults={"request_id": "-"})
        kept = {
            form for secret in secrets if len(secret) >= SHORTEST_SECRET for form in (secret, json.dumps(secret)[1:-1])
        }
        self._secrets = sorted(kept, key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        line = self._written(record)
        for secret in self._secrets:
            line = line.replace(secret, BLOT)
        return line

    def _written(self, record: logging.LogRecord) -> str:
        return super().format(record)


class JsonLines(_Discreet):
    """One object a line: time, level, logger, message, and the fields that are known."""

    def _written(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields = {**_about.get(), **vars(record)}
        line |= {name: str(fields[name]) for name in FIELDS if fields.get(name) not in (None, "-")}
        if record.exc_info and (raised := record.exc_info[1]):
            line["error"] = type(raised).__name__
            line["at"] = [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(raised.__traceback__)]
        return json.dumps(line, ensure_ascii=False)


class _Handler(logging.StreamHandler):  # type: ignore[type-arg]
    """Ours, to be told from others'."""


def set_up(level: str, form: str = "text", secrets: Iterable[str] = (), *, numbered: bool = False) -> None:
    """Log records on standard error, where nobody else has set up anything. The last call holds.

    ``numbered``: lines of text have the id of their request.
    """
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(_Handler())
    text = "%(levelname)s %(name)s [%(request_id)s]: %(message)s" if numbered else "%(levelname)s %(name)s: %(message)s"
    for handler in root.handlers:
        if isinstance(handler, _Handler):
            handler.setFormatter(JsonLines(None, secrets) if form == "json" else _Discreet(text, secrets))
            for name in OURS:
                logging.getLogger(name).setLevel(level)
