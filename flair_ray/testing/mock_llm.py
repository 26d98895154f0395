"""A language model's server without a language model: what every benchmark and failure test calls.

A process of its own that speaks OpenAI chat completions and Gemini's generateContent (mock_openai,
mock_gemini). Each request is answered from its own JSON schema and its own words (mock_answers), after a
latency and with a fate drawn from a seed (mock_traffic), so a whole run succeeds, and the same run meets the
same luck. Over its limits it refuses with 429 and says when to come back. Failure tests hand it a script of
faults for the next calls (mock_faults).

    POST /v1/chat/completions    GET /v1/models
    POST /v1/models/{model}:generateContent    GET /v1/models/{model}    (and under /v1beta)
    GET /stats                   counters since the last reset (mock_traffic.Tally) and ``in_flight``
    POST /reset                  counters, prompt cache, luck and bucket as at the start, and no script
    POST /config                 {"rpm": 300, …}: other latency, limits or shares from now on;
                                 {"script": ["429:2", "cut"]}: what the next calls meet

Invariants. A call holds its place from admission until just before its answer is written, so a client that
starts a call when another has been answered is never one too many. A client that hangs up gives its place
back when the closed connection is noticed. A latency counts from the arrival of the request. Any API key
and any model name will do.

It fails by not starting (InputError: the port is taken), or by answering 400 to what it cannot read.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from dataclasses import replace

from aiohttp import web
from pydantic_core import from_json, to_json

from flair_ray.errors import FlairError, InputError
from flair_ray.flow.clock import SystemClock
from flair_ray.ports import Clock
from flair_ray.testing.mock_answers import write_answer
from flair_ray.testing.mock_faults import MALFORMED, PAGE, STATUSES, WRONG_SHAPE, Fault, Script
from flair_ray.testing.mock_gemini import GeminiWire
from flair_ray.testing.mock_openai import OpenAIWire
from flair_ray.testing.mock_options import MockOptions
from flair_ray.testing.mock_server import READY, MockServer
from flair_ray.testing.mock_traffic import Gate, Luck, Tally
from flair_ray.testing.mock_wire import Asked, Ending, PrefixCache, Wire, Written, prompt_key, token_count

__all__ = ["MockOptions", "MockServer", "create_app", "main", "serve"]

MODEL = "mock"
"""The name of the only model that is listed; any other is answered too."""
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
        self._script = Script()

    async def chat(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, OpenAIWire())

    async def generate(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, GeminiWire())

    async def _serve(self, request: web.Request, wire: Wire) -> web.StreamResponse:
        tally, arrived_s = self._tally, self._clock.now_s()
        tally.calls += 1
        try:
            asked = wire.read(await request.read(), request.match_info.get("model", ""))
            tally.by_stage[asked.stage] += 1
            if refusal := self._gate.enter(self._clock.now_s()):
                tally.rejected_429 += 1
                return _refused(wire, "429", f"Rate limit reached: {refusal.reason}.", refusal.retry_after_s)
            try:
                tally.peak_in_flight = max(tally.peak_in_flight, self._gate.in_flight)
                return await self._answer(request, wire, asked, arrived_s, tally)
            finally:
                self._gate.leave()
        except (InputError, web.HTTPRequestEntityTooLarge) as err:
            tally.bad_requests += 1
            return _refused(wire, "400", str(err), None)
        except asyncio.CancelledError:
            tally.abandoned += 1
            raise

    async def _answer(
        self, request: web.Request, wire: Wire, asked: Asked, arrived_s: float, tally: Tally
    ) -> web.StreamResponse:
        prompt = asked.prompt
        key = prompt_key(prompt)
        written = self._write(asked, prompt, key)
        tally.ask(key)
        told, (latency_s, drawn) = self._script.next(), self._luck.draw(self.options)
        latency_s += told.number or 0.0 if told.kind == "slow" else 0.0
        fault = drawn if told.kind in ("ok", "slow") else told
        await self._clock.sleep(max(0.0, arrived_s + latency_s - self._clock.now_s()))
        if fault.kind == "ok":
            tally.ok += 1
            return _json(wire.answer(asked.model, written))
        if fault.kind == "429":
            tally.rejected_429 += 1
            tally.forget(key)
        else:
            tally.fail(key)
        return await _faulty(request, wire, asked, written, fault)

    def _write(self, asked: Asked, prompt: bytes, key: bytes) -> Written:
        """An answer to the question. Raises InputError for a schema that cannot be answered."""
        schema, seed = asked.schema, int.from_bytes(key, "big") + self.options.seed
        value = write_answer({"type": "string"} if schema is None else schema, asked.question, seed)
        text = value if schema is None else to_json(value).decode()
        return Written(
            key=key.hex(),
            text=text,
            input_tokens=token_count(prompt),
            cached_tokens=self._cache.cached_tokens(prompt),
            output_tokens=token_count(text.encode()),
        )

    async def models(self, _: web.Request) -> web.Response:
        return _json({"object": "list", "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": "flair"}]})

    async def model(self, request: web.Request) -> web.Response:
        """Gemini's: only the mock's own model is there."""
        name = request.match_info["model"]
        if name != MODEL:
            return _refused(GeminiWire(), "404", f"There is no model {name}.", None)
        return _json({"name": f"models/{name}", "displayName": "Mock", "inputTokenLimit": 1_048_576})

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
            script = Script(changes.pop("script")) if "script" in changes else self._script
            self.options = self.options.changed(changes)
            self._script = script
        except (InputError, ValueError) as err:
            return _refused(OpenAIWire(), "400", str(err), None)
        self._gate.change(self.options, self._clock.now_s())
        return _json(self.options.model_dump())


def create_app(options: MockOptions, clock: Clock | None = None) -> web.Application:
    """The server as an aiohttp application; run it with ``handler_cancellation`` so that hanging up is noticed."""
    mock = MockLLM(options, clock or SystemClock())
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.router.add_post("/v1/chat/completions", mock.chat)
    app.router.add_get("/v1/models", mock.models)
    app.router.add_post("/{version:v1|v1beta}/models/{model}:generateContent", mock.generate)
    app.router.add_get("/{version:v1|v1beta}/models/{model}", mock.model)
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


def main() -> int:
    """``python -m flair_ray.testing.mock_llm '{"port": 0}'``, options as JSON; returns the exit code."""
    try:
        asyncio.run(serve(MockOptions(**from_json(sys.argv[1] if len(sys.argv) > 1 else "{}"))))
    except FlairError as err:
        print(err, file=sys.stderr)
        return err.exit_code
    return 0


_ENDINGS: dict[str, Ending] = {"truncated": "length", "refusal": "refusal", "filtered": "filtered", "blank": "blank"}


async def _faulty(request: web.Request, wire: Wire, asked: Asked, written: Written, fault: Fault) -> web.StreamResponse:
    """The response that a fault stands for."""
    if fault.kind in STATUSES:
        return _refused(wire, fault.kind, f"The mock was told to answer {fault.kind}.", fault.number)
    if fault.kind == "empty":
        return web.Response(content_type="application/json")
    if fault.kind == "html":
        return web.Response(body=PAGE, content_type="text/html")
    if fault.kind == "malformed":
        written = replace(written, text=MALFORMED)
    elif fault.kind == "wrong_shape":
        written = replace(written, text=WRONG_SHAPE)
    elif fault.kind in ("truncated", "filtered"):
        written = replace(written, text=written.text[: len(written.text) // 2])
    body = wire.answer(asked.model, replace(written, ending=_ENDINGS.get(fault.kind, "stop")))
    if fault.kind in ("drop", "cut"):
        return await _hang_up(request, to_json(body), said_something=fault.kind == "cut")
    return _json(body)


async def _hang_up(request: web.Request, body: bytes, said_something: bool) -> web.StreamResponse:
    """Close the connection before the answer, or half-way through it."""
    response = web.StreamResponse(headers={"Content-Length": str(len(body)), "Content-Type": "application/json"})
    if said_something:
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
    if request.transport:
        request.transport.close()
    return response


def _refused(wire: Wire, kind: str, message: str, wait_s: float | None) -> web.Response:
    refusal = wire.refuse(kind, message, wait_s)
    return _json(refusal.body, refusal.status, refusal.headers)


def _json(body: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=to_json(body), status=status, headers=headers, content_type="application/json")


def _base_url(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"


if __name__ == "__main__":
    sys.exit(main())
