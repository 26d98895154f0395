"""The same calls by other means: ``python -m experiments.peers.job KIND BASE_URL REQUESTS IN_FLIGHT``.

REQUESTS is a file: a JSON list of the steps, each a list of request bodies. A step waits for the one before. Every
peer is written as its documentation shows it, with two retries. Prints how many answers there are, and what ended it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Body = dict[str, Any]
RETRIES = 2


def loop(base_url: str, steps: Sequence[Sequence[Body]], in_flight: int) -> int:
    """One process, the vendor's async client, a semaphore."""
    import openai

    async def run() -> int:
        client, turns = (
            openai.AsyncOpenAI(base_url=base_url, api_key="bench", max_retries=RETRIES),
            asyncio.Semaphore(in_flight),
        )

        async def call(body: Body) -> object:
            async with turns:
                return await client.chat.completions.create(**body)

        answers = 0
        for step in steps:
            done = await asyncio.gather(*(call(body) for body in step), return_exceptions=True)
            answers += sum(not isinstance(answer, BaseException) for answer in done)
        await client.close()
        return answers

    return asyncio.run(run())


def tasks(base_url: str, steps: Sequence[Sequence[Body]], in_flight: int) -> int:
    """A Ray task for each call: as many processes as there are calls in flight."""
    import ray

    ray.init("local", include_dashboard=False, log_to_driver=False)

    @ray.remote(num_cpus=(os.cpu_count() or 1) / in_flight)
    def call(body: Body) -> str | None:
        import openai

        client = openai.OpenAI(base_url=base_url, api_key="bench", max_retries=RETRIES)
        return client.chat.completions.create(**body).choices[0].message.content

    answers = 0
    for step in steps:
        for ref in [call.remote(body) for body in step]:
            try:
                ray.get(ref)
                answers += 1
            except ray.exceptions.RayError:
                continue
    return answers


def data(base_url: str, steps: Sequence[Sequence[Body]], in_flight: int) -> int:
    """Ray Data's HTTP processor: so many actors, each with one request at a time."""
    import ray
    from ray.data.llm import HttpRequestProcessorConfig, build_processor

    ray.init("local", include_dashboard=False, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    config = HttpRequestProcessorConfig(
        url=f"{base_url}/chat/completions", batch_size=1, concurrency=in_flight, max_retries=RETRIES,
        http_request_stage={"num_cpus": (os.cpu_count() or 1) / in_flight / 2},
    )  # fmt: skip
    processor = build_processor(
        config,
        preprocess=lambda row: {"payload": json.loads(row["body"])},
        postprocess=lambda row: {"answer": row["http_response"]["choices"][0]["message"]["content"]},
    )
    answers = 0
    for step in steps:
        rows = ray.data.from_items([{"body": json.dumps(body)} for body in step], override_num_blocks=len(step))
        answers += len(processor(rows).take_all())
    return answers


if __name__ == "__main__":
    kind, base_url, file, in_flight = sys.argv[1:]
    said: dict[str, object] = {"answers": 0, "ended by": ""}
    try:
        said["answers"] = {"loop": loop, "tasks": tasks, "data": data}[kind](
            base_url, json.loads(Path(file).read_text()), int(in_flight)
        )
    except Exception as err:
        said["ended by"] = type(err).__name__
    print(json.dumps(said))
