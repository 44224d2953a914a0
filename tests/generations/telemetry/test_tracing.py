"""Traces: one trace from the create through submit, poll and copy to the webhook, sent to an OTLP collector."""

import gzip
import os
import queue as queues
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from generations.models import Delivery, Generation
from generations.telemetry import tracing
from tests.support.factories import Caller
from tests.support.images import mp4
from tests.support.receiver import Receiver, run_receiver
from tests.support.upstream import Upstream
from tests.support.webhooks import attempt_all
from tests.support.worker import take_steps_until

pytestmark = pytest.mark.one_database

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Collector:
    """A collector that stores the spans that it receives by OTLP over HTTP."""

    def __init__(self) -> None:
        self.spans: queues.SimpleQueue[Any] = queues.SimpleQueue()
        self.services: set[str] = set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            """The handler of export requests."""

            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    content = gzip.decompress(content)
                collector.store(ExportTraceServiceRequest.FromString(content))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def store(self, request: Any) -> None:
        """Store the spans of one export request, and the names of its services."""
        for resource in request.resource_spans:
            attributes = {item.key: item.value.string_value for item in resource.resource.attributes}
            self.services.add(attributes["service.name"])
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.spans.put(span)

    def take_spans(self) -> dict[str, list[Any]]:
        """Flush this process's spans. Remove and return the stored spans, by name."""
        tracing.flush()
        by_name: dict[str, list[Any]] = {}
        while not self.spans.empty():
            span = self.spans.get()
            by_name.setdefault(span.name, []).append(span)
        return by_name

    def stop(self) -> None:
        """Stop the server."""
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    """Yield a receiver of webhooks."""
    with run_receiver(settings) as receiver:
        yield receiver


@pytest.fixture
def collector(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """Switch traces on, and yield the collector to which they are sent."""
    collector = Collector()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    settings.TRACES = True
    tracing._get_provider.cache_clear()
    yield collector
    tracing._get_provider(os.getpid()).shutdown()
    tracing._get_provider.cache_clear()
    collector.stop()


def attributes_of(span: Any) -> dict[str, Any]:
    """Return the span's attributes by name, without the prefix."""
    return {
        item.key.removeprefix("seedance."): getattr(item.value, item.value.WhichOneof("value"))
        for item in span.attributes
    }


def test_one_trace_from_the_create_to_the_webhook(
    alice: Caller, upstream: Upstream, receiver: Receiver, bucket: Any, collector: Collector, body: dict[str, Any]
) -> None:
    caller = Caller(alice.tenant)
    fields = {**body, "prompt": "a secret of the caller", "webhook_url": receiver.url.replace("http:", "https:")}
    created = caller.http.post("/v1/generations", fields, format="json", HTTP_TRACEPARENT=TRACEPARENT)
    assert created.status_code == 202, created.content
    g = Generation.objects.get()
    assert take_steps_until(g, "running").upstream_id
    assert take_steps_until(g, "running")  # a poll that finds the video rendering
    upstream.video(mp4())
    take_steps_until(g, "succeeded")
    Delivery.objects.update(url=receiver.url)
    attempt_all()
    spans = collector.take_spans()
    assert {name: len(group) for name, group in spans.items()} == {
        **dict.fromkeys(("call", "create", "submit", "poll", "copy", "webhook"), 1)
    }
    by_name = {name: group[0] for name, group in spans.items()}
    assert {span.trace_id.hex() for span in by_name.values()} == {TRACEPARENT.split("-")[1]}
    assert by_name["call"].parent_span_id.hex() == TRACEPARENT.split("-")[2]
    assert by_name["create"].parent_span_id == by_name["call"].span_id
    for name in ("submit", "poll", "copy", "webhook"):
        assert by_name[name].parent_span_id == by_name["create"].span_id, name
        assert attributes_of(by_name[name])["generation"] == created.json()["id"]
    assert attributes_of(by_name["submit"])["outcome"] == "created"
    assert attributes_of(by_name["webhook"])["outcome"] == "delivered"
    assert attributes_of(by_name["call"])["status"] == 202
    assert collector.services == {"seedance-service"}
    assert "secret of the caller" not in str(spans)
    assert caller.key_text not in str(spans)


@pytest.mark.parametrize("traceparent", ["", "nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "ff-x", "é"])
def test_a_malformed_traceparent_starts_a_new_trace(
    alice: Caller, upstream: Upstream, bucket: Any, collector: Collector, body: dict[str, Any], traceparent: str
) -> None:
    alice.http.post("/v1/generations", body, format="json", HTTP_TRACEPARENT=traceparent)
    [call] = collector.take_spans()["call"]
    assert call.parent_span_id == b""
    assert Generation.objects.get().traceparent.split("-")[1] == call.trace_id.hex()


@pytest.mark.parametrize("path", ["/v1/limits", "/v1/nothing", "/v1/generations/x", "/v3/async/task-result"])
def test_a_trace_changes_no_answer_and_names_the_route(
    alice: Caller, collector: Collector, settings: Any, path: str
) -> None:
    answers = []
    for settings.TRACES in (False, True, False):
        answers.append(alice.http.get(path))
    first, *others = ((answer.status_code, answer.content, dict(answer.headers)) for answer in answers)
    assert others == [first, first]
    settings.TRACES = True  # flushes only then
    [call] = collector.take_spans()["call"]
    route = {"/v1/nothing": "", "/v1/generations/x": "v1/generations/<str:generation_id>"}.get(path, path.lstrip("/"))
    expected = {"method": "GET", "route": route, "status": answers[0].status_code, "request_id": "tests"}
    assert attributes_of(call) == expected


def test_an_exception_is_recorded_by_its_class_alone(collector: Collector) -> None:
    with pytest.raises(ValueError), tracing.start_span("copy"):
        raise ValueError("https://bucket.example/?X-Amz-Signature=abc")
    [span] = collector.take_spans()["copy"]
    assert span.status.message == "ValueError"
    assert "Signature" not in str(span)


def test_without_an_endpoint_nothing_is_stored_nor_imported(alice: Caller, bucket: Any, body: dict[str, Any]) -> None:
    alice.http.post("/v1/generations", body, format="json", HTTP_TRACEPARENT=TRACEPARENT)
    assert Generation.objects.get().traceparent == ""
    code = "import django; django.setup(); import sys; from generations.telemetry import tracing\n"
    code += "with tracing.start_span('x') as span: span.set_attributes(a=1)\ntracing.flush()\n"
    code += "assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "seedance_service.settings"}
    subprocess.run([sys.executable, "-c", code], env=env, check=True, timeout=60)
