"""What the mock server asks of a wire format: read a request, write an answer, refuse.

Everything else (what is answered, how late, how often refused) is the same whatever the client speaks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

Ending = Literal["stop", "length", "refusal", "filtered", "blank"]


class Asked(Protocol):
    """One request, in whatever format it came."""

    @property
    def model(self) -> str: ...

    @property
    def stage(self) -> str:
        """Who asks: a stage, the name of an unknown schema, or "text" without one."""
        ...

    @property
    def schema_asked(self) -> dict[str, Any] | None:
        """None when plain text will do."""
        ...

    @property
    def question(self) -> str:
        """What the words of the answer are drawn from."""
        ...

    @property
    def prompt(self) -> bytes:
        """All that was said, in order: what a provider's cache would see."""
        ...


@dataclass(frozen=True, slots=True)
class Written:
    """An answer before it is put on the wire."""

    key: str
    text: str
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    ending: Ending = "stop"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A response that is no answer."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str]


class Wire(Protocol):
    """One wire format."""

    def read(self, body: bytes, model: str) -> Asked:
        """``model`` is the one in the path, if this format puts it there. Raises InputError."""
        ...

    def answer(self, model: str, written: Written) -> dict[str, Any]:
        """The body of a 200."""
        ...

    def refuse(self, kind: str, message: str, wait_s: float | None) -> Refusal:
        """A failure of one of ``mock_faults.STATUSES``, with the time to wait if it is to be said."""
        ...
