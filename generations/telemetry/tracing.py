"""Traces by OpenTelemetry, off unless an endpoint is set: from a create through submit, poll and copy to the webhook.

A generation keeps the context of its create (W3C Trace Context), and each step of a worker is a span below it. Spans
have ids, states and outcomes, and never what a caller wrote, an address or an exception's text.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from django.conf import settings

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

Fact = str | int | float | bool
PATIENCE = 2000  # milliseconds that the end of a sweep waits for its spans to go out


class Span:
    """The span of what is done within. Where traces are off, nothing is told."""

    def __init__(self, span: Any = None, traceparent: str = "") -> None:
        self._span, self.traceparent = span, traceparent

    def tell(self, **facts: Fact) -> None:
        """Known only afterwards: an outcome, for example."""
        if self._span:
            self._span.set_attributes(_attributes(facts))


@contextmanager
def span(name: str, parent: str = "", **facts: Fact) -> Iterator[Span]:
    """What is done within. `parent`: a traceparent; none: the span that is open, or a new trace."""
    if not settings.TRACES:
        yield Span()
        return
    from opentelemetry.trace import Status, StatusCode
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    options: dict[str, Any] = {"record_exception": False, "set_status_on_exception": False}  # its text may hold a URL
    options |= {"context": _below(parent), "attributes": _attributes(facts)}
    with _tracer().start_as_current_span(name, **options) as opened:
        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier)
        try:
            yield Span(opened, carrier.get("traceparent", ""))
        except BaseException as error:
            opened.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise


def step(name: str, generation: Any) -> AbstractContextManager[Span]:
    """A span of a generation's way."""
    return span(name, generation.traceparent, **_facts(generation))


def past(name: str, generation: Any, began: int, **facts: Fact) -> None:
    """A span that is worth one only now that it is over. `began`: as time.time_ns tells it."""
    if settings.TRACES:
        attributes, parent = _attributes(_facts(generation) | facts), _below(generation.traceparent)
        _tracer().start_span(name, context=parent, start_time=began, attributes=attributes).end(time.time_ns())


def _facts(generation: Any) -> dict[str, Fact]:
    return {"generation": str(generation.pk), "tenant": generation.tenant_id, "test": generation.test}


def _attributes(facts: Mapping[str, Fact]) -> dict[str, Fact]:
    return {f"seedance.{name}": fact for name, fact in facts.items()}


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
