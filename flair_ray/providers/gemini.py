"""Gemini, through google-genai's own async client (https://googleapis.github.io/python-genai/).

The answer's shape is the model's ``responseJsonSchema`` (https://ai.google.dev/gemini-api/docs/structured-output).
The client is told three things it would otherwise decide differently: not to retry (it would, once, after up to ten
seconds of sleep), not to follow continuations with calls of its own, and to use an aiohttp session of ours, one per
process. Measured at 200 in flight: 2.6 ms CPU a call, against 0.3 ms for bare aiohttp.

Quirks:

- A wrong key is a 400, told by the reason in its details; an account that may not is a 400 FAILED_PRECONDITION
  (https://ai.google.dev/gemini-api/docs/troubleshooting).
- How long to wait is said by a RetryInfo in the body (https://cloud.google.com/apis/design/errors#error_details).
- A blocked prompt is a 200 without candidates, a blocked answer one whose finish reason says so.
- Models think (https://ai.google.dev/gemini-api/docs/thinking): thoughts count against the output limit and are billed
  as output, but are not among the candidates' tokens. From Gemini 3 on a level says how much, before that a budget.
- Limits depend on the project, its tier and the model, and are shown there only
  (https://ai.google.dev/gemini-api/docs/rate-limits): none is declared, so they are found while calling.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final, TypeVar

import aiohttp
from google import genai
from google.genai import errors, types
from pydantic import SecretStr

from flair_ray.domain.calls import ChatRequest, Completion, Finish, Usage
from flair_ray.domain.schema import SchemaDialect, answer_schema
from flair_ray.errors import ProviderError
from flair_ray.providers.conversation import turns
from flair_ray.providers.endpoint import CHECK_TIMEOUT_S, NO_KEY, Endpoint, retry_after_s
from flair_ray.providers.google import GoogleClient

BASE_URL: Final = "https://generativelanguage.googleapis.com"
SCHEMA: Final = SchemaDialect(frozenset({"minItems", "maxItems", "minimum", "maximum"}), titled=True)
"""https://ai.google.dev/gemini-api/docs/structured-output#json_schema_support"""
THINKING_TOKENS: Final = 4096
"""Room for thoughts beside the answer."""
T = TypeVar("T")
_LOW: Final = types.ThinkingConfig(thinking_level=types.ThinkingLevel.LOW)
_Reason = types.FinishReason
FINISHES: Final[Mapping[types.FinishReason, Finish]] = {
    _Reason.MAX_TOKENS: "length",
    _Reason.CONTINUATION: "length",
    _Reason.SAFETY: "refusal",
    _Reason.RECITATION: "refusal",
    _Reason.BLOCKLIST: "refusal",
    _Reason.PROHIBITED_CONTENT: "refusal",
    _Reason.SPII: "refusal",
    _Reason.MODEL_ARMOR: "refusal",
}


class Gemini(GoogleClient):
    """One Gemini model. Safe to share between any number of concurrent calls of one event loop."""

    def __init__(self, model: str, api_key: SecretStr | None, base_url: str | None = None) -> None:
        self._key = api_key
        self._endpoint = Endpoint("gemini", model, base_url or BASE_URL)
        self._thinking = None if model.startswith("gemini-2") else _LOW

    async def complete(self, request: ChatRequest, timeout_s: float) -> Completion:
        call = self._client.aio.models.generate_content(
            model=self._endpoint.model, contents=_contents(request), config=self._config(request, timeout_s)
        )
        reply = await self._answered(call, timeout_s)
        if not (reply.candidates or reply.prompt_feedback or reply.usage_metadata):
            raise self._endpoint.unusable()
        return _completion(reply, self._endpoint.model)

    async def check(self) -> None:
        """Free of charge: raises what every call would raise, an unknown model, a refused key, no connection."""
        await self._answered(self._client.aio.models.get(model=self._endpoint.model), CHECK_TIMEOUT_S)

    @cached_property
    def _client(self) -> genai.Client:
        return genai.Client(
            vertexai=False,
            api_key=self._key.get_secret_value() if self._key else NO_KEY,
            http_options=types.HttpOptions(
                base_url=self._endpoint.url,
                aiohttp_client=self._session,
                retry_options=types.HttpRetryOptions(attempts=1),
            ),
        )

    def _config(self, request: ChatRequest, timeout_s: float) -> types.GenerateContentConfig:
        return types.GenerateContentConfig(
            system_instruction=request.system,
            response_mime_type="application/json",
            response_json_schema=answer_schema(request.answer, SCHEMA),
            max_output_tokens=request.max_output_tokens + THINKING_TOKENS,
            seed=request.seed,
            thinking_config=self._thinking,
            automatic_continuation=False,
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
            http_options=types.HttpOptions(timeout=max(1, int(timeout_s * 1000))),
        )

    def _refused(self, err: errors.APIError) -> ProviderError:
        told = _details(err)
        wait_s = _seconds(told["retryDelay"]) if "retryDelay" in told else None
        if wait_s is None and isinstance(err.response, aiohttp.ClientResponse):
            wait_s = retry_after_s(err.response.headers)
        return self._endpoint.refused(err.code, [str(told.get("reason", "")), str(err.status)], wait_s)


def _contents(request: ChatRequest) -> types.ContentListUnion:
    return [
        types.Content(role="user" if turn.role == "user" else "model", parts=[types.Part(text=turn.text)])
        for turn in turns(request)
    ]


def _details(err: errors.APIError) -> dict[str, Any]:
    """The fields of all details of an error (ErrorInfo, RetryInfo …) together; a proxy's page has none."""
    body = err.details.get("error") if isinstance(err.details, dict) else None
    details = body.get("details") if isinstance(body, dict) else None
    return {k: v for d in details or () if isinstance(d, dict) for k, v in d.items()}


def _seconds(duration: object) -> float | None:
    """ "34.07s" → 34.07, as protobuf writes durations in JSON."""
    try:
        return max(0.0, float(str(duration).removesuffix("s")))
    except ValueError:
        return None


def _completion(reply: types.GenerateContentResponse, asked_model: str) -> Completion:
    """Without a candidate the text is empty: it was paid for, and whoever validates it will ask again."""
    candidate = reply.candidates[0] if reply.candidates else types.Candidate()
    parts = candidate.content.parts if candidate.content and candidate.content.parts else []
    blocked = reply.prompt_feedback is not None and reply.prompt_feedback.block_reason is not None
    finish = FINISHES.get(candidate.finish_reason, "stop") if candidate.finish_reason else "stop"
    return Completion(
        text="".join(part.text for part in parts if part.text and not part.thought),
        usage=_usage(reply.usage_metadata) if reply.usage_metadata else Usage(),
        model=reply.model_version or asked_model,
        finish="refusal" if blocked else finish,
    )


def _usage(counts: types.GenerateContentResponseUsageMetadata) -> Usage:
    thoughts = counts.thoughts_token_count or 0
    return Usage(
        input_tokens=counts.prompt_token_count or 0,
        cached_tokens=counts.cached_content_token_count or 0,
        output_tokens=(counts.candidates_token_count or 0) + thoughts,
        reasoning_tokens=thoughts,
    )
