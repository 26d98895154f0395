"""Any server that speaks OpenAI chat completions: OpenAI itself, vLLM, Ollama, llama.cpp, a gateway.

The answer's shape is the server's job: ``response_format`` carries the JSON schema of the answer, strict
(https://developers.openai.com/api/docs/guides/structured-outputs). Nothing is parsed out of prose. Where servers
differ is said by a Dialect; what a failure means, by ``endpoint``.

One client per process, over aiohttp, and the SDK's request without its response models: measured at 200 in flight,
1.0 ms CPU a call, against 1.8 ms with them, 13.5 ms on the default transport, and 0.3 ms for bare aiohttp. The SDK's
own retries are off, or the limiter would not see them. No sampling parameter is sent: reasoning models refuse them.

Two quirks of that transport, which both come up as APITimeoutError: it calls every lost connection a timeout, so the
original exception decides; and its read timeout starts anew with each byte, so the deadline is kept here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal, cast

import aiohttp
import httpx2
import openai
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel, SecretStr, ValidationError

from flair_ray.domain.calls import ChatRequest, Completion, Finish, Usage
from flair_ray.domain.schema import SchemaDialect, answer_schema
from flair_ray.errors import ModelNotFound
from flair_ray.providers.conversation import turns
from flair_ray.providers.endpoint import CHECK_TIMEOUT_S, CONNECT_TIMEOUT_S, NO_KEY, Endpoint, retry_after_s

BASE_URL: Final = "https://api.openai.com/v1"
FINISHES: Final[Mapping[str, Finish]] = {"length": "length", "content_filter": "refusal"}


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one vendor's chat completions differ from the next's."""

    limit_field: Literal["max_completion_tokens", "max_tokens"]
    seeded: bool
    """Whether ``seed`` is taken."""
    schema: SchemaDialect
    extra: Mapping[str, object] = field(default_factory=dict)
    """Fields of every request."""
    thinking_tokens: int = 0
    """Room for reasoning beside the answer: it counts against the limit."""
    lists_models: bool = False
    """Whether GET /models names every model that can be asked for."""


OPENAI: Final = Dialect(
    # https://developers.openai.com/api/docs/guides/reasoning: max_tokens is refused by reasoning models, reasoning
    # counts against max_completion_tokens, and short structured answers need little of it.
    limit_field="max_completion_tokens",
    extra={"reasoning_effort": "low"},
    thinking_tokens=4096,
    # "Beta" in the reference, and still there: https://developers.openai.com/api/docs/api-reference/chat
    seeded=True,
    # https://developers.openai.com/api/docs/guides/structured-outputs#supported-schemas; lengths of strings are not
    # among them.
    schema=SchemaDialect(
        frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems"})
    ),
    lists_models=True,
)
COMPATIBLE: Final = Dialect(
    # The one name that all take: Ollama documents no other (https://docs.ollama.com/api/openai-compatibility), nor
    # does llama.cpp (https://github.com/ggml-org/llama.cpp/tree/master/tools/server); vLLM takes both
    # (https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html).
    limit_field="max_tokens",
    seeded=True,
    # A gateway may lead to OpenAI, which refuses what it does not know: its subset.
    schema=OPENAI.schema,
)


def openai_dialect(model: str) -> Dialect:
    """OpenAI's own; a model that does not reason refuses to be told how much."""
    reasons = not model.startswith(("gpt-4", "gpt-3", "chatgpt-")) and "chat-latest" not in model
    return OPENAI if reasons else replace(OPENAI, extra={}, thinking_tokens=0)


