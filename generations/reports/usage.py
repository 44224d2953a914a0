"""What a tenant's generations came to, by day, key or resolution. A day is the tenant's own; tests are apart."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.db.models import Count, F, Q, Sum
from django.db.models.functions import TruncDate

from generations.models import Generation
from tenants import amounts
from tenants.limits import windows
from tenants.models import ApiKey

Status = Generation.Status
COUNTS = {
    "accepted": Q(),
    "succeeded": Q(status=Status.SUCCEEDED),
    "failed": Q(status=Status.FAILED),
    "cancelled": Q(status=Status.CANCELLED),
    "live": Q(status__in=Generation.LIVE),
}
GROUPS = ("day", "key", "resolution")
SUMS = {
    "seconds": Sum("duration", filter=COUNTS["succeeded"], default=0),
    "micro": Sum("price_micro", filter=COUNTS["succeeded"], default=0),
    "held_micro": Sum("price_micro", filter=COUNTS["live"], default=0),
}
COLUMNS = [*COUNTS, "seconds", "usd", "held_usd", "success_rate"]


@dataclass(frozen=True)
class Usage:
    rows: list[dict[str, Any]]  # the group's name and COLUMNS each
    total: dict[str, Any]  # COLUMNS


def of(key: ApiKey, first: date, last: date, group_by: str) -> Usage:
    """Generations accepted from `first` to `last`, both within it, by one of GROUPS."""
    zone = key.tenant.zone
    starts, ends = windows.midnight(first, zone), windows.midnight(last + timedelta(days=1), zone)
    mine = Generation.objects.filter(tenant=key.tenant_id, test=key.test, created_at__gte=starts, created_at__lt=ends)
    named = mine.annotate(day=TruncDate("created_at", tzinfo=zone), key=F("api_key__prefix"))
    counts = {name: Count("pk", filter=condition) for name, condition in COUNTS.items()}
    found = list(named.values(group_by).annotate(**counts, **SUMS).order_by(group_by))
    total = {name: sum(row[name] for row in found) for name in [*COUNTS, *SUMS]}
    return Usage([{group_by: str(row[group_by]), **_shown(row)} for row in found], _shown(total))


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    ended = row["succeeded"] + row["failed"]
    return {
        **{name: row[name] for name in [*COUNTS, "seconds"]},
        "usd": amounts.usd(row["micro"]),
        "held_usd": amounts.usd(row["held_micro"]),
        "success_rate": round(row["succeeded"] / ended, 4) if ended else None,
    }
