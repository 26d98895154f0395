"""Gemini's generateContent as the mock reads and writes it.

The format names no schema, so the stage is told by the schema's title. Three refusals differ from its neighbours': a
wrong key is a 400 whose ErrorInfo says API_KEY_INVALID, an account that may not is a 400 with FAILED_PRECONDITION, and
how long to wait is said by a RetryInfo in the body, not by a header.

Source: https://ai.google.dev/api/generate-content and https://ai.google.dev/gemini-api/docs/troubleshooting
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from flair_ray.testing.mock_wire import Asked, Ending, Part, Refusal, Written, joined, parsed

_STATUSES: Final[Mapping[str, tuple[int, str]]] = {
    "400": (400, "INVALID_ARGUMENT"),
    "401": (400, "INVALID_ARGUMENT"),
    "402": (400, "FAILED_PRECONDITION"),
    "403": (403, "PERMISSION_DENIED"),
    "404": (404, "NOT_FOUND"),
    "429": (429, "RESOURCE_EXHAUSTED"),
    "500": (500, "INTERNAL"),
    "503": (503, "UNAVAILABLE"),
}
_REASONS: Final[Mapping[str, str]] = {"401": "API_KEY_INVALID"}
_FINISHES: Final[Mapping[Ending, str]] = {"length": "MAX_TOKENS", "refusal": "SAFETY"}
_RPC: Final = "type.googleapis.com/google.rpc."


class _Wire(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class Content(_Wire):
    role: str | None = None
    parts: list[Part] = []

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts)


class GenerationConfig(_Wire):
    response_json_schema: dict[str, Any] | None = None


class GenerateBody(_Wire):
    """The part of the request that the mock understands; the rest is ignored."""

    contents: list[Content] = Field(min_length=1)
    system_instruction: Content = Content()
    generation_config: GenerationConfig = GenerationConfig()


class GeminiWire:
    """models/MODEL:generateContent."""

    def read(self, body: bytes, model: str) -> Asked:
        asked = parsed(GenerateBody, body)
        schema = asked.generation_config.response_json_schema
        return Asked(
            model=model,
            schema=schema,
            name=str((schema or {}).get("title", "text")),
            question=asked.contents[-1].text,
            prompt=joined((c.role, c.text) for c in (asked.system_instruction, *asked.contents)),
        )

    def answer(self, model: str, written: Written) -> dict[str, Any]:
        body: dict[str, Any] = {
            "modelVersion": model,
            "responseId": written.key,
            "usageMetadata": {
                "promptTokenCount": written.input_tokens,
                "cachedContentTokenCount": written.cached_tokens,
                "candidatesTokenCount": written.output_tokens,
                "totalTokenCount": written.input_tokens + written.output_tokens,
            },
        }
        if written.ending == "filtered":
            return body | {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}
        if written.ending == "blank":
            return body
        candidate: dict[str, Any] = {"index": 0, "finishReason": _FINISHES.get(written.ending, "STOP")}
        if written.ending != "refusal":
            candidate["content"] = {"role": "model", "parts": [{"text": written.text}]}
        return body | {"candidates": [candidate]}

    def refuse(self, kind: str, message: str, wait_s: float | None) -> Refusal:
        code, status = _STATUSES[kind]
        details: list[dict[str, Any]] = []
        if reason := _REASONS.get(kind):
            details.append({"@type": _RPC + "ErrorInfo", "reason": reason, "domain": "googleapis.com"})
        if wait_s is not None:
            details.append({"@type": _RPC + "RetryInfo", "retryDelay": f"{wait_s:.3f}s"})
        error = {"code": code, "message": message, "status": status, "details": details}
        return Refusal(code, {"error": error}, {})
