"""The tiles of the dashboard: whether the service works, and what waits for an operator."""

from datetime import datetime, timedelta

from django.template.defaultfilters import filesizeformat
from django.urls import reverse

from generations.admin import model_entries, money_tiles, submit_pauses
from generations.admin.generation_page import format_span
from generations.admin.tile import MAX_NAMED, Tile, list_url, problem_tile
from generations.bucket import undeleted
from generations.catalog import states
from generations.models import (
    Delivery,
    Generation,
    ManualPause,
    StorageUse,
    WebhookEndpoint,
    Worker,
)
from generations.reports import backlog, worker_hosts
from generations.upstream import accounts, circuit_breaker, poll_pauses, routes
from tenants import times

DAY = timedelta(days=1)
WARN_WAIT_SECONDS, BAD_WAIT_SECONDS = 60.0, 300.0  # of the longest wait of a due row; the alerts use the same
URGENCY = {"bad": 0, "warn": 1}  # the place of each level; all others come after them


def read(now: datetime) -> list[Tile]:
    """Return the tiles about the upstream, the workers, generations in progress, webhooks and storage.

    Those that need attention come first.
    """
    current = backlog.read()
    counts = ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in current.live.items() if count)
    longest_wait = format_span(timedelta(seconds=current.oldest_due_seconds))
    tiles = [
        *manual_pause_tiles(now),
        *model_tiles(),
        *upstream_tiles(now),
        worker_tile(now),
        Tile("In progress", current.total, counts or "generations", url=list_url(attention="live")),
        Tile("Due now", current.due, "generations whose next step is due", url=list_url(attention="due")),
        Tile("Longest wait", longest_wait, "of a due generation", _wait_level(current)),
        problem_tile("In doubt", current.in_doubt, "unknown whether paid for", status__exact="in_doubt"),
        problem_tile("Stalled", current.stalled, "rendering for over an hour", attention="stalled"),
        problem_tile("Copy waiting", current.copy_waiting, "rendered, no thread is free", attention="copy-waiting"),
        problem_tile("Copy retrying", current.copy_retrying, "rendered, not stored yet", attention="uncopied"),
        *money_tiles.limit_tiles(now),
        *money_tiles.books_tiles(),
        differences_tile(now),
        *money_tiles.charged_above_tiles(now),
        webhook_tile(now),
        storage_tile(),
        *undeleted_tiles(),
    ]
    return sorted(tiles, key=lambda tile: URGENCY.get(tile.level, len(URGENCY)))


def verdict(tiles: list[Tile]) -> Tile:
    """Return in one sentence whether the service works: the level is that of the most urgent tile."""
    bad, warn = ([tile.name for tile in tiles if tile.level == level] for level in ("bad", "warn"))
    if bad:
        return Tile("Not working as it should", len(bad), ", ".join(bad), "bad")
    if warn:
        return Tile("Working, needs attention", len(warn), ", ".join(warn), "warn")
    return Tile("Working", "", "nothing needs attention", "good")


def manual_pause_tiles(now: datetime) -> list[Tile]:
    """Return a red tile for each pause of submits, with who ordered it, and why. The service orders those of routes."""
    return [
        Tile(
            f"Paused: {submit_pauses.name_of(pause)}",
            f"paused {format_span(now - pause.since)}",
            f"{pause.actor}: {pause.reason}",
            "bad",
            model_entries.page_url(routes.model_of(pause)) if routes.is_gone(pause) else submit_pauses.pauses_url(),
        )
        for pause in ManualPause.objects.order_by("since")
    ]


def model_tiles() -> list[Tile]:
    """Return a yellow tile for each model that ends soon, with the model that takes its place."""
    return [
        Tile(
            f"Retires: {model}",
            f"{days} d",
            f"replaced by {states.of(model).replacement or 'no other model'}",
            "warn",
            model_entries.page_url(model.id),
        )
        for model, days in states.ending_soon()
    ]


