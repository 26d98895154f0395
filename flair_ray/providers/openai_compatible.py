"""Any server that speaks OpenAI chat completions: OpenAI itself, vLLM, Ollama, llama.cpp, a gateway.

The answer's shape is the server's job: ``response_format`` carries the JSON schema of the answer model, strict
(https://platform.openai.com/docs/guides/structured-outputs). Nothing is parsed out of prose.

One client per process, over aiohttp: on its default transport the SDK costs 13.5 ms CPU a call at 200 in
flight, on this one 1.5 ms. The SDK's own retries are off, or the limiter would not see them.

Failures are told apart by type and status. One quirk: over aiohttp a keep-alive connection that the server has
just closed comes up as an immediate APITimeoutError; it is no slow call, so a "timeout" long before its time is
reported as ConnectionLost.
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any

import openai
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion, ChatCompletionMessageParam
from pydantic import BaseModel, SecretStr

from flair_ray.domain.calls import ChatRequest, Completion, Finish, Usage
from flair_ray.errors import (
    AuthRefused,
    BadRequest,
    CallTimeout,
    ConnectionLost,
    ModelNotFound,
    ProviderError,
    RateLimited,
    ServerTrouble,
)

CONNECT_TIMEOUT_S = 10.0
UNTIMELY = 0.5
"""A timeout that comes before this share of its time was none."""
NO_KEY = "no-key"
"""What a server that wants no key is sent: the SDK insists on one."""
FINISHES: dict[str, Finish] = {"length": "length", "content_filter": "refusal"}


class OpenAICompatible:
    """One model at one endpoint. Safe to share between any number of concurrent calls of one event loop."""

    def __init__(self, name: str, model: str, api_key: SecretStr | None, base_url: str | None) -> None:
        self._name = name
        self._model = model
        self._client = openai.AsyncOpenAI(
            api_key=api_key.get_secret_value() if api_key else NO_KEY,
            base_url=base_url,
            max_retries=0,
            http_client=openai.DefaultAioHttpClient(),
        )

    async def complete(self, request: ChatRequest, timeout_s: float) -> Completion:
        begun = time.monotonic()
        try:
            reply = await self._client.chat.completions.create(
                model=self._model,
                messages=_messages(request),
                response_format={"type": "json_schema", "json_schema": _schema(request.answer)},
                max_completion_tokens=request.max_output_tokens,
                seed=request.seed,
                timeout=openai.Timeout(timeout_s, connect=min(CONNECT_TIMEOUT_S, timeout_s)),
            )
        except openai.APIStatusError as err:
            raise self._refused(err) from None
        except openai.APITimeoutError:
            if time.monotonic() - begun < UNTIMELY * min(timeout_s, CONNECT_TIMEOUT_S):
                raise ConnectionLost(f"{self._name} closed the connection.") from None
            raise CallTimeout(f"{self._name} gave no answer within {timeout_s:.0f} s.") from None
        except openai.APIConnectionError:
            raise ConnectionLost(f"{self._name} cannot be reached at {self._client.base_url}.") from None
        return _completion(reply, self._model)

    async def close(self) -> None:
        await self._client.close()

    def _refused(self, err: openai.APIStatusError) -> ProviderError:
        status = err.status_code
        said = f"{self._name} answered {status}"
        if status in (401, 403):
            return AuthRefused(f"{said}: the API key was refused. Check the key that is set for {self._name}.")
        if status == 404:
            return ModelNotFound(f"{said}: no model {self._model!r} at {self._client.base_url}. Choose with --model.")
        if status == 429:
            return RateLimited(f"{said}: too many requests.", retry_after_s(err.response.headers))
        if status in (408, 409) or status >= 500:
            return ServerTrouble(f"{said}.", retry_after_s(err.response.headers))
        return BadRequest(f"{said}: the request was not accepted.")


def retry_after_s(headers: Any) -> float | None:
    """Seconds the server asked for: ``retry-after-ms``, else ``Retry-After`` in seconds; None if it did not say."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) * unit)
        except (KeyError, ValueError):
            continue  # absent, or a date: backing off by ourselves is as good
    return None


def _messages(request: ChatRequest) -> list[ChatCompletionMessageParam]:
    messages: list[ChatCompletionMessageParam] = [
        {"role": "system", "content": request.system},
        {"role": "user", "content": f"{request.shared}\n\n{request.varying}"},
    ]
    if request.reask:
        messages += [
            {"role": "assistant", "content": request.reask.answer or "(no answer)"},
            {"role": "user", "content": f"That cannot be used. {request.reask.reason} Answer again."},
        ]
    return messages


@lru_cache(maxsize=64)
def _schema(answer: type[BaseModel]) -> Any:
    return {"name": answer.__name__, "strict": True, "schema": answer.model_json_schema()}


def _completion(reply: ChatCompletion, asked_model: str) -> Completion:
    choice = reply.choices[0] if reply.choices else None
    finish: Finish = "stop"
    if choice:
        finish = "refusal" if choice.message.refusal else FINISHES.get(choice.finish_reason, "stop")
    return Completion(
        text=(choice.message.content or "") if choice else "",
        usage=_usage(reply.usage),
        model=reply.model or asked_model,
        finish=finish,
    )


def _usage(usage: CompletionUsage | None) -> Usage:
    if usage is None:
        return Usage()
    cached = usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else 0
    reasoning = usage.completion_tokens_details.reasoning_tokens if usage.completion_tokens_details else 0
    return Usage(usage.prompt_tokens, cached or 0, usage.completion_tokens, reasoning or 0)
