"""Traces by OpenTelemetry, off unless an endpoint is set: from a create through submit, poll and copy to the webhook.

A generation keeps the context of its create (W3C Trace Context), and each step of a worker is a span below it. Spans
have ids, states and outcomes, and never what a caller wrote, an address or an exception's text.
"""

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from django.conf import settings

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

PATIENCE = 2000  # milliseconds that the end of a sweep waits for its spans to go out


class Span:
    """Where traces are off, or what is recorded elsewhere: nothing is told."""

    traceparent = ""

    def tell(self, **facts: str | int | float | bool) -> None:
        """Known only afterwards: an outcome, for example."""


class Recorded(Span):
    def __init__(self, span: Any) -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier)
        self._span, self.traceparent = span, carrier.get("traceparent", "")

    def tell(self, **facts: str | int | float | bool) -> None:
        self._span.set_attributes({f"seedance.{name}": fact for name, fact in facts.items()})


@contextmanager
def span(name: str, parent: str = "", **facts: str | int | float | bool) -> Iterator[Span]:
    """What is done within. `parent`: a traceparent; none: the span that is open, or a new trace."""
    if not settings.TRACES:
        yield Span()
        return
    from opentelemetry.trace import Status, StatusCode

    options: dict[str, Any] = {"record_exception": False, "set_status_on_exception": False}  # its text may hold a URL
    with _tracer().start_as_current_span(name, context=_below(parent), **options) as opened:
        recorded = Recorded(opened)
        recorded.tell(**facts)
        try:
            yield recorded
        except BaseException as error:
            opened.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise


def step(name: str, generation: Any) -> AbstractContextManager[Span]:
    """A span of a generation's way."""
    facts = {"generation": str(generation.pk), "tenant": generation.tenant_id, "test": generation.test}
    return span(name, generation.traceparent, **facts)


def past(name: str, generation: Any, began: int, **facts: str | int | float | bool) -> None:
    """A span that is worth one only now that it is over. `began`: as time.time_ns tells it."""
    if not settings.TRACES:
        return
    known = {"generation": str(generation.pk), "tenant": generation.tenant_id, "test": generation.test, **facts}
    attributes = {f"seedance.{name}": fact for name, fact in known.items()}
    parent = _below(generation.traceparent)
    _tracer().start_span(name, context=parent, start_time=began, attributes=attributes).end(time.time_ns())


def flush() -> None:
    """A worker's process ends without a farewell: what it knows goes out now."""
    if settings.TRACES:
        _provider(os.getpid()).force_flush(PATIENCE)


def _below(parent: str) -> "Context | None":
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": parent}) if parent else None


def _tracer() -> "Tracer":
    return _provider(os.getpid()).get_tracer("seedance")


@cache
def _provider(pid: int) -> "TracerProvider":
    """One a process: the thread that sends does not outlive a fork. OTEL_… say where to, and how many are kept."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    name = os.environ.get("OTEL_SERVICE_NAME", "seedance-service")
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
