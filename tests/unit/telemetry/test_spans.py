"""A run is one trace: the run, its stages, its calls, each with the run's id and nothing that was asked or answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from importlib import import_module

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from flair_ray.domain.ids import RunId
from flair_ray.engine.driver import Driver
from flair_ray.engine.order import Order
from flair_ray.errors import InputError
from flair_ray.telemetry import spans


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    spans.use(provider)
    yield kept
    spans.use(None)


def attributes(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


async def test_a_run_is_one_trace(
    exporter: InMemorySpanExporter,
    submit: Callable[[Order], Awaitable[RunId]],
    local_driver: Callable[[], Driver],
    small_order: Order,
) -> None:
    run_id = await submit(small_order)
    await local_driver().drive(run_id)
    made = exporter.get_finished_spans()
    assert len({span.context.trace_id for span in made}) == 1
    assert {attributes(span)["flair.run_id"] for span in made} == {run_id}
    by_id = {span.context.span_id: span for span in made}
    (run,) = (span for span in made if span.parent is None)
    assert (run.name, attributes(run)["flair.status"]) == ("run", "completed")
    calls = [span for span in made if span.kind is SpanKind.CLIENT]
    stages = [span for span in made if span not in calls and span is not run]
    assert len(stages) == 6
    assert all(by_id[span.parent.span_id] is run for span in stages if span.parent)
    assert Counter(by_id[span.parent.span_id].name for span in calls if span.parent) == Counter(
        {"S1_MAP": 12, "S3_SEQUENTIAL": 6, "S4_MAP": 7, "S6_PERSONALIZE": 3}
    )
    told = attributes(calls[0])
    assert told["gen_ai.provider.name"] == "offline"
    assert isinstance(told["gen_ai.usage.input_tokens"], int)
    assert {name for span in made for name in attributes(span)} == {
        "flair.run_id",
        "flair.stage",
        "flair.status",
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.output_tokens",
    }


def test_an_error_is_its_type_and_not_its_words(exporter: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="private"), spans.span("call"):
        raise ValueError("private")
    (span,) = exporter.get_finished_spans()
    assert attributes(span) == {"error.type": "ValueError"}
    assert (span.status.status_code, span.status.description, span.events) == (StatusCode.ERROR, None, ())


def test_the_way_back_leads_to_the_span_that_is_open(exporter: InMemorySpanExporter) -> None:
    with spans.span("stage"):
        way = spans.here()
    with spans.span("call", way):
        pass
    stage, call = exporter.get_finished_spans()
    assert call.parent
    assert call.parent.span_id == stage.context.span_id


def test_without_a_collector_there_are_none() -> None:
    spans.set_up(None)
    with spans.span("call") as span:
        span.note(anything=1)
    assert spans.here() == ""


def test_without_the_extra_it_is_said_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(import_module("sys").modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(InputError, match=r"flair_ray\[otel\]"):
        spans.set_up("http://127.0.0.1:4318")
