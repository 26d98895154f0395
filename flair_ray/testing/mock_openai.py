"""OpenAI's chat completions as the mock reads and writes them: answers, errors, rate limit headers.

An account without credit is told so by a 429 whose code is
``insufficient_quota``, as OpenAI and Moonshot do; a refused request waits for nothing.

Source: https://developers.openai.com/api/docs/guides/error-codes
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, Field

from flair_ray.errors import InputError
from flair_ray.testing.mock_wire import Asked, Ending, Part, Refusal, Written, joined, parsed

_CODES: Final[Mapping[str, tuple[int, str]]] = {
    "400": (400, "invalid_request_error"),
    "401": (401, "invalid_api_key"),
    "402": (429, "insufficient_quota"),
    "403": (403, "permission_denied"),
    "404": (404, "model_not_found"),
    "429": (429, "rate_limit_exceeded"),
    "500": (500, "server_error"),
    "503": (503, "server_overloaded"),
}
_FINISHES: Final[Mapping[Ending, str]] = {"length": "length", "filtered": "content_filter"}


_ANY_OBJECT: Final = {"type": "object", "properties": {"answer": {"type": "string"}}}


class Message(BaseModel):
    role: str
    content: str | list[Part] | None = None

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.content) if isinstance(self.content, list) else self.content or ""


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


class OpenAIWire:
    """Chat completions."""

    def read(self, body: bytes, model: str) -> Asked:
        chat = parsed(ChatBody, body)
        if chat.stream:
            raise InputError("The mock answers in one piece; send the request without stream.")
        wanted = chat.response_format
        named = wanted.json_schema if wanted else None
        plain = None if wanted is None or wanted.type == "text" else _ANY_OBJECT
        return Asked(
            model=chat.model,
            schema=named.body if named else plain,
            name=named.name if named else "text",
            question=chat.messages[-1].text,
            prompt=joined((m.role, m.text) for m in chat.messages),
        )

    def answer(self, model: str, written: Written) -> dict[str, Any]:
        message = {"role": "assistant", "content": written.text, "refusal": None}
        if written.ending == "refusal":
            message |= {"content": None, "refusal": "I cannot help with that."}
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": _FINISHES.get(written.ending, "stop"),
        }
        return {
            "id": f"chatcmpl-{written.key}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": model,
            "choices": [] if written.ending == "blank" else [choice],
            "usage": {
                "prompt_tokens": written.input_tokens,
                "completion_tokens": written.output_tokens,
                "total_tokens": written.input_tokens + written.output_tokens,
                "prompt_tokens_details": {"cached_tokens": written.cached_tokens},
                "completion_tokens_details": {"reasoning_tokens": 0},
            },
        }

    def refuse(self, kind: str, message: str, wait_s: float | None) -> Refusal:
        status, code = _CODES[kind]
        error = {"message": message, "type": code, "param": None, "code": code}
        return Refusal(status, {"error": error}, {} if wait_s is None else _wait_headers(wait_s))


def _wait_headers(wait_s: float) -> dict[str, str]:
    """Retry-After in whole seconds, rounded up as the header wants it, and the exact time, which clients read first."""
    wait_ms = max(1, math.ceil(wait_s * 1000))
    return {"Retry-After": str(math.ceil(wait_ms / 1000)), "retry-after-ms": str(wait_ms)}
