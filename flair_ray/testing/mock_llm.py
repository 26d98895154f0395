"""A language model's server without a language model: what every benchmark and failure test calls.

A process of its own that speaks OpenAI chat completions. Each request is answered from its own JSON schema
and its own words (mock_answers), after a latency and with a fate drawn from a seed (mock_traffic), so a
whole run succeeds, and the same run meets the same luck. Over its limits it refuses: 429 with Retry-After
in whole seconds, rounded up as the header wants it, and retry-after-ms with the exact time, which OpenAI's
clients read first.

    POST /v1/chat/completions    GET /v1/models
    GET /stats                   counters since the last reset (mock_traffic.Tally) and ``in_flight``
    POST /reset                  counters, prompt cache, luck and bucket as at the start
    POST /config                 {"rpm": 300, …}: other latency, limits or shares from now on

Invariants. A call holds its place from admission until just before its answer is written, so a client that
starts a call when another has been answered is never one too many. A client that hangs up gives its place
back when the closed connection is noticed. A latency counts from the arrival of the request. Any API key
and any model name will do.

It fails by not starting (InputError: the port is taken), or by answering 400 to what it cannot read.
Source: https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

import argparse
import asyncio
import math
import signal
import sys
import time
from collections.abc import Sequence
from typing import Any

from aiohttp import web
from pydantic_core import from_json, to_json

from flair_ray.errors import FlairError, InputError
from flair_ray.flow.clock import SystemClock
from flair_ray.ports import Clock
from flair_ray.testing.mock_answers import write_answer
from flair_ray.testing.mock_options import MockOptions, parse_tail
from flair_ray.testing.mock_prompts import ChatBody, PrefixCache, prompt_key, read_chat, token_count
from flair_ray.testing.mock_server import READY, MockServer
from flair_ray.testing.mock_traffic import Fate, Gate, Luck, Refusal, Tally

__all__ = ["MockOptions", "MockServer", "create_app", "main", "serve"]

MAX_BODY_BYTES = 32 * 2**20
BACKLOG = 4_096
"""Connections that may wait to be accepted: a whole wave connects at once, and one past the queue's end
(usually 128) tries again only after a second."""
STOP_TIMEOUT_S = 0.2
"""A stopped server cuts the calls it holds, as a machine that goes away does."""


class MockLLM:
    """The state of one server, and its routes."""

    def __init__(self, options: MockOptions, clock: Clock) -> None:
        self.options = options
        self._clock = clock
        self._gate = Gate(options, clock.now_s())
        self._start()

    def _start(self) -> None:
        self._tally = Tally()
        self._luck = Luck(self.options.seed)
        self._cache = PrefixCache()

    async def chat(self, request: web.Request) -> web.Response:
        tally, arrived_s = self._tally, self._clock.now_s()
        tally.calls += 1
        try:
            chat = read_chat(await request.read())
            tally.by_stage[chat.stage] += 1
            if refusal := self._gate.enter(self._clock.now_s()):
                tally.rejected_429 += 1
                return _too_many(refusal)
            try:
                tally.peak_in_flight = max(tally.peak_in_flight, self._gate.in_flight)
                return await self._answer(chat, arrived_s, tally)
            finally:
                self._gate.leave()
        except (InputError, web.HTTPRequestEntityTooLarge) as err:
            tally.bad_requests += 1
            return _error(400, "invalid_request_error", str(err))
        except asyncio.CancelledError:
            tally.abandoned += 1
            raise

    async def _answer(self, chat: ChatBody, arrived_s: float, tally: Tally) -> web.Response:
        prompt = chat.prompt
        key = prompt_key(prompt)
        completion = self._completion(chat, prompt, key)
        tally.ask(key)
        latency_s, fate = self._luck.draw(self.options)
        await self._clock.sleep(max(0.0, arrived_s + latency_s - self._clock.now_s()))
        if fate is Fate.OK:
            tally.ok += 1
            return _json(completion)
        tally.fail(key)
        if fate is Fate.FAIL:
            return _error(500, "server_error", "The mock was told to fail this call.")
        return _json(_spoiled(completion))

    def _completion(self, chat: ChatBody, prompt: bytes, key: bytes) -> dict[str, Any]:
        """A whole response body. Raises InputError for a schema that cannot be answered."""
        schema, seed = chat.schema_asked, int.from_bytes(key, "big") + self.options.seed
        value = write_answer({"type": "string"} if schema is None else schema, chat.messages[-1].text, seed)
        text = value if schema is None else to_json(value).decode()
        return {
            "id": f"chatcmpl-{key.hex()}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": chat.model,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text, "refusal": None},
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": _usage(token_count(prompt), self._cache.cached_tokens(prompt), token_count(text.encode())),
        }

    async def models(self, _: web.Request) -> web.Response:
        return _json({"object": "list", "data": [{"id": "mock", "object": "model", "created": 0, "owned_by": "flair"}]})

    async def stats(self, _: web.Request) -> web.Response:
        return _json({**self._tally.as_json(), "in_flight": self._gate.in_flight})

    async def reset(self, _: web.Request) -> web.Response:
        """Calls in flight are finished, and counted nowhere."""
        self._start()
        self._gate.refill(self._clock.now_s())
        self._tally.peak_in_flight = self._gate.in_flight
        return _json({"status": "ok"})

    async def configure(self, request: web.Request) -> web.Response:
        """Answers with all options as they are now; 400 changes nothing."""
        try:
            changes = from_json(await request.read())
            if not isinstance(changes, dict):
                raise InputError("POST /config takes a JSON object of options.")
            self.options = self.options.changed(changes)
        except (InputError, ValueError) as err:
            return _error(400, "invalid_request_error", str(err))
        self._gate.change(self.options, self._clock.now_s())
        return _json(self.options.as_json())


def create_app(options: MockOptions, clock: Clock | None = None) -> web.Application:
    """The server as an aiohttp application; run it with ``handler_cancellation`` so that hanging up is noticed."""
    mock = MockLLM(options, clock or SystemClock())
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.router.add_post("/v1/chat/completions", mock.chat)
    app.router.add_get("/v1/models", mock.models)
    app.router.add_get("/stats", mock.stats)
    app.router.add_post("/reset", mock.reset)
    app.router.add_post("/config", mock.configure)
    return app


async def serve(options: MockOptions) -> None:
    """Serve until SIGTERM or SIGINT. Prints one line with the base URL once it listens; raises InputError."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(
        create_app(options), access_log=None, handler_cancellation=True, shutdown_timeout=STOP_TIMEOUT_S
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, options.host, options.port, backlog=BACKLOG).start()
        print(f"{READY}{_base_url(options.host, runner.addresses[0][1])}", flush=True)
        await stop.wait()
    except OSError as err:
        raise InputError(
            f"The mock LLM cannot listen on {options.host}:{options.port} ({err.strerror}). "
            "Give another --port, or 0 for a free one."
        ) from None
    finally:
        await runner.cleanup()


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m flair_ray.testing.mock_llm``; returns the exit code."""
    try:
        asyncio.run(serve(_options(argv)))
    except FlairError as err:
        print(err, file=sys.stderr)
        return err.exit_code
    return 0


def _options(argv: Sequence[str] | None) -> MockOptions:
    parser = argparse.ArgumentParser(prog="mock-llm", description="A local server that speaks OpenAI chat completions.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--latency-s", type=float, default=1.0, help="seconds from request to answer")
    parser.add_argument("--jitter", type=float, default=0.0, help="plus or minus this fraction of the latency")
    parser.add_argument("--tail", default="0:1", metavar="SHARE:FACTOR", help="0.05:10 makes 5%% of calls 10x slower")
    parser.add_argument("--max-in-flight", type=int, help="calls at once; more get 429")
    parser.add_argument("--rpm", type=int, help="requests per minute: a token bucket that holds one second's worth")
    parser.add_argument("--fail", type=float, default=0.0, help="share of calls that get a 500")
    parser.add_argument("--malformed", type=float, default=0.0, help="share of answers that do not fit the schema")
    parser.add_argument("--seed", type=int, default=0, help="of answers, latencies and failures")
    given = vars(parser.parse_args(argv))
    return MockOptions(**{**given, "tail": parse_tail(given["tail"])})


def _usage(prompt_tokens: int, cached_tokens: int, completion_tokens: int) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def _spoiled(completion: dict[str, Any]) -> dict[str, Any]:
    """The same response with an answer that fits no schema: JSON cut short, or by turns a list."""
    message = completion["choices"][0]["message"]
    text = message["content"]
    message["content"] = text[: len(text) // 2] if len(text) % 2 else '["not", "what", "was", "asked"]'
    return completion


def _too_many(refusal: Refusal) -> web.Response:
    wait_ms = max(1, math.ceil(refusal.retry_after_s * 1000))
    headers = {"Retry-After": str(math.ceil(wait_ms / 1000)), "retry-after-ms": str(wait_ms)}
    return _error(429, "rate_limit_exceeded", f"Rate limit reached: {refusal.reason}.", headers)


def _error(status: int, kind: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
    return _json({"error": {"message": message, "type": kind, "param": None, "code": kind}}, status, headers)


def _json(body: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=to_json(body), status=status, headers=headers, content_type="application/json")


def _base_url(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"


if __name__ == "__main__":
    sys.exit(main())
