"""Spans of OpenTelemetry, where FLAIR_OTLP_ENDPOINT names a collector: a run, its stages, its calls.

    run ─▶ stage ─▶ call         driver, driver, worker: a stage's job carries the way back to it (W3C traceparent)

Without an endpoint a span is nothing and costs next to that. Calls have the attributes that the conventions for
generative AI name; none has a prompt, an answer or a key. An error shows as its type, its words stay where they are.
The package is the extra ``otel``. Sources: https://www.w3.org/TR/trace-context/,
https://opentelemetry.io/docs/specs/semconv/gen-ai/
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from flair_ray.errors import InputError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

OFTEN_MS = 500
"""A worker that has nothing to do may end a second later, and takes with it what was not sent."""
PATIENCE_S = 3.0
"""For a collector that does not answer; what it misses is gone."""
Attribute = str | int | float

_tracer: Any = None


class Span:
    """What can be said of a span while it lasts."""

    def __init__(self, made: Any = None) -> None:
        self._made = made

    def note(self, **attributes: Attribute) -> None:
        """``a__b`` is the attribute a.b."""
        if self._made is not None:
            self._made.set_attributes({name.replace("__", "."): value for name, value in attributes.items()})


_NOTHING = Span()


def set_up(endpoint: str | None) -> None:
    """From now on this process makes spans, if there is somebody to take them. The first call holds.

    Raises InputError without the extra.
    """
    if endpoint is None or _tracer is not None:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as err:
        raise InputError("FLAIR_OTLP_ENDPOINT needs the extra: pip install 'flair_ray[otel]'.") from err
    exporter = OTLPSpanExporter(endpoint.rstrip("/") + "/v1/traces", timeout=PATIENCE_S)
    provider = TracerProvider(resource=Resource.create({"service.name": "flair_ray"}))
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=OFTEN_MS))
    use(provider)


def use(provider: TracerProvider | None) -> None:
    """Where spans go; None: nowhere."""
    global _tracer  # noqa: PLW0603  # one per process, as its clients have it
    _tracer = provider.get_tracer("flair_ray") if provider else None


@contextmanager
def span(name: str, parent: str = "", *, of_a_client: bool = False, **attributes: Attribute) -> Iterator[Span]:
    """A span below the one that is open here, or below ``parent`` as ``here`` gave it elsewhere."""
    if _tracer is None:
        yield _NOTHING
        return
    from opentelemetry import trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    context = TraceContextTextMapPropagator().extract({"traceparent": parent}) if parent else None
    kind = trace.SpanKind.CLIENT if of_a_client else trace.SpanKind.INTERNAL
    with _tracer.start_as_current_span(
        name, context, kind, record_exception=False, set_status_on_exception=False
    ) as made:
        opened = Span(made)
        opened.note(**attributes)
        try:
            yield opened
        except BaseException as err:
            opened.note(error__type=type(err).__name__)
            made.set_status(trace.StatusCode.ERROR)
            raise


def here() -> str:
    """The way back to the span that is open here; empty without one."""
    if _tracer is None:
        return ""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent", "")
