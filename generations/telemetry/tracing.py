"""Traces by OpenTelemetry: from a create through submit, poll and copy to the webhook. Off unless an endpoint is set.

A generation stores the W3C Trace Context of its create. Each step of a worker is a span below that context.
Spans have ids, states and outcomes. They never have a caller's text, an address or an exception's text.
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

Attribute = str | int | float | bool
FLUSH_TIMEOUT_MILLISECONDS = 2000  # the end of a worker run waits for so long until its spans are sent


class Span:
    """A span of a trace, or a placeholder that does nothing where traces are off."""

    def __init__(self, span: Any = None, traceparent: str = "") -> None:
        self._span, self.traceparent = span, traceparent

    def set_attributes(self, **attributes: Attribute) -> None:
        """Set attributes that are known only at the end, such as the outcome."""
        if self._span:
            self._span.set_attributes(_prefix_names(attributes))


@contextmanager
def start_span(name: str, parent: str = "", **attributes: Attribute) -> Iterator[Span]:
    """Start a span for the duration of a `with` block. An exception marks the span as failed, by its class alone.

    `parent` is a traceparent. Without one, the parent is the present span, or the span starts a new trace.
    """
    if not settings.TRACES:
        yield Span()
        return
    from opentelemetry.trace import Status, StatusCode
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    # The text of an exception may hold a URL.
    options: dict[str, Any] = {"record_exception": False, "set_status_on_exception": False}
    options |= {"context": _parse_parent(parent), "attributes": _prefix_names(attributes)}
    with _get_tracer().start_as_current_span(name, **options) as span:
        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier)
        try:
            yield Span(span, carrier.get("traceparent", ""))
        except BaseException as error:
            span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise


def start_generation_span(name: str, generation: Any) -> AbstractContextManager[Span]:
    """Start a span in the trace of the generation's create, for the duration of a `with` block."""
    return start_span(name, generation.traceparent, **_describe(generation))


def record_generation_span(name: str, generation: Any, started_ns: int, **attributes: Attribute) -> None:
    """Record a span that has ended now, in the trace of the generation's create.

    Use it where only the end shows whether a span is worth recording. `started_ns` is a value of time.time_ns.
    """
    if settings.TRACES:
        prefixed, parent = _prefix_names(_describe(generation) | attributes), _parse_parent(generation.traceparent)
        _get_tracer().start_span(name, context=parent, start_time=started_ns, attributes=prefixed).end(time.time_ns())


def flush() -> None:
    """Send all recorded spans now: a worker's process may end without notice."""
    if settings.TRACES:
        _get_provider(os.getpid()).force_flush(FLUSH_TIMEOUT_MILLISECONDS)


def _describe(generation: Any) -> dict[str, Attribute]:
    """Return the attributes that every span of the generation has."""
    return {"generation": str(generation.pk), "tenant": generation.tenant_id, "test": generation.test}


def _prefix_names(attributes: Mapping[str, Attribute]) -> dict[str, Attribute]:
    """Return the attributes under the names that are sent."""
    return {f"seedance.{name}": value for name, value in attributes.items()}


def _parse_parent(traceparent: str) -> "Context | None":
    """Return the context of a traceparent, or None if the text is empty."""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": traceparent}) if traceparent else None


def _get_tracer() -> "Tracer":
    """Return the tracer of this process."""
    return _get_provider(os.getpid()).get_tracer("seedance")


@cache
def _get_provider(pid: int) -> "TracerProvider":
    """Return the provider of the process `pid`: the thread that sends spans does not survive a fork.

    The environment's OTEL_… variables set the destination and how many spans are buffered.
    """
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    name = os.environ.get("OTEL_SERVICE_NAME", "seedance-service")
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
