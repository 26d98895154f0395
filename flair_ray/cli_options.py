"""The options that `run`, `submit` and `estimate` have in common, written once.

Typer reads a command's signature. A command that takes ``given`` first gets, in its place, one option per field of
``api.RunOptions`` that a command line can set, and finds them in ``given`` under the fields' names.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

Given = dict[str, Any]
"""Options by the names of RunOptions' fields."""


def _options(
    videos: Annotated[
        Path | None,
        typer.Option(
            help="A yt-dlp folder, CSV, JSON, JSONL, Parquet, or transcripts (.txt, .srt, .vtt). "
            "Default: the synthetic sample library."
        ),
    ] = None,
    profile: Annotated[
        Path | None, typer.Option(help="A creator profile (JSON). Default: the first sample profile.")
    ] = None,
    personas: Annotated[
        Path | None,
        typer.Option(help="A panel of your own (JSON or CSV). Default: 100 synthetic viewers to choose from."),
    ] = None,
    provider: Annotated[
        str | None,
        typer.Option(
            help="Who answers: kimi, openai, gemini, local, offline. Default: the first whose key is set, else offline."
        ),
    ] = None,
    model: Annotated[str | None, typer.Option(help="The provider's model.")] = None,
    base_url: Annotated[
        str | None, typer.Option(help="An OpenAI-compatible server: vLLM, Ollama, llama.cpp, a gateway.")
    ] = None,
    voter_model: Annotated[
        str | None,
        typer.Option(
            help="Who votes: PROVIDER, PROVIDER:MODEL, or another MODEL of the provider. Default: who writes."
        ),
    ] = None,
    num_videos: Annotated[int, typer.Option(help="Videos to analyze.")] = 100,
    num_scripts: Annotated[int, typer.Option(help="Scripts to write.")] = 20,
    num_personas: Annotated[int, typer.Option(help="Simulated viewers who vote.")] = 42,
    top_n: Annotated[int, typer.Option(help="Best scripts to personalise.")] = 10,
    max_in_flight: Annotated[
        int | None, typer.Option(help="Model calls at once that the account stands. Default: found while calling.")
    ] = None,
    rpm: Annotated[int | None, typer.Option(help="Requests a minute that the account stands.")] = None,
    tpm: Annotated[int | None, typer.Option(help="Tokens a minute that the account stands.")] = None,
    max_usd: Annotated[float | None, typer.Option(help="Stop cleanly before the run costs more, in dollars.")] = None,
    price: Annotated[
        str | None, typer.Option(help="IN/OUT or IN/CACHED/OUT, dollars per million tokens, e.g. 0.95/0.16/4.")
    ] = None,
    cache: Annotated[
        bool, typer.Option("--cache/--no-cache", help="Share the analysis of a video with earlier and later runs.")
    ] = True,
    seed: Annotated[
        int, typer.Option(help="Same seed, same choices: themes, orders, labels, the offline provider.")
    ] = 7,
) -> None: ...


_SHARED = list(inspect.signature(_options, eval_str=True).parameters.values())


def with_run_options(command: Callable[..., None]) -> Callable[..., None]:
    """``command(given, …)`` with its first parameter replaced by the options."""
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]

    @functools.wraps(command)
    def wrapped(**values: Any) -> None:
        given = {parameter.name: values.pop(parameter.name) for parameter in _SHARED}
        command(given, **values)

    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*_SHARED, *own)]
    wrapped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what Typer reads
    wrapped.__annotations__ = {p.name: p.annotation for p in parameters}
    return wrapped