class OpenAICompatible:
    """One model at one endpoint. Safe to share between any number of concurrent calls of one event loop."""

    def __init__(
        self, name: str, model: str, api_key: SecretStr | None, base_url: str | None, dialect: Dialect = COMPATIBLE
    ) -> None:
        self.dialect = dialect
        self._model = model
        self._client = openai.AsyncOpenAI(
            api_key=api_key.get_secret_value() if api_key else NO_KEY,
            base_url=base_url or BASE_URL,  # said, or the SDK would look for one in the environment
            max_retries=0,
            http_client=openai.DefaultAioHttpClient(),
        )
        self._endpoint = Endpoint(name, model, str(self._client.base_url))

    @property
    def url(self) -> str:
        return self._endpoint.url

    async def complete(self, request: ChatRequest, timeout_s: float) -> Completion:
        reply = await self._send("/chat/completions", timeout_s, self._body(request))
        try:
            return _completion(_Reply.model_validate_json(reply.content), self._model)
        except ValidationError:
            raise self._endpoint.unusable() from None

    async def check(self) -> None:
        """Free of charge: raises what every call would raise, an unknown model, a refused key, no connection."""
        try:
            reply = await self._send("/models", CHECK_TIMEOUT_S)
        except ModelNotFound:
            if self.dialect.lists_models:
                raise
            return  # a server without a list: the first call will tell
        if not self.dialect.lists_models:
            return
        try:
            names = {model.id for model in _ModelList.model_validate_json(reply.content).data}
        except ValidationError:
            raise self._endpoint.unusable() from None
        if self._model not in names:
            raise self._endpoint.unknown_model(f"{self._endpoint.provider} listed its {len(names)} models")

    async def close(self) -> None:
        await self._client.close()

    def _body(self, request: ChatRequest) -> dict[str, object]:
        dialect = self.dialect
        schema = answer_schema(request.answer, dialect.schema)
        body: dict[str, object] = {
            "model": self._model,
            "messages": messages(request),
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": request.answer.__name__, "strict": True, "schema": schema},
            },
            dialect.limit_field: request.max_output_tokens + dialect.thinking_tokens,
            **dialect.extra,
        }
        return {**body, "seed": request.seed} if dialect.seeded else body

    async def _send(self, path: str, timeout_s: float, body: object = None) -> httpx2.Response:
        # The SDK's way to any endpoint: https://github.com/openai/openai-python#undocumented-endpoints
        timeout = openai.Timeout(timeout_s, connect=min(CONNECT_TIMEOUT_S, timeout_s))
        try:
            async with asyncio.timeout(timeout_s):
                if body is None:
                    return await self._client.get(path, cast_to=httpx2.Response, options={"timeout": timeout})
                return await self._client.post(path, cast_to=httpx2.Response, body=body, options={"timeout": timeout})
        except TimeoutError:
            raise self._endpoint.too_slow(timeout_s) from None
        except openai.APIStatusError as err:
            raise self._endpoint.refused(err.status_code, _reasons(err), retry_after_s(err.response.headers)) from None
        except (openai.APIConnectionError, aiohttp.ClientError) as err:
            raise self._endpoint.lost(err, timeout_s) from None


def messages(request: ChatRequest) -> list[ChatCompletionMessageParam]:
    system: ChatCompletionMessageParam = {"role": "system", "content": request.system}
    return [system, *(cast(ChatCompletionMessageParam, {"role": t.role, "content": t.text}) for t in turns(request))]


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _InputDetails(BaseModel):
    cached_tokens: int | None = None


class _OutputDetails(BaseModel):
    reasoning_tokens: int | None = None


class _Usage(BaseModel):
    """As OpenAI counts, and where others say what came from the cache."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    cached_tokens: int | None = None
    """Moonshot: https://platform.kimi.ai/docs/api/chat"""
    prompt_cache_hit_tokens: int | None = None
    """DeepSeek: https://api-docs.deepseek.com/guides/kv_cache"""

    def as_usage(self) -> Usage:
        details = self.prompt_tokens_details.cached_tokens if self.prompt_tokens_details else None
        cached = details or self.cached_tokens or self.prompt_cache_hit_tokens or 0
        reasoning = self.completion_tokens_details.reasoning_tokens if self.completion_tokens_details else None
        return Usage(self.prompt_tokens, min(cached, self.prompt_tokens), self.completion_tokens, reasoning or 0)


class _Reply(BaseModel):
    choices: list[_Choice]
    usage: _Usage | None = None
    model: str | None = None


class _Model(BaseModel):
    id: str


class _ModelList(BaseModel):
    data: list[_Model]


def _completion(reply: _Reply, asked_model: str) -> Completion:
    """Without a choice the text is empty: it was paid for, and whoever validates it will ask again."""
    choice = reply.choices[0] if reply.choices else _Choice(message=_Message())
    return Completion(
        text=choice.message.content or "",
        usage=reply.usage.as_usage() if reply.usage else Usage(),
        model=reply.model or asked_model,
        finish="refusal" if choice.message.refusal else FINISHES.get(choice.finish_reason or "", "stop"),
    )


def _reasons(err: openai.APIStatusError) -> list[str]:
    return [text for text in (err.code, err.type, err.param) if isinstance(text, str)]
