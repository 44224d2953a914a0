"""Prometheus metrics that are read from the database at each scrape. Every process and host reports the same values.

What a host's processes count themselves is in `generations/telemetry/metrics.py`.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db.models import Q
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from generations.bucket import undeleted
from generations.catalog import states, video_models
from generations.models import ManualPause, PollPause, Worker
from generations.reports import backlog, bill_comparison
from generations.upstream import accounts, circuit_breaker, manual_pauses, routes
from tenants.amounts import MICRO_PER_USD
from tenants.db import clock

WORKER_HOST_EXPIRES = timedelta(days=1)  # a host that is silent for so long was removed, and must raise no alarm


def collect() -> Iterator[Metric]:
    """Read the database and yield its metrics."""
    now = backlog.read()
    live = GaugeMetricFamily("seedance_generations_live", "Generations in progress.", labels=["status"])
    for status, count in now.live.items():
        live.add_metric([status], count)
    yield live
    yield GaugeMetricFamily("seedance_generations_due", "Generations that are due now.", now.due)
    yield GaugeMetricFamily("seedance_generations_stalled", "Rendering for over an hour.", now.stalled)
    yield GaugeMetricFamily("seedance_generations_uncopied", "Rendered, but the copy is retrying.", now.copy_retrying)
    waiting = "Rendered, and no thread is free for the copy."
    yield GaugeMetricFamily("seedance_generations_waiting_for_copy", waiting, now.copy_waiting)
    yield GaugeMetricFamily("seedance_oldest_due_seconds", "Longest wait of a due row.", now.oldest_due_seconds)
    stays = undeleted.summarize().count
    yield GaugeMetricFamily("seedance_undeleted_objects", "Objects that S3 has refused or failed to delete.", stays)
    paused = set(circuit_breaker.find_holding())
    yield _collect_pauses(paused)
    yield _collect_waiting_models(paused)
    yield _collect_poll_pauses()
    by_hand = ManualPause.objects.exclude(actor=manual_pauses.SERVICE).count()
    yield GaugeMetricFamily("seedance_manual_pauses", "Pauses of submits that operators ordered.", by_hand)
    yield from _collect_models()
    yield from _collect_books()
    yield from _collect_workers(now.at)


def _collect_pauses(names: set[str]) -> Metric:
    """Return a gauge that is 1 for each account whose open circuit breaker holds work back, else 0."""
    paused = GaugeMetricFamily("seedance_submits_paused", "1 while submits wait for the upstream.", labels=["upstream"])
    _add_pauses(paused, names)
    return paused


def _collect_poll_pauses() -> Metric:
    """Return a gauge that is 1 for each upstream that refuses polls, else 0."""
    paused = GaugeMetricFamily("seedance_polls_paused", "1 while the upstream refuses polls.", labels=["upstream"])
    rows = set(PollPause.objects.filter(until__gt=clock.now()).values_list("upstream", flat=True))
    _add_pauses(paused, rows)
    return paused


def _add_pauses(paused: GaugeMetricFamily, names: set[str]) -> None:
    """Add 1 or 0 for each account, and for "live", which is 1 if any account but the sandbox is paused."""
    for name in accounts.names():
        paused.add_metric([name], float(name in names))
    paused.add_metric([manual_pauses.LIVE], float(any(accounts.is_live(name) for name in names)))


def _collect_waiting_models(paused: set[str]) -> Metric:
    """Return a gauge that is 1 for each model whose every account is paused, or has its route gone."""
    waiting = GaugeMetricFamily(
        "seedance_model_submits_waiting",
        "1 while no account of the model takes submits: each is paused, or its route is gone.",
        labels=["model"],
    )
    gone = {pause.target for pause in routes.find_gone()}
    for model in video_models.models().values():
        names = {offer.account for offer in accounts.usable_offers(model, test=False)}
        closed = {name for name in names if name in paused or manual_pauses.model_at(model.id, name) in gone}
        if names and names == closed and not states.of(model).is_retired:
            waiting.add_metric([model.id], 1)
    return waiting


def _collect_models() -> Iterator[Metric]:
    """Yield the days until each model retires, where the day is known, and the models whose route is gone."""
    ends = GaugeMetricFamily(
        "seedance_model_retires_in_days", "Days until the model is retired, if the day is known.", labels=["model"]
    )
    for model in video_models.models().values():
        if (days := states.days_left(states.of(model))) is not None:
            ends.add_metric([model.id], days)
    gone = GaugeMetricFamily(
        "seedance_model_routes_gone", "1 while submits of a model wait because its route is gone.", labels=["model"]
    )
    for name in sorted({routes.model_of(pause) for pause in routes.find_gone()}):
        gone.add_metric([name], 1)
    yield ends
    yield gone


def _collect_books() -> Iterator[Metric]:
    """Yield the balance of each account that shows it, for how long it lasts, and how bills and ledger compare."""
    balance = GaugeMetricFamily("seedance_balance_usd", "Money left at the upstream.", labels=["upstream"])
    left = GaugeMetricFamily(
        "seedance_balance_days_left", "Days that it lasts at the mean spend of seven days.", labels=["upstream"]
    )
    difference = GaugeMetricFamily(
        "seedance_bill_difference_usd",
        "By how much the upstream's bills of the last 24 hours that were read differ from the ledger.",
        labels=["upstream"],
    )
    age = GaugeMetricFamily("seedance_bills_read_age_seconds", "Time since bills were last read.", labels=["upstream"])
    for books in bill_comparison.read_books():
        if books.available_micro is not None:
            balance.add_metric([books.pk], books.available_micro / MICRO_PER_USD)
        if (days := books.days_left) is not None:
            left.add_metric([books.pk], days)
        if books.bills_at:
            difference.add_metric([books.pk], books.difference_micro / MICRO_PER_USD)
            age.add_metric([books.pk], (clock.now() - books.bills_at).total_seconds())
    yield from (balance, left, difference, age)


def _collect_workers(now: datetime) -> Iterator[Metric]:
    """Yield the restarts and the age of the heartbeat of each worker host that was active within a day."""
    restarts = CounterMetricFamily(
        "seedance_worker_restarts", "Restarts of the worker by its supervisor.", labels=["host"]
    )
    heartbeats = GaugeMetricFamily(
        "seedance_worker_heartbeat_age_seconds",
        "Time since a worker run of the host last read the due rows.",
        labels=["host"],
    )
    since = now - WORKER_HOST_EXPIRES
    for worker in Worker.objects.filter(Q(started_at__gte=since) | Q(heartbeat_at__gte=since)).order_by("host"):
        restarts.add_metric([worker.host], worker.restarts)
        if worker.heartbeat_at:
            heartbeats.add_metric([worker.host], (now - worker.heartbeat_at).total_seconds())
    yield restarts
    yield heartbeats
