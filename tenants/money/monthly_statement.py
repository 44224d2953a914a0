"""A tenant's bill for one month: what was bought, by day, key and item, from the ledger alone.

A generation is on the bill of the month that admitted it, whose budget it was held against. What is still held then is
shown beside it: the bill is final once that is nothing.
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
    tenant: Tenant
    month: date  # its first day
    lines: list[dict[str, Any]]  # COLUMNS each
    captured_micro: int
    adjusted_micro: int
    held_micro: int
    held: int  # generations that have not ended

    @property
    def total_micro(self) -> int:
        return self.captured_micro + self.adjusted_micro


def of(tenant: Tenant, month: date) -> Statement:
    """`month` is any day of it, in the calendar that the tenant had then."""
    first = month.replace(day=1)
    entries = LedgerEntry.objects.filter(tenant=tenant, test=False, month=first)
    bought = _bought(entries.filter(kind=Entry.HOLD), tenant)
    # A carry-over to another time zone has no amount, and no place on a bill.
    adjusted = list(entries.filter(kind=Entry.ADJUST).exclude(amount_micro=0).order_by("pk"))
    captured = [row for row in bought if row["end"] == Entry.CAPTURE]
    open_ = [row for row in bought if row["end"] is None]
    return Statement(
        tenant=tenant,
        month=first,
        lines=[*map(_line, captured), *_adjustments(adjusted, tenant)],
        captured_micro=sum(row["micro"] for row in captured),
        adjusted_micro=sum(entry.amount_micro for entry in adjusted),
        held_micro=sum(row["micro"] for row in open_),
        held=sum(row["generations"] for row in open_),
    )


def _bought(holds: QuerySet[LedgerEntry], tenant: Tenant) -> list[dict[str, Any]]:
    ends = LedgerEntry.objects.filter(generation_id=OuterRef("generation_id"), kind__in=[Entry.CAPTURE, Entry.RELEASE])
    rows = holds.annotate(end=Subquery(ends.values("kind")[:1]), day=TruncDate("at", tzinfo=tenant.zone))
    grouped = rows.values("day", "api_key__prefix", "api_key__label", "item", "amount_micro", "end")
    sums = grouped.annotate(generations=Count("pk"), video=Sum("seconds"), micro=Sum("amount_micro"))
    return [dict(row) for row in sums.order_by("day", "api_key__prefix", "item", "amount_micro")]


def _line(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "day": row["day"].isoformat(),
        "key": row["api_key__prefix"] or "",
        "label": row["api_key__label"] or "",
        "item": row["item"],
        "unit_usd": amounts.usd(row["amount_micro"]),
        "generations": row["generations"],
        "seconds": row["video"],
        "usd": amounts.usd(row["micro"]),
    }


def _adjustments(entries: list[LedgerEntry], tenant: Tenant) -> Iterator[dict[str, Any]]:
    for entry in entries:
        day, amount = entry.at.astimezone(tenant.zone).date().isoformat(), amounts.usd(entry.amount_micro)
        none = {"key": "", "label": "", "generations": 0, "seconds": 0}
        yield {**none, "day": day, "item": f"adjustment: {entry.reason}", "unit_usd": amount, "usd": amount}
