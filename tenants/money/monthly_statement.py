"""A tenant's bill for one month: what was bought, by day, key and item, from the ledger alone.

A generation is on the bill of the month that admitted it, whose budget the hold charged. The bill shows open holds
beside the total, and is final once there are none.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db.models import Count, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import TruncDate

from tenants import amounts
from tenants.models import LedgerEntry, Tenant

Entry = LedgerEntry.Kind
COLUMNS = ["day", "key", "label", "item", "unit_usd", "generations", "seconds", "usd"]


@dataclass(frozen=True)
class Statement:
    """The bill of one month."""

    tenant: Tenant
    month: date  # the first day
    rows: list[dict[str, Any]]  # each with COLUMNS
    captured_micro: int
    adjusted_micro: int
    held_micro: int
    held: int  # generations that have not ended

    @property
    def total_micro(self) -> int:
        """The amount to pay in micro-USD, without open holds."""
        return self.captured_micro + self.adjusted_micro


def build(tenant: Tenant, month: date) -> Statement:
    """Return the bill of the month in which the day `month` lies, by the tenant's calendar of that time."""
    first = month.replace(day=1)
    entries = LedgerEntry.objects.filter(tenant=tenant, test=False, month=first)
    purchases = _purchases(entries.filter(kind=Entry.HOLD), tenant)
    # Usage that was carried over to another time zone has no amount, and no place on a bill.
    adjustments = list(entries.filter(kind=Entry.ADJUST).exclude(amount_micro=0).order_by("pk"))
    captured = [row for row in purchases if row["end"] == Entry.CAPTURE]
    held = [row for row in purchases if row["end"] is None]
    return Statement(
        tenant=tenant,
        month=first,
        rows=[*map(_purchase_row, captured), *_adjustment_rows(adjustments, tenant)],
        captured_micro=sum(row["micro"] for row in captured),
        adjusted_micro=sum(entry.amount_micro for entry in adjustments),
        held_micro=sum(row["micro"] for row in held),
        held=sum(row["generations"] for row in held),
    )


def _purchases(holds: QuerySet[LedgerEntry], tenant: Tenant) -> list[dict[str, Any]]:
    """Return the sums of the holds by day, key, item, price and end: capture, release, or None for an open hold."""
    ends = LedgerEntry.objects.filter(generation_id=OuterRef("generation_id"), kind__in=[Entry.CAPTURE, Entry.RELEASE])
    rows = holds.annotate(end=Subquery(ends.values("kind")[:1]), day=TruncDate("at", tzinfo=tenant.zone))
    grouped = rows.values("day", "api_key__prefix", "api_key__label", "item", "amount_micro", "end")
    sums = grouped.annotate(generations=Count("pk"), video=Sum("seconds"), micro=Sum("amount_micro"))
    return [dict(row) for row in sums.order_by("day", "api_key__prefix", "item", "amount_micro")]


def _purchase_row(row: dict[str, Any]) -> dict[str, Any]:
    """Return a sum of holds with the bill's COLUMNS."""
    return {
        "day": row["day"].isoformat(),
        "key": row["api_key__prefix"] or "",
        "label": row["api_key__label"] or "",
        "item": row["item"],
        "unit_usd": amounts.format_usd(row["amount_micro"]),
        "generations": row["generations"],
        "seconds": row["video"],
        "usd": amounts.format_usd(row["micro"]),
    }


def _adjustment_rows(entries: list[LedgerEntry], tenant: Tenant) -> Iterator[dict[str, Any]]:
    """Yield each adjustment with the bill's COLUMNS."""
    for entry in entries:
        day, amount = entry.at.astimezone(tenant.zone).date().isoformat(), amounts.format_usd(entry.amount_micro)
        empty = {"key": "", "label": "", "generations": 0, "seconds": 0}
        yield {**empty, "day": day, "item": f"adjustment: {entry.reason}", "unit_usd": amount, "usd": amount}
