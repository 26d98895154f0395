"""What the mock server reads from a request and writes as an answer, whatever the client speaks.

A wire format (mock_openai, mock_gemini) reads a body into ``Asked``, puts ``Written`` on the wire, and refuses.
Tokens are counted as four bytes each. The prompt cache works as OpenAI documents its own: the longest prefix that an
earlier prompt had too counts as cached, in steps of 128 tokens and from 1,024 tokens on. A prefix is remembered as
the hash of everything up to a step, so a prompt costs one pass over its bytes.

Source: https://platform.openai.com/docs/guides/prompt-caching
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final, Literal, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from flair_ray.domain.answers import (
    BallotForm,
    ChoiceForm,
    EditDraft,
    PersonalizedDraft,
    ScriptDraft,
    VerdictForm,
    VideoAnalysis,
)
from flair_ray.domain.ids import StageName
from flair_ray.errors import InputError

B = TypeVar("B", bound=BaseModel)
Ending = Literal["stop", "length", "refusal", "filtered", "blank"]

BYTES_PER_TOKEN: Final = 4
CACHE_STEP: Final = 128 * BYTES_PER_TOKEN
CACHE_START: Final = 1_024 * BYTES_PER_TOKEN
CACHE_SIZE: Final = 200_000
"""Prefixes remembered, about 20 MB; past it the cache starts anew, as providers' caches do in time."""

_STAGES: Final[Mapping[str, str]] = {
    VideoAnalysis.__name__: StageName.S1.value,
    ScriptDraft.__name__: StageName.S3.value,
    BallotForm.__name__: StageName.S4.value,
    EditDraft.__name__: StageName.R1.value,
    ChoiceForm.__name__: StageName.R2.value,
    VerdictForm.__name__: StageName.R3.value,
    PersonalizedDraft.__name__: StageName.S6.value,
}
"""Our answer schemas, by name; any other schema is counted under its own name."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    model: str
    schema: dict[str, Any] | None
    """None when plain text will do."""
    name: str
    """Of the schema; "text" without one."""
    question: str
    """What the words of the answer are drawn from."""
    prompt: bytes
    """All that was said, in order: what a provider's cache would see."""

    @property
    def stage(self) -> str:
        return _STAGES.get(self.name, self.name)


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


class Part(BaseModel):
    text: str = ""


def parsed(form: type[B], body: bytes) -> B:
    """The request. Raises InputError that names the field, and quotes nothing of the prompt."""
    try:
        return form.model_validate_json(body)
    except ValidationError as err:
        first = err.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the body"
        raise InputError(f"This is no request of this kind: {where}: {first['msg']}.") from None


def joined(said: Iterable[tuple[str | None, str]]) -> bytes:
    """Roles and texts as one prompt."""
    return "\x1e".join(f"{role}\n{text}" for role, text in said).encode("utf-8", "replace")


def prompt_key(prompt: bytes) -> bytes:
    """Equal for equal prompts only."""
    return blake2b(prompt, digest_size=16).digest()


def token_count(text: bytes) -> int:
    return -(-len(text) // BYTES_PER_TOKEN)


class PrefixCache:
    """Which beginnings of prompts have been seen."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()

    def cached_tokens(self, prompt: bytes) -> int:
        """Tokens of the longest known prefix; from now on all of this prompt's prefixes are known."""
        known = 0
        hashed = blake2b(prompt[: CACHE_START - CACHE_STEP], digest_size=16)
        for end in range(CACHE_START, len(prompt) + 1, CACHE_STEP):
            hashed.update(prompt[end - CACHE_STEP : end])
            prefix = hashed.digest()
            if prefix in self._seen:
                known = end
            self._seen.add(prefix)
        if len(self._seen) > CACHE_SIZE:
            self._seen.clear()
        return known // BYTES_PER_TOKEN
