"""The text that Prometheus scrapes, who may read it, and a server for hosts without a web process."""

import hmac
from collections.abc import Callable, Iterator
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from django.conf import settings
from django.db import connection
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, ThreadingWSGIServer
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from generations.reports import database_metrics
from generations.telemetry import metric_files

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


class HostCollector(Collector):
    """Collect the metrics of all processes of this host, also of ended ones, and those of the database."""

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        yield from metric_files.read()
        yield from database_metrics.collect()


def render() -> bytes:
    """Render all metrics of this host as Prometheus text."""
    return generate_latest(HostCollector())


def is_authorized(authorization: str) -> bool:
    """Return whether the Authorization header holds METRICS_TOKEN as a bearer token; False if the setting is empty."""
    token = authorization.removeprefix("Bearer ").encode()
    return bool(settings.METRICS_TOKEN) and hmac.compare_digest(token, settings.METRICS_TOKEN.encode())


class SilentRequestHandler(WSGIRequestHandler):
    """A request handler that logs no scrape."""

    def log_message(self, *args: Any) -> None:
        """Log nothing."""


def serve() -> None:
    """Serve /metrics on METRICS_PORT by a daemon thread, for hosts that have no web process."""
    server = make_server(
        settings.METRICS_HOST, settings.METRICS_PORT, _application, ThreadingWSGIServer, SilentRequestHandler
    )
    Thread(target=server.serve_forever, name="metrics", daemon=True).start()


def _application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Answer a scrape: 404 at another path, 401 without the token if METRICS_TOKEN is set."""
    if environ["PATH_INFO"] != "/metrics":
        start_response("404 Not Found", [])
        return []
    if settings.METRICS_TOKEN and not is_authorized(environ.get("HTTP_AUTHORIZATION", "")):
        start_response("401 Unauthorized", [("WWW-Authenticate", "Bearer")])
        return []
    try:
        text = render()
    finally:
        connection.close()  # each request has a thread of its own, and the connection would stay open
    start_response("200 OK", [("Content-Type", CONTENT_TYPE)])
    return [text]
