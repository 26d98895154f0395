"""Requests drawn from the document, to the real app over HTTP: no server error, and every answer as described."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
import schemathesis
import schemathesis.specs.openapi.schemas  # else loaded beside the server's thread, and Python 3.11 parses in one only
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from flair_ray.config import Settings
from tests.serve_app.conftest import Serve
from tests.serve_app.reading import watch

FEW = 10


def rejects_what_is_not_described(ctx: Any, response: Any, case: Any) -> bool | None:
    """But for lengths: texts and lists are measured once they are clean, so one too long only before that is taken."""
    try:
        return negative_data_rejection(ctx, response, case)
    except AcceptedNegativeData as err:
        if "maxLength" in str(err) or "maxItems" in str(err):
            return None
        raise


CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    rejects_what_is_not_described,
    unsupported_method,
]
Started = Callable[..., Awaitable[str]]


@pytest.fixture
def few(settings: Settings) -> Settings:
    """Bounds under which a run that was drawn takes no time."""
    return settings.model_copy(
        update={"max_videos": 4, "max_scripts": 4, "max_personas": 4, "max_transcript_bytes": 4096}
    )


@pytest.mark.parametrize(
    "examples",
    [pytest.param(FEW, id="few"), pytest.param(50, id="many", marks=[pytest.mark.long, pytest.mark.timeout(900)])],
)
async def test_every_answer_is_as_described(
    serve_api: Serve, few: Settings, hosts: Any, started: Started, examples: int
) -> None:
    hosts.wake()
    async with serve_api(few) as client:
        run_id = await started(client, num_videos=2, num_scripts=2, num_personas=2, top_n=1)
        await watch(client, run_id)
        schema = await asyncio.to_thread(schemathesis.openapi.from_url, f"{client.base_url}/openapi.json")
        for found in schema.get_all_operations():
            await asyncio.to_thread(_conform, found.ok(), run_id, examples)


def _conform(operation: Any, run_id: str, examples: int) -> None:
    positive, negative = (operation.as_strategy(generation_mode=mode) for mode in GenerationMode)

    @hypothesis_settings(
        max_examples=examples,
        derandomize=examples == FEW,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=st.one_of(negative, positive, positive.map(partial(_about, run_id))))
    def conforms(case: Any) -> None:
        case.call_and_validate(checks=CHECKS, timeout=30)

    conforms()


def _about(run_id: str, case: Any) -> Any:
    """The same request, of a run that exists and a provider that can be used."""
    if case.method != "DELETE" and "run_id" in case.path_parameters:
        case.path_parameters["run_id"] = run_id
    if isinstance(case.body, dict) and "reasoning_model" in case.body:
        case.body |= {"reasoning_model": "offline", "video_set_id": None}
    return case