def upstream_tiles(now: datetime) -> list[Tile]:
    """Return a tile for each live account that is configured, and one for each account whose polls are refused.

    A paused account has the upstream's message. It is red if no other account takes submits, else yellow.
    """
    url = reverse("admin:generations_pause_changelist")
    pauses = circuit_breaker.find_holding()
    live = {account.name for account in accounts.load() if account.is_configured and accounts.is_live(account.name)}
    is_any_taking = bool(live - set(pauses))
    tiles = [Tile(f"Upstream {name}", "OK", "submits go out", "good", url) for name in sorted(live - set(pauses))]
    tiles += [
        Tile(
            f"Upstream {name}",
            f"paused {format_span(now - pause.since)}",
            pause.reason,
            "bad" if accounts.is_live(name) and not is_any_taking else "warn",
            url,
        )
        for name, pause in sorted(pauses.items())
    ]
    tiles += [
        Tile(
            f"Polls {pause.upstream}", "slow", pause.reason, "bad" if accounts.is_live(pause.upstream) else "warn", url
        )
        for pause in poll_pauses.find_active()
    ]
    return tiles if live else [Tile("Upstream", "none", "no account has a key", "bad", url), *tiles]


def worker_tile(now: datetime) -> Tile:
    """Return a tile with the age of the latest heartbeat and the hosts whose heartbeats stopped.

    A host without a heartbeat for more than a day is taken to be removed.
    """
    heartbeats = {worker.host: worker.heartbeat_at for worker in Worker.objects.all() if worker.heartbeat_at}
    url = reverse("admin:generations_worker_changelist")
    if not heartbeats:
        return Tile("Worker", "none", "no heartbeat yet", "bad", url)
    age = now - max(heartbeats.values())
    silent = sorted(host for host, at in heartbeats.items() if worker_hosts.SILENT_AFTER < now - at < DAY)
    note = f"{', '.join(silent)}: no heartbeat" if silent else "since the last heartbeat"
    level = "bad" if age > worker_hosts.SILENT_AFTER else "warn" if silent else "good"
    return Tile("Worker", format_span(age), note, level, url)


def differences_tile(now: datetime) -> Tile:
    """Return a tile with the number of videos of the last day that are not as requested."""
    rows = Generation.objects.filter(video_as_requested=False, finished_at__gte=now - DAY)
    return problem_tile("Not as requested", rows.count(), "videos of the last 24 hours", attention="differs")


def webhook_tile(now: datetime) -> Tile:
    """Return a tile with the number of failing endpoints, the tenants of some, and the number of late deliveries."""
    failing = WebhookEndpoint.objects.filter(deleted_at=None, failing_since__isnull=False, disabled_at=None)
    count, tenants = failing.count(), failing.order_by("failing_since").values_list("tenant__name", flat=True)
    late = Delivery.objects.filter(due_at__lt=now - timedelta(minutes=1)).count()
    names = ", ".join(dict.fromkeys(tenants[:MAX_NAMED]))
    note = f"{names and f'{names}; '}{late} late deliver{'y' if late == 1 else 'ies'}"
    url = reverse("admin:generations_webhookendpoint_changelist")
    return Tile("Failing endpoints", count, note, "warn" if count or late else "", url)


def storage_tile() -> Tile:
    """Return a tile with the size of the stored videos and input images."""
    use = StorageUse.objects.first()
    if use is None:
        return Tile("Storage used", "-", "not measured yet")
    parts = f"videos {filesizeformat(use.videos)}, images {filesizeformat(use.images)}, at {use.at:%H:%M} UTC"
    return Tile("Storage used", filesizeformat(use.videos + use.images), parts)


def undeleted_tiles() -> list[Tile]:
    """Return a tile about objects that should be gone from the bucket and are not, or none."""
    stays = undeleted.summarize()
    if not stays.count or not stays.since:
        return []
    note = f"objects, the first since {times.readable(stays.since)} UTC: {', '.join(stays.reasons)}"
    return [Tile("Not deleted from S3", stays.count, note, "warn")]


def _wait_level(current: backlog.Backlog) -> str:
    if current.oldest_due_seconds > BAD_WAIT_SECONDS:
        return "bad"
    return "warn" if current.oldest_due_seconds > WARN_WAIT_SECONDS else ""
