"""Traces: one from a create, through submit, poll and copy, to the webhook, at a collector that speaks OTLP."""

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
from tests.generations.worker.test_steps import until
from tests.support.factories import Caller
from tests.support.images import mp4
from tests.support.receiver import Receiver, run_receiver
from tests.support.upstream import Upstream
from tests.support.webhooks import attempt_all

pytestmark = pytest.mark.one_database

CALLERS = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Collector:
    """Takes what OTLP over HTTP sends."""

    def __init__(self) -> None:
        self.spans: queues.SimpleQueue[Any] = queues.SimpleQueue()
        self.services: set[str] = set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    content = gzip.decompress(content)
                collector.take(ExportTraceServiceRequest.FromString(content))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                """It prints nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def take(self, request: Any) -> None:
        for resource in request.resource_spans:
            facts = {fact.key: fact.value.string_value for fact in resource.resource.attributes}
            self.services.add(facts["service.name"])
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.spans.put(span)

    def seen(self) -> dict[str, list[Any]]:
        tracing.flush()
        found: dict[str, list[Any]] = {}
        while not self.spans.empty():
            span = self.spans.get()
            found.setdefault(span.name, []).append(span)
        return found

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    with run_receiver(settings) as made:
        yield made


@pytest.fixture
def collector(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    found = Collector()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.url)
    settings.TRACES = True
    tracing._get_provider.cache_clear()
    yield found
    tracing._get_provider(os.getpid()).shutdown()
    tracing._get_provider.cache_clear()
    found.stop()


def facts(span: Any) -> dict[str, Any]:
    return {
        fact.key.removeprefix("seedance."): getattr(fact.value, fact.value.WhichOneof("value"))
        for fact in span.attributes
    }


def test_one_trace_from_the_create_to_the_webhook(
    alice: Caller, upstream: Upstream, receiver: Receiver, bucket: Any, collector: Collector, body: dict[str, Any]
) -> None:
    caller = Caller(alice.tenant)
    given = {**body, "prompt": "a secret of the caller", "webhook_url": receiver.url.replace("http:", "https:")}
    made = caller.http.post("/v1/generations", given, format="json", HTTP_TRACEPARENT=CALLERS)
    assert made.status_code == 202, made.content
    g = Generation.objects.get()
    assert until(g, "running").upstream_id
    assert until(g, "running")  # a look that finds it rendering
    upstream.video(mp4())
    until(g, "succeeded")
    Delivery.objects.update(url=receiver.url)
    attempt_all()
    spans = collector.seen()
    assert {name: len(found) for name, found in spans.items()} == {
        **dict.fromkeys(("call", "create", "submit", "poll", "copy", "webhook"), 1)
    }
    by_name = {name: found[0] for name, found in spans.items()}
    assert {span.trace_id.hex() for span in by_name.values()} == {CALLERS.split("-")[1]}
    assert by_name["call"].parent_span_id.hex() == CALLERS.split("-")[2]
    assert by_name["create"].parent_span_id == by_name["call"].span_id
    for name in ("submit", "poll", "copy", "webhook"):
        assert by_name[name].parent_span_id == by_name["create"].span_id, name
        assert facts(by_name[name])["generation"] == made.json()["id"]
    assert facts(by_name["submit"])["outcome"] == "created"
    assert facts(by_name["webhook"])["outcome"] == "delivered"
    assert facts(by_name["call"])["status"] == 202
    assert collector.services == {"seedance-service"}
    assert "secret of the caller" not in str(spans)
    assert caller.key_text not in str(spans)


@pytest.mark.parametrize("given", ["", "nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "ff-x", "é"])
def test_a_callers_trace_that_is_none_begins_a_new_one(
    alice: Caller, upstream: Upstream, bucket: Any, collector: Collector, body: dict[str, Any], given: str
) -> None:
    alice.http.post("/v1/generations", body, format="json", HTTP_TRACEPARENT=given)
    [call] = collector.seen()["call"]
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
    settings.TRACES = True  # or what was seen would not be flushed
    [call] = collector.seen()["call"]
    route = {"/v1/nothing": "", "/v1/generations/x": "v1/generations/<str:generation_id>"}.get(path, path.lstrip("/"))
    told = {"method": "GET", "route": route, "status": answers[0].status_code, "request_id": "tests"}
    assert facts(call) == told


def test_what_goes_wrong_is_told_by_its_name_alone(collector: Collector) -> None:
    with pytest.raises(ValueError), tracing.start_span("copy"):
        raise ValueError("https://bucket.example/?X-Amz-Signature=abc")
    [span] = collector.seen()["copy"]
    assert span.status.message == "ValueError"
    assert "Signature" not in str(span)


def test_without_an_endpoint_nothing_is_kept_nor_loaded(alice: Caller, bucket: Any, body: dict[str, Any]) -> None:
    alice.http.post("/v1/generations", body, format="json", HTTP_TRACEPARENT=CALLERS)
    assert Generation.objects.get().traceparent == ""
    code = "import django; django.setup(); import sys; from generations.telemetry import tracing\n"
    code += "with tracing.start_span('x') as span: span.set_attributes(a=1)\ntracing.flush()\n"
    code += "assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "seedance_service.settings"}
    subprocess.run([sys.executable, "-c", code], env=env, check=True, timeout=60)
