"""CPU of one model call in the calling process, at 200 in flight, beside a bare aiohttp loop in the same run.

    python -m experiments.calls

Part of `make bench`. The same question is put to the same mock server by each adapter; counted is this process's
CPU time, not the server's. The known trap is a client per call, per item or per task.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable

import aiohttp
from pydantic import SecretStr

from experiments.rows import Row, row, table
from flair_ray import data
from flair_ray.config import Account
from flair_ray.domain.runs import ModelChoice
from flair_ray.ports import Provider
from flair_ray.providers.openai_compatible import OpenAICompatible
from flair_ray.stages.s1_analyze import Analyze
from flair_ray.testing.mock_llm import MockOptions, MockServer
from flair_ray.workbench import make_provider

CALLS, IN_FLIGHT, REPEATS = 1_000, 200, 5
REQUEST = Analyze().request(None, data.sample_videos()[0])


async def cpu_ms(call: Callable[[], Awaitable[object]]) -> float:
    """Of one call, once everything is warm."""
    turns = asyncio.Semaphore(IN_FLIGHT)

    async def one() -> None:
        async with turns:
            await call()

    await asyncio.gather(*(one() for _ in range(IN_FLIGHT)))
    begun = time.process_time()
    await asyncio.gather(*(one() for _ in range(CALLS)))
    return 1000 * (time.process_time() - begun) / CALLS


async def bare(base_url: str) -> list[float]:
    body = OpenAICompatible("openai", "mock", None, base_url)._body(REQUEST)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def call() -> None:
            async with session.post(f"{base_url}/chat/completions", json=body) as reply:
                await reply.json()

        return [await cpu_ms(call) for _ in range(REPEATS)]


async def adapter(name: str, base_url: str) -> list[float]:
    root = base_url.removesuffix("/v1") if name == "gemini" else base_url
    provider: Provider = make_provider(ModelChoice(name, "mock", root), Account(name, SecretStr("bench")))
    try:
        return [await cpu_ms(lambda: provider.complete(REQUEST, 60)) for _ in range(REPEATS)]
    finally:
        await provider.close()


async def measured() -> list[Row]:
    with MockServer(MockOptions(latency_s=0.3)) as mock:
        floor = await bare(mock.base_url)
        rows = [row("CPU per call at 200 in flight, bare aiohttp", floor, "ms")]
        limits = {"openai": 2.5, "kimi": 2.5, "gemini": 4.0}
        return [*rows, *[row(f"  {n}", await adapter(n, mock.base_url), "ms", None, m) for n, m in limits.items()]]


def main() -> None:
    rows = asyncio.run(measured())
    print(table(rows))
    sys.exit(0 if all(r.kept for r in rows) else 1)


if __name__ == "__main__":
    main()
