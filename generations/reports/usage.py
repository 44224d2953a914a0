"""Usage: counts, seconds of video and USD of a tenant's generations, by day, key, resolution or model."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.db.models import Count, F, Sum
from django.db.models.functions import Coalesce, TruncDate

from generations.models import Generation
from generations.reports.turns import Turns
from tenants import amounts
from tenants.limits import windows
from tenants.models import Tenant

Status = Generation.Status
# The counts of an answer, and the statuses that each counts.
COUNTED: dict[str, Sequence[str]] = {
    "accepted": Status.values,
    "succeeded": [Status.SUCCEEDED],
    "failed": [Status.FAILED],
    "cancelled": [Status.CANCELLED],
    "live": Generation.LIVE,
}
SUMS = ("seconds", "micro", "held_micro")  # `seconds` of video, the others in micro-USD
COLUMNS = [*COUNTED, "seconds", "usd", "held_usd", "success_rate"]
GROUPED_BY = {"key": "api_key__prefix", "resolution": "resolution", "model": "model"}
GROUPS = ("day", *GROUPED_BY)
Sums = dict[str, int]  # by the names of COUNTED and SUMS


@dataclass(frozen=True)
class Usage:
    """The usage of a tenant in a span of days: a row for each group, and their total."""

    rows: list[dict[str, Any]]  # each has the group's name and COLUMNS
    total: dict[str, Any]  # COLUMNS


_turns = Turns[Usage]()  # a tenant's many generations take the database long to add up


def for_tenant(tenant: Tenant, first: date, last: date, group_by: str, *, test: bool) -> Usage:
    """Return the usage by generations that were accepted from the day `first` to the day `last`, both included.

    Days are days in the tenant's time zone. `group_by` is one of GROUPS. `test` selects test generations, else live
    ones.
    """
    question = (first, last, group_by, test, tenant.time_zone)
    return _turns.result(tenant.pk, question, lambda: _add_up(tenant, first, last, group_by, test=test))


def _add_up(tenant: Tenant, first: date, last: date, group_by: str, *, test: bool) -> Usage:
    starts = windows.midnight(first, tenant.zone)
    ends = windows.midnight(last + timedelta(days=1), tenant.zone)
    # `test__in`, since SQLite uses the index for that alone.
    accepted = Generation.objects.filter(tenant=tenant, test__in=[test], created_at__gte=starts, created_at__lt=ends)
    group: Any = TruncDate("created_at", tzinfo=tenant.zone) if group_by == "day" else F(GROUPED_BY[group_by])
    grouped = accepted.annotate(group=group).values_list("group", "status")
    # What a video cost: by its tokens, or the price. Until a generation ends only the price is known, which is held.
    micro = Sum(Coalesce("charged_micro", "price_micro"))
    sums, total = defaultdict[str | None, Sums](_nothing), _nothing()
    for name, *facts in grouped.annotate(Count("pk"), Sum("duration"), micro=micro).order_by():
        _add(sums[None if name is None else str(name)], *facts)
        _add(total, *facts)
    names = sorted(sums, key=lambda name: name or "")  # None: of models without a resolution
    return Usage([{group_by: name, **_row_as_json(sums[name])} for name in names], _row_as_json(total))


def _nothing() -> Sums:
    return dict.fromkeys((*COUNTED, *SUMS), 0)


def _add(sums: Sums, status: str, count: int, seconds: int, micro: int) -> None:
    """Add the generations of one status: their number, seconds of video and micro-USD."""
    for name, statuses in COUNTED.items():
        sums[name] += count * (status in statuses)
    if status == Status.SUCCEEDED:
        sums["seconds"] += int(seconds)
        sums["micro"] += int(micro)  # a Decimal on PostgreSQL
    if status in Generation.LIVE:
        sums["held_micro"] += int(micro)


def _row_as_json(row: Sums) -> dict[str, Any]:
    """Return COLUMNS of a row. USD amounts are text; `success_rate` is None if no generation succeeded or failed."""
    finished = row["succeeded"] + row["failed"]
    return {
        **{name: row[name] for name in [*COUNTED, "seconds"]},
        "usd": amounts.format_usd(row["micro"]),
        "held_usd": amounts.format_usd(row["held_micro"]),
        "success_rate": round(row["succeeded"] / finished, 4) if finished else None,
    }
