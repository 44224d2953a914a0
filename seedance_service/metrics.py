"""`/metrics` for Prometheus: how the queue and the workers stand. Every number is the database's, so each process and
each host answers alike, and none is lost with a process.
"""

import hmac
from collections.abc import Iterator
from datetime import timedelta

from django.conf import settings
from django.db.models import Count, Min, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from generations.models import Generation, Pause, Worker

FORGOTTEN = timedelta(days=1)  # after which a silent worker host is thought to be gone


def view(request: HttpRequest) -> HttpResponse:
    """The text format, for who shows METRICS_TOKEN as a bearer token; without that setting there is no such page."""
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if not settings.METRICS_TOKEN or not hmac.compare_digest(given.encode(), settings.METRICS_TOKEN.encode()):
        raise Http404
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Standing())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)


class Standing:
    """Read anew at each scrape."""

    def collect(self) -> Iterator[Metric]:
        now = timezone.now()
        live = Generation.objects.filter(due_at__isnull=False)  # as the schema has it, and by an index
        counts = dict(live.order_by().values_list("status").annotate(Count("pk")))
        states = GaugeMetricFamily("seedance_generations_live", "Generations that have not ended.", labels=["status"])
        for status in Generation.LIVE:
            states.add_metric([status], counts.get(status, 0))
        yield states
        due = Generation.objects.filter(due_at__lte=now).aggregate(oldest=Min("due_at"))["oldest"]
        overdue = (now - due).total_seconds() if due else 0.0
        yield GaugeMetricFamily("seedance_oldest_due_seconds", "How long the oldest due row has waited.", overdue)
        paused = GaugeMetricFamily(
            "seedance_submits_paused", "1 while submits wait for the upstream.", labels=["upstream"]
        )
        known = set(Pause.objects.values_list("upstream", flat=True))
        for upstream in ("live", "sandbox"):
            paused.add_metric([upstream], float(upstream in known))
        yield paused
        yield from _workers(now.timestamp())


def _workers(now: float) -> Iterator[Metric]:
    restarts = CounterMetricFamily(
        "seedance_worker_restarts", "Clusters that their supervisor had to start again.", labels=["host"]
    )
    beats = GaugeMetricFamily(
        "seedance_worker_heartbeat_age_seconds",
        "Since a sweep of the host last looked at the due rows.",
        labels=["host"],
    )
    # A host that is gone is no alarm for ever.
    since = timezone.now() - FORGOTTEN
    for worker in Worker.objects.filter(Q(started_at__gte=since) | Q(beat_at__gte=since)).order_by("host"):
        restarts.add_metric([worker.host], worker.restarts)
        if worker.beat_at:
            beats.add_metric([worker.host], now - worker.beat_at.timestamp())
    yield restarts
    yield beats
