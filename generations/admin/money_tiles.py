"""The tiles of the dashboard that are about money: limits, the upstream's books, and charges above a hold."""

from datetime import datetime, timedelta

from django.db.models import F
from django.urls import reverse

from generations.admin.spending import NEARLY_PERCENT
from generations.admin.tile import MAX_NAMED, Tile, problem_tile
from generations.models import Generation, LimitWarning
from generations.ops import upstream_books
from generations.reports import bill_comparison
from tenants import amounts

DAY = timedelta(days=1)
WARN_DAYS, BAD_DAYS = 7, 2  # that a balance lasts; the alert uses the second


def limit_tiles(now: datetime) -> list[Tile]:
    """Return a tile with the number of limits of which NEARLY_PERCENT are used in windows of now, or none.

    It is red if a limit is used up.
    """
    rows = LimitWarning.objects.filter(ends_at__gt=now, percent__gte=NEARLY_PERCENT)
    limits = set(rows.values_list("tenant__name", "api_key", "kind"))
    if not limits:
        return []
    full = rows.filter(percent=100).exists()
    note = ", ".join(sorted({tenant for tenant, _, _ in limits})[:MAX_NAMED])
    url = reverse("admin:generations_limitwarning_changelist")
    return [Tile("Limits nearly used up", len(limits), note, "bad" if full else "warn", url)]


def books_tiles() -> list[Tile]:
    """Return a tile with the balance of each account that shows it, and one for bills that differ from the ledger."""
    url = reverse("admin:generations_upstreambill_comparison")
    tiles = []
    for books in bill_comparison.read_books():
        if books.available_micro is not None:
            left = books.days_left
            level = "bad" if left is not None and left < BAD_DAYS else "warn" if left and left < WARN_DAYS else ""
            level = "bad" if books.available_micro <= 0 else level
            spend = f"at {amounts.format_short(books.daily_micro or 0)} USD a day"
            note = "nothing is spent" if left is None else f"USD, {left:.1f} days left {spend}"
            tiles.append(Tile(f"Balance {books.pk}", amounts.format_short(books.available_micro), note, level, url))
        if upstream_books.is_unread(books):
            tiles.append(Tile(f"Books of {books.pk}", "not read", books.error, "warn", url))
        if upstream_books.is_lasting(books):
            figure = amounts.format_short(books.difference_micro)
            note = "USD differ between the bills of 24 hours and the ledger"
            tiles.append(Tile(f"Bills {books.pk}", figure, note, "warn", url))
    return tiles


def charged_above_tiles(now: datetime) -> list[Tile]:
    """Return a tile with the number of videos of the last day that cost more than was held, or none."""
    count = Generation.objects.filter(charged_micro__gt=F("price_micro"), finished_at__gte=now - DAY).count()
    note = "videos of the last 24 hours cost more than was held"
    return [problem_tile("Charged above hold", count, note, attention="charged-above")] if count else []
