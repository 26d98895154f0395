"""A chat completion request as the mock sees it: what is asked, by which stage, and how much of it is cached.

Tokens are counted as four bytes each. The prompt cache works as OpenAI documents its own: the longest
prefix that an earlier prompt had too counts as cached, in steps of 128 tokens and from 1,024 tokens on.
A prefix is remembered as the hash of everything up to a step, so a prompt costs one pass over its bytes.

Source: https://platform.openai.com/docs/guides/prompt-caching
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final

from pydantic import BaseModel, Field, ValidationError

from flair_ray.domain.answers import BallotForm, PersonalizedDraft, ScriptDraft, VideoAnalysis
from flair_ray.domain.ids import StageName
from flair_ray.errors import InputError

BYTES_PER_TOKEN: Final = 4
CACHE_STEP: Final = 128 * BYTES_PER_TOKEN
CACHE_START: Final = 1_024 * BYTES_PER_TOKEN
CACHE_SIZE: Final = 200_000
"""Prefixes remembered, about 20 MB; past it the cache starts anew, as providers' caches do in time."""

STAGES: Final[Mapping[str, str]] = {
    VideoAnalysis.__name__: StageName.S1.value,
    ScriptDraft.__name__: StageName.S3.value,
    BallotForm.__name__: StageName.S4.value,
    PersonalizedDraft.__name__: StageName.S6.value,
}
"""Our answer schemas, by name; any other schema is counted under its own name."""

_ANY_OBJECT: Final = {"type": "object", "properties": {"answer": {"type": "string"}}}


class Part(BaseModel):
    text: str = ""


class Message(BaseModel):
    role: str
    content: str | list[Part] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class NamedSchema(BaseModel):
    name: str = Field(min_length=1, max_length=64)
    body: dict[str, Any] = Field(alias="schema")


class ResponseFormat(BaseModel):
    type: str
    json_schema: NamedSchema | None = None


class ChatBody(BaseModel):
    """The part of the request that the mock understands; the rest is ignored, as sampling parameters may be."""

    model: str
    messages: list[Message] = Field(min_length=1)
    response_format: ResponseFormat | None = None
    stream: bool | None = None

    @property
    def stage(self) -> str:
        """Who asks: the stage, the name of the schema, or "text" without one."""
        named = self.response_format and self.response_format.json_schema
        return STAGES.get(named.name, named.name) if named else "text"

    @property
    def schema_asked(self) -> dict[str, Any] | None:
        """None when plain text will do."""
        if self.response_format is None or self.response_format.type == "text":
            return None
        named = self.response_format.json_schema
        return named.body if named else _ANY_OBJECT

    @property
    def question(self) -> str:
        return self.messages[-1].text

    @property
    def prompt(self) -> bytes:
        """All messages, in order."""
        return "\x1e".join(f"{m.role}\n{m.text}" for m in self.messages).encode("utf-8", "replace")


def read_chat(body: bytes) -> ChatBody:
    """The request. Raises InputError that names the field, and quotes nothing of the prompt."""
    try:
        chat = ChatBody.model_validate_json(body)
    except ValidationError as err:
        first = err.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        raise InputError(f"This is no chat completion request: {where}: {first['msg']}.") from None
    if chat.stream:
        raise InputError("The mock answers in one piece; send the request without stream.")
    return chat


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
