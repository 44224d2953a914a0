"""The text that Prometheus reads: what the host's processes have counted, and how the work stands by the database,
which each process and each host tells alike.
"""

import hmac
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from django.conf import settings
from django.db import connection
from django.db.models import Q
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, ThreadingWSGIServer
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from generations.models import Pause, Worker
from generations.reports import backlog
from generations.telemetry import metric_files

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
FORGOTTEN = timedelta(days=1)  # after which a silent worker host is thought to be gone


def text() -> bytes:
    return generate_latest(Everything())


def is_allowed(authorization: str) -> bool:
    """Whether that header shows METRICS_TOKEN as a bearer token."""
    given = authorization.removeprefix("Bearer ").encode()
    return bool(settings.METRICS_TOKEN) and hmac.compare_digest(given, settings.METRICS_TOKEN.encode())


class Everything(Collector):
    """What all processes of this host have counted, those that are gone too, and what the database says now."""

    def collect(self) -> Iterator[Metric]:
        yield from metric_files.read()
        now = backlog.now()
        states = GaugeMetricFamily("seedance_generations_live", "Generations that have not ended.", labels=["status"])
        for status, rows in now.live.items():
            states.add_metric([status], rows)
        yield states
        yield GaugeMetricFamily("seedance_generations_due", "Generations that are due now: the queue's depth.", now.due)
        yield GaugeMetricFamily("seedance_generations_stalled", "Rendered for over an hour.", now.stalled)
        yield GaugeMetricFamily("seedance_generations_uncopied", "Rendered, and not stored yet.", now.uncopied)
        waited = now.oldest_due_seconds
        yield GaugeMetricFamily("seedance_oldest_due_seconds", "How long the oldest due row has waited.", waited)
        yield _paused()
        yield from _workers(now.at)


def _paused() -> Metric:
    paused = GaugeMetricFamily("seedance_submits_paused", "1 while submits wait for the upstream.", labels=["upstream"])
    known = set(Pause.objects.values_list("upstream", flat=True))
    for upstream in ("live", "sandbox"):
        paused.add_metric([upstream], float(upstream in known))
    return paused


def _workers(now: datetime) -> Iterator[Metric]:
    restarts = CounterMetricFamily(
        "seedance_worker_restarts", "Clusters that their supervisor had to start again.", labels=["host"]
    )
    beats = GaugeMetricFamily(
        "seedance_worker_heartbeat_age_seconds",
        "Since a sweep of the host last looked at the due rows.",
        labels=["host"],
    )
    since = now - FORGOTTEN  # a host that is gone is no alarm for ever
    for worker in Worker.objects.filter(Q(started_at__gte=since) | Q(heartbeat_at__gte=since)).order_by("host"):
        restarts.add_metric([worker.host], worker.restarts)
        if worker.heartbeat_at:
            beats.add_metric([worker.host], (now - worker.heartbeat_at).total_seconds())
    yield restarts
    yield beats


class Quiet(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        """A scrape is no event."""


def serve() -> None:
    """For a host that has no web process: METRICS_PORT, by a thread of its own, while the process lives."""
    server = make_server(settings.METRICS_HOST, settings.METRICS_PORT, _application, ThreadingWSGIServer, Quiet)
    Thread(target=server.serve_forever, name="metrics", daemon=True).start()


def _application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    if environ["PATH_INFO"] != "/metrics":
        start_response("404 Not Found", [])
        return []
    if settings.METRICS_TOKEN and not is_allowed(environ.get("HTTP_AUTHORIZATION", "")):
        start_response("401 Unauthorized", [("WWW-Authenticate", "Bearer")])
        return []
    try:
        told = text()
    finally:
        connection.close()  # this request's thread had it for itself
    start_response("200 OK", [("Content-Type", CONTENT_TYPE)])
    return [told]
