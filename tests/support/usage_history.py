"""Generations of a tenant's history, and the report of usage that counting each of them gives."""

import itertools
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import time_machine

from generations import ids
from generations.models import Generation, UsageSum
from generations.reports import usage, usage_sums
from tenants import amounts
from tenants.models import ApiKey, Tenant

NOON = datetime(2026, 10, 25, 12, tzinfo=UTC)  # of the day on which summer time ends in Europe
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
FIRST, LAST = date(2026, 8, 1), date(2026, 11, 30)
_numbers = itertools.count()


def add(key: ApiKey, created_at: datetime, status: str = "succeeded", took: timedelta = MINUTE, **facts: Any) -> None:
    """Insert a generation that took so long, without the rows that belong to it."""
    build(key, created_at, status, took, **facts).save(force_insert=True)


def build(key: ApiKey, created_at: datetime, status: str, took: timedelta = MINUTE, **facts: Any) -> Generation:
    """Return a generation that is not saved."""
    number = next(_numbers)
    columns: dict[str, Any] = {"model": "seedance-v1-lite-i2v", "resolution": "480p", "duration": 5, "api_key": key}
    columns |= {"price_micro": 100 + number, "upstream_id": f"up-{number}", "seed_source": "drawn"}
    if status in Generation.FINISHED:
        columns |= {"finished_at": created_at + took, "due_at": None}
        columns |= {"error_code": "failed", "error_message": "No.", "video_key": "v"}
        columns |= {"video_size": 1, "video_sha256": "ab"}
    else:
        columns["due_at"] = created_at
        facts = {name: value for name, value in facts.items() if name != "charged_micro"}
    columns |= {"tenant": key.tenant, "test": key.test, "status": status, "created_at": created_at}
    return Generation(id=ids.new_at(created_at), **(columns | facts))


def store_at(at: datetime) -> int:
    with time_machine.travel(at, tick=False):
        return usage_sums.store()


def count_all(tenant: Tenant, group_by: str, *, test: bool) -> usage.Usage:
    """Return the report that counting each generation by hand gives."""
    groups: defaultdict[str | None, list[Generation]] = defaultdict(list)
    for row in Generation.objects.filter(tenant=tenant, test=test).select_related("api_key"):
        day = row.created_at.astimezone(tenant.zone).date()
        if FIRST <= day <= LAST:
            names = {"day": day.isoformat(), "key": row.api_key.prefix if row.api_key else None}
            groups[{**names, "model": row.model, "resolution": row.resolution}[group_by]].append(row)
    everything = [row for rows in groups.values() for row in rows]
    ordered = sorted(groups, key=lambda name: name or "")
    return usage.Usage([{group_by: name, **count(groups[name])} for name in ordered], count(everything))


def count(rows: Sequence[Generation]) -> dict[str, Any]:
    """Return the columns of a report about these generations."""
    succeeded = [row for row in rows if row.status == "succeeded"]
    failed = sum(row.status == "failed" for row in rows)
    live = [row for row in rows if row.finished_at is None]
    ended = len(succeeded) + failed
    return {
        "accepted": len(rows),
        "succeeded": len(succeeded),
        "failed": failed,
        "cancelled": sum(row.status == "cancelled" for row in rows),
        "live": len(live),
        "seconds": sum(row.duration for row in succeeded),
        "usd": amounts.format_usd(sum(row.spent_micro for row in succeeded)),
        "held_usd": amounts.format_usd(sum(row.price_micro for row in live)),
        "success_rate": round(len(succeeded) / ended, 4) if ended else None,
    }


def assert_exact(tenant: Tenant) -> None:
    """Compare the report by each group, in both modes, with the one that counting gives."""
    for group_by, test in itertools.product(usage.GROUPS, (False, True)):
        assert usage.for_tenant(tenant, FIRST, LAST, group_by, test=test) == count_all(tenant, group_by, test=test)


def summed(tenant: Tenant) -> int:
    """Return how many generations of a tenant the sums hold."""
    return sum(UsageSum.objects.filter(tenant=tenant).values_list("generations", flat=True))
