"""A tenant's bill for one month: what was bought, by day, key, item and upstream account, from the ledger alone.

A generation is on the bill of the month that admitted it, whose budget the hold charged. The bill shows open holds
beside the total, and is final once there are none.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db.models import Count, F, OuterRef, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Coalesce, TruncDate

from tenants import amounts
from tenants.models import LedgerEntry, Tenant

Entry = LedgerEntry.Kind
COLUMNS = ["day", "key", "label", "item", "unit_usd", "generations", "seconds", "usd", "model", "account"]


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
    models: list[dict[str, Any]]  # what was bought of each model: model, generations, seconds, usd
    accounts: list[dict[str, Any]]  # the same for each upstream account; "" where it was not recorded

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
        models=_sums_by("model", captured),
        accounts=_sums_by("account", captured),
        captured_micro=sum(row["micro"] for row in captured),
        adjusted_micro=sum(entry.amount_micro for entry in adjustments),
        held_micro=sum(row["micro"] for row in held),
        held=sum(row["generations"] for row in held),
    )


def file_name(tenant: Tenant, month: date) -> str:
    """Return the name of the bill's CSV file, with a hyphen for each character that a file name may not have."""
    name = "".join(char if char.isalnum() or char in "-_." else "-" for char in tenant.name)
    return f"bill-{name}-{month:%Y-%m}.csv"


def _purchases(holds: QuerySet[LedgerEntry], tenant: Tenant) -> list[dict[str, Any]]:
    """Return the sums of the holds by day, key, item, account, amount and end: capture, release, or None.

    None is the end of an open hold. Amount and account are those of the capture, whose amount may be another than was
    held.
    """
    ends = LedgerEntry.objects.filter(generation_id=OuterRef("generation_id"), kind__in=[Entry.CAPTURE, Entry.RELEASE])
    rows = holds.annotate(
        end=Subquery(ends.values("kind")[:1]),
        unit=Coalesce(Subquery(ends.values("amount_micro")[:1]), F("amount_micro")),
        paid_account=Coalesce(Subquery(ends.values("account")[:1]), Value("")),
        day=TruncDate("at", tzinfo=tenant.zone),
    )
    grouped = rows.values("day", "api_key__prefix", "api_key__label", "item", "paid_account", "unit", "end")
    sums = grouped.annotate(generations=Count("pk"), video=Sum("seconds"))
    return [
        {
            **row,
            "micro": row["unit"] * row["generations"],
            "model": _model_of(row["item"]),
            "account": row["paid_account"],
        }
        for row in sums.order_by("day", "api_key__prefix", "item", "unit", "paid_account")
    ]


def _model_of(item: str) -> str:
    """Return the model's id: an item begins with it, then a space. `lifecycle` writes items, and rows hold them."""
    return item.partition(" ")[0]


def _sums_by(column: str, purchases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the captured purchases added up by model or account, in the order of the names."""
    sums: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in purchases:
        sums[row[column]] += Counter({name: row[name] for name in ("generations", "video", "micro")})
    return [
        {
            column: name,
            "generations": total["generations"],
            "seconds": total["video"],
            "usd": amounts.format_usd(total["micro"]),
        }
        for name, total in sorted(sums.items())
    ]


def _purchase_row(row: dict[str, Any]) -> dict[str, Any]:
    """Return a sum of holds with the bill's COLUMNS."""
    return {
        "day": row["day"].isoformat(),
        "key": row["api_key__prefix"] or "",
        "label": row["api_key__label"] or "",
        "item": row["item"],
        "unit_usd": amounts.format_usd(row["unit"]),
        "generations": row["generations"],
        "seconds": row["video"],
        "usd": amounts.format_usd(row["micro"]),
        "model": row["model"],
        "account": row["account"],
    }


def _adjustment_rows(entries: list[LedgerEntry], tenant: Tenant) -> Iterator[dict[str, Any]]:
    """Yield each adjustment with the bill's COLUMNS."""
    for entry in entries:
        day, amount = entry.at.astimezone(tenant.zone).date().isoformat(), amounts.format_usd(entry.amount_micro)
        empty = {"key": "", "label": "", "generations": 0, "seconds": 0, "model": "", "account": ""}
        yield {**empty, "day": day, "item": f"adjustment: {entry.reason}", "unit_usd": amount, "usd": amount}
