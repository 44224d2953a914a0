"""Usage: counts, seconds of video and USD of a tenant's generations, by day, key or resolution."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.db.models import Count, F, Q, Sum
from django.db.models.functions import TruncDate

from generations.models import Generation
from tenants import amounts
from tenants.limits import windows
from tenants.models import Tenant

Status = Generation.Status
COUNT_CONDITIONS = {
    "accepted": Q(),
    "succeeded": Q(status=Status.SUCCEEDED),
    "failed": Q(status=Status.FAILED),
    "cancelled": Q(status=Status.CANCELLED),
    "live": Q(status__in=Generation.LIVE),
}
GROUPS = ("day", "key", "resolution")
SUMS = {  # `seconds` of video, the others in micro-USD
    "seconds": Sum("duration", filter=COUNT_CONDITIONS["succeeded"], default=0),
    "micro": Sum("price_micro", filter=COUNT_CONDITIONS["succeeded"], default=0),
    "held_micro": Sum("price_micro", filter=COUNT_CONDITIONS["live"], default=0),
}
COLUMNS = [*COUNT_CONDITIONS, "seconds", "usd", "held_usd", "success_rate"]


@dataclass(frozen=True)
class Usage:
    """The usage of a tenant in a span of days: a row for each group, and their total."""

    rows: list[dict[str, Any]]  # each has the group's name and COLUMNS
    total: dict[str, Any]  # COLUMNS


def for_tenant(tenant: Tenant, first: date, last: date, group_by: str, *, test: bool) -> Usage:
    """Return the usage by generations that were accepted from the day `first` to the day `last`, both included.

    Days are days in the tenant's time zone. `group_by` is one of GROUPS. `test` selects test generations, else live
    ones.
    """
    starts = windows.midnight(first, tenant.zone)
    ends = windows.midnight(last + timedelta(days=1), tenant.zone)
    accepted = Generation.objects.filter(tenant=tenant, test=test, created_at__gte=starts, created_at__lt=ends)
    grouped = accepted.annotate(day=TruncDate("created_at", tzinfo=tenant.zone), key=F("api_key__prefix"))
    counts = {name: Count("pk", filter=condition) for name, condition in COUNT_CONDITIONS.items()}
    rows = list(grouped.values(group_by).annotate(**counts, **SUMS).order_by(group_by))
    total = {name: sum(row[name] for row in rows) for name in [*COUNT_CONDITIONS, *SUMS]}
    return Usage([{group_by: str(row[group_by]), **_row_as_json(row)} for row in rows], _row_as_json(total))


def _row_as_json(row: dict[str, Any]) -> dict[str, Any]:
    """Return COLUMNS of a row. USD amounts are text; `success_rate` is None if no generation succeeded or failed."""
    finished = row["succeeded"] + row["failed"]
    return {
        **{name: row[name] for name in [*COUNT_CONDITIONS, "seconds"]},
        "usd": amounts.format_usd(row["micro"]),
        "held_usd": amounts.format_usd(row["held_micro"]),
        "success_rate": round(row["succeeded"] / finished, 4) if finished else None,
    }
