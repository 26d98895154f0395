"""`flair mock-llm`: a server to try things against, with a flag for each of its habits."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

LOCALHOST = "127.0.0.1"


def mock_llm(
    context: typer.Context,
    port: Annotated[int, typer.Option(help="0 picks a free one.")] = 8089,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = LOCALHOST,
    latency_s: Annotated[float, typer.Option(help="Seconds an answer takes.")] = 1.0,
    jitter: Annotated[float, typer.Option(help="Share of the latency, up and down.")] = 0.0,
    tail: Annotated[str, typer.Option(help="SHARE:FACTOR, e.g. 0.05:10: 5 % of calls take ten times as long.")] = "0:1",
    max_in_flight: Annotated[int | None, typer.Option(help="More at once are refused with 429.")] = None,
    rpm: Annotated[int | None, typer.Option(help="Requests a minute; more are refused with 429.")] = None,
    fail: Annotated[float, typer.Option(help="Share of calls answered with 500.")] = 0.0,
    malformed: Annotated[float, typer.Option(help="Share of answers that are not the schema.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Same seed, same luck and same answers.")] = 0,
) -> None:
    """Run a local stand-in for a model's server: OpenAI's protocol, made-up answers, real limits."""
    from flair_ray.testing.mock_llm import MockOptions, serve

    asyncio.run(serve(MockOptions(**context.params)))
