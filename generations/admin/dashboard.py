"""The panel's first page: whether the service is well, at a glance. Its numbers are a score of queries at most, however
many generations there are: what is live, the hours that were counted, and what came since.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils import timezone

from generations.admin.generation_page import span
from generations.models import Delivery, Pause, StorageUse, WebhookEndpoint, Worker
from generations.reports import backlog, hourly_statistics, worker_hosts
from generations.reports.hourly_statistics import Counts, Hour
from tenants.admin import usage_bars
from tenants.admin.charts import Chart
from tenants.limits.windows import Kind
from tenants.models import Tenant

admin.site.index_template = "generations/dashboard.html"

HOUR, DAY, MONTH = timedelta(hours=1), timedelta(days=1), timedelta(days=30)
LATE, TOO_LATE = 60.0, 300.0  # seconds that a due row may wait
MOST_TENANTS, SHOWN_TENANTS = 1000, 12
COLOURS = {"accepted": "#3b82f6", "succeeded": "#16a34a", "failed": "#dc2626", "cancelled": "#9ca3af"}
COLOURS |= {"p50": "#3b82f6", "p95": "#ea580c"}


@dataclass(frozen=True)
class Tile:
    name: str
    figure: Any
    note: str = ""
    level: str = ""  # good, warn or bad
    url: str = ""


def callback(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """unfold's DASHBOARD_CALLBACK: each role is shown its part."""
    now = timezone.now()
    context.update(title="Dashboard", as_of=now)
    if request.user.has_perm("generations.view_generation"):
        hours = hourly_statistics.read_hours(now - MONTH, now)
        context.update(tiles=work_tiles(now), periods=periods(hours, now), charts=charts(hours))
    if request.user.has_perm("tenants.view_tenant"):
        context.update(spending=spending(now))
    return context


def work_tiles(now: datetime) -> list[Tile]:
    present = backlog.read()
    states = ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in present.live.items() if count)
    return [
        *upstream_tiles(now),
        worker_tile(now),
        Tile("Not ended", present.total, states, url=_listed(attention="live")),
        Tile("Queue depth", present.due, "rows that are due now", url=_listed(attention="due")),
        Tile("Oldest due row", span(timedelta(seconds=present.oldest_due_seconds)), "has waited", _lateness(present)),
        _trouble("In doubt", present.in_doubt, "paid for or not: to be resolved", status__exact="in_doubt"),
        _trouble("Stalled", present.stalled, "rendered for over an hour", attention="stalled"),
        _trouble("Uncopied", present.copy_retrying, "rendered, and not stored yet", attention="uncopied"),
        webhook_tile(now),
        storage_tile(),
    ]


def upstream_tiles(now: datetime) -> list[Tile]:
    """With the upstream's words, where it is paused."""
    url = reverse("admin:generations_pause_changelist")
    paused = {pause.upstream: pause for pause in Pause.objects.all()}
    found = [
        Tile(
            f"Upstream {name}",
            f"paused {span(now - pause.since)}",
            pause.reason,
            "bad" if name == "live" else "warn",
            url,
        )
        for name, pause in sorted(paused.items())
    ]
    return found if "live" in paused else [Tile("Upstream", "open", "submits go out", "good", url), *found]


def worker_tile(now: datetime) -> Tile:
    """The host that looked last, and those that fell silent within a day: later they are thought to be gone."""
    beats = {worker.host: worker.heartbeat_at for worker in Worker.objects.all() if worker.heartbeat_at}
    url = reverse("admin:generations_worker_changelist")
    if not beats:
        return Tile("Worker", "none", "no worker has ever looked", "bad", url)
    age = now - max(beats.values())
    silent = sorted(host for host, at in beats.items() if worker_hosts.SILENT_AFTER < now - at < DAY)
    note = f"{', '.join(silent)} fell silent" if silent else "since one looked"
    return Tile(
        "Worker", span(age), note, "bad" if age > worker_hosts.SILENT_AFTER else "warn" if silent else "good", url
    )


def webhook_tile(now: datetime) -> Tile:
    failing = WebhookEndpoint.objects.filter(deleted_at=None, failing_since__isnull=False, disabled_at=None).count()
    late = Delivery.objects.filter(due_at__lt=now - timedelta(minutes=1)).count()
    note = f"{late} deliver{'y is' if late == 1 else 'ies are'} late"
    url = reverse("admin:generations_webhookendpoint_changelist")
    return Tile("Failing endpoints", failing, note, "warn" if failing or late else "", url)


def storage_tile() -> Tile:
    use = StorageUse.objects.first()
    if use is None:
        return Tile("Storage used", "-", "not counted yet")
    parts = f"videos {filesizeformat(use.videos)}, pictures {filesizeformat(use.images)}, at {use.at:%H:%M} UTC"
    return Tile("Storage used", filesizeformat(use.videos + use.images), parts)


def periods(hours: Sequence[Hour], now: datetime) -> list[tuple[str, Counts]]:
    """What was accepted, and what ended, in the last hour, day and month."""
    last = hourly_statistics.total(
        counts for (_, test), counts in hourly_statistics.count_hours(now - HOUR, now).items() if not test
    )
    day = hourly_statistics.total(hour.counts for hour in hours if hour.at > now - DAY - HOUR)
    return [
        ("Last hour", last),
        ("Last 24 hours", day),
        ("Last 30 days", hourly_statistics.total(hour.counts for hour in hours)),
    ]


def charts(hours: Sequence[Hour]) -> list[Chart]:
    lately, days = hours[-48:], hourly_statistics.group_by_day(hours)
    at = [f"{hour.at:%d %H:00}" for hour in lately]
    ended = {name: [getattr(hour.counts, name) for hour in lately] for name in ("succeeded", "failed", "cancelled")}
    daily = {name: [getattr(counts, name) for counts in days.values()] for name in ("accepted", "succeeded", "failed")}
    shares = {"p50": 0.5, "p95": 0.95}
    took = {name: [_rounded(hour.counts.duration_percentile(shares[name])) for hour in lately] for name in shares}
    return [
        Chart("ended", "Ended in each hour, UTC", "bar", at, _coloured(ended), stacked=True),
        Chart("took", "Seconds from accept to video, by hour", "line", at, _coloured(took)),
        Chart("days", "Each day, UTC", "bar", [f"{day:%m-%d}" for day in days], _coloured(daily)),
    ]


def spending(now: datetime) -> list[tuple[Tenant, usage_bars.Bar]]:
    """Of this month, by who spent most."""
    tenants = list(Tenant.objects.order_by("name")[:MOST_TENANTS])
    found = usage_bars.of_page(tenants, now)
    spent = [(tenant, found[tenant.pk][Kind.USD_PER_MONTH]) for tenant in tenants]
    return sorted(spent, key=lambda row: (-row[1].percent, -row[1].usage.used, row[0].name))[:SHOWN_TENANTS]


def _trouble(name: str, count: int, note: str, **query: str) -> Tile:
    return Tile(name, count, note, "warn" if count else "", _listed(mode="all", **query))


def _lateness(present: backlog.Backlog) -> str:
    if present.oldest_due_seconds > TOO_LATE:
        return "bad"
    return "warn" if present.oldest_due_seconds > LATE else ""


def _listed(**query: str) -> str:
    return reverse("admin:generations_generation_changelist", query=query)


def _coloured(lines: Mapping[str, Sequence[float | None]]) -> dict[str, tuple[str, Sequence[float | None]]]:
    return {name: (COLOURS[name], values) for name, values in lines.items()}


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
