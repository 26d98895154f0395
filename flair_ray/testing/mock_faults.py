"""Faults that a mock server meets its next calls with, one each, in order: what failure tests are scripts of.

    POST /config {"script": ["429:2", "503", "ok", "slow:30", "cut"]}

A fault is KIND or KIND:NUMBER. Each admitted call takes the first that is left; past the end of the script calls are
answered as the options say. Whatever a kind means in bytes is said by the wire format (mock_openai, mock_gemini).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from flair_ray.errors import InputError

KINDS: Final[Mapping[str, str]] = {
    "ok": "answered, as without a script",
    "400": "the request is refused",
    "401": "the key is refused",
    "402": "the account has no credit left",
    "403": "the account lacks the right",
    "404": "there is no such model",
    "429": "too many requests; NUMBER is the seconds to wait, not said without one",
    "500": "the server failed",
    "503": "the server is overloaded; NUMBER as for 429",
    "slow": "answered NUMBER seconds late",
    "drop": "the connection is closed before a byte of the answer",
    "cut": "the connection is closed in the middle of the answer",
    "empty": "200 with no body",
    "html": "200 with a web page, as a proxy in between sends",
    "blank": "200 without an answer in it",
    "truncated": "the answer ends at the output limit",
    "refusal": "the model declines",
    "filtered": "the content filter stops the answer half-way",
    "malformed": "an answer that is no JSON",
    "wrong_shape": "an answer that is JSON and not what was asked for",
}
STATUSES: Final = frozenset({"400", "401", "402", "403", "404", "429", "500", "503"})
MALFORMED: Final = '{"hook": "cut in the mid'
WRONG_SHAPE: Final = '["not", "what", "was", "asked"]'
PAGE: Final = b"<!doctype html><title>Bad gateway</title>"


@dataclass(frozen=True, slots=True)
class Fault:
    """What becomes of one call."""

    kind: str
    number: float | None = None


class Script:
    """The faults that are left."""

    def __init__(self, steps: object = ()) -> None:
        """Raises InputError for anything but a list of faults."""
        if not isinstance(steps, list | tuple):
            raise InputError("script must be a list of faults.")
        self._faults = deque(parse_fault(step) for step in steps)

    def next(self) -> Fault:
        """The next call's; "ok" past the end."""
        return self._faults.popleft() if self._faults else Fault("ok")


def parse_fault(text: object) -> Fault:
    """ "429:2" → a Fault. Raises InputError."""
    kind, colon, number = str(text).partition(":")
    if kind not in KINDS:
        raise InputError(f"There is no fault {kind!r}; there are: {', '.join(KINDS)}.")
    if not colon:
        return Fault(kind)
    try:
        return Fault(kind, float(number))
    except ValueError:
        raise InputError(f"A fault is KIND or KIND:NUMBER, such as 429:2, not {text!r}.") from None
