"""Adds finished generations to the sums of their tenant's usage.

The columns that are summed never change once a generation is finished. `lifecycle.mark_succeeded` writes the charge
together with the status, and no transition leads from a finished status. So each generation is added once, some minutes
after its end, and the time up to which that is done (`UsageSumState.until`) moves in the same transaction.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import Count, F, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce, TruncDate

from generations.models import Generation, UsageSum, UsageSumState
from generations.reports.hourly_statistics import SETTLE_TIME
from tenants.db import clock
from tenants.db.engine import engine
from tenants.models import Tenant

DAY = timedelta(days=1)
MAX_STEPS_PER_RUN = 48  # one for each time zone; if history is missing, also one for each of its days
MAX_ROWS_PER_WRITE = 1000
LOCK = "usage sums"  # of all writers, so that no two wait for each other's rows

KEY_COLUMNS = ("tenant_id", "test", "day", "api_key_id", "model", "resolution", "status")
KEY_TYPES = ("bigint", "boolean", "date", "bigint", "text", "text", "text")
NUMBERS = ("generations", "seconds", "micro")
ADD = f"""
WITH added ({", ".join(KEY_COLUMNS + NUMBERS)}) AS ({{rows}})
INSERT INTO generations_usagesum ({", ".join(KEY_COLUMNS + NUMBERS)}) SELECT * FROM added WHERE true
ON CONFLICT (tenant_id, test, day, (COALESCE(api_key_id, 0)), model, (COALESCE(resolution, '')), status)
DO UPDATE SET {", ".join(f"{name} = generations_usagesum.{name} + excluded.{name}" for name in NUMBERS)}
"""  # noqa: S608


def store() -> int:
    """Add what has finished to the sums, up to SETTLE_TIME ago. Return the number of steps that were taken.

    A step is at most a day of one time zone's tenants, those first whose sums are oldest.
    """
    upto = clock.now() - SETTLE_TIME
    _forget_other_time_zones()
    _begin_new_tenants()
    behind = UsageSumState.objects.filter(until__lt=upto).order_by("until", "time_zone")
    for steps in range(MAX_STEPS_PER_RUN):
        oldest = behind.first()
        if oldest is None:
            return steps
        _take_step(oldest.time_zone, oldest.until, upto)
    return MAX_STEPS_PER_RUN


def _take_step(time_zone: str, since: datetime, upto: datetime) -> None:
    """Add up to a day of what finished from `since` on to the sums of all tenants that stand there.

    Write nothing if another worker has moved one of them: it has added the same generations.
    """
    states = UsageSumState.objects.filter(time_zone=time_zone, until=since)
    tenants = list(states.values_list("tenant_id", flat=True))
    until = _end_of_step(since, upto)
    rows = list(_add_up(tenants, ZoneInfo(time_zone), since, until))  # before the transaction, which is short
    with transaction.atomic():
        engine.lock(LOCK, shared=False)
        if states.filter(tenant_id__in=tenants).update(until=until) == len(tenants):
            _add(rows)
        else:
            transaction.set_rollback(True)


def _end_of_step(since: datetime, upto: datetime) -> datetime:
    """Return the end of the day, in UTC, of the first generation that finished from `since` on; at most `upto`.

    So a step passes over days without any.
    """
    finished = Generation.objects.filter(finished_at__gte=since).order_by("finished_at")
    first = finished.values_list("finished_at", flat=True).first()
    return min(_start_of_day(first) + DAY, upto) if first else upto


def _start_of_day(at: datetime) -> datetime:
    """Return the start of the day in UTC. States that stand there are moved together, in whatever year they began."""
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _add_up(tenants: list[int], zone: ZoneInfo, since: datetime, until: datetime) -> QuerySet[Any]:
    """Return rows of KEY_COLUMNS and NUMBERS about what these tenants' generations finished from `since` to `until`."""
    finished = Generation.objects.filter(finished_at__gte=since, finished_at__lt=until)
    # An expression, or SQLite would read all generations of a tenant by the index that begins with the tenant.
    theirs = finished.alias(owner=F("tenant_id") + 0).filter(owner__in=tenants)
    grouped = theirs.annotate(day=TruncDate("created_at", tzinfo=zone)).values_list(*KEY_COLUMNS).order_by()
    return grouped.annotate(Count("pk"), Sum("duration"), charged=Sum(Coalesce("charged_micro", "price_micro")))


def _add(rows: Sequence[Sequence[Any]]) -> None:
    """Add the numbers of these rows to the sums of the same key, in the caller's transaction."""
    types = [*KEY_TYPES, *["bigint"] * len(NUMBERS)]
    for start in range(0, len(rows), MAX_ROWS_PER_WRITE):
        sql, values = engine.table_of_rows(types, rows[start : start + MAX_ROWS_PER_WRITE])
        engine.run(ADD.format(rows=sql), values)


def _begin_new_tenants() -> None:
    """Give a state to each tenant that has generations and no state yet, from the first of them on."""
    # `test__in`, since SQLite uses the index for that alone.
    own = Generation.objects.filter(tenant=OuterRef("pk")).order_by("created_at").values("created_at")
    first = {name: Subquery(own.filter(test__in=[test])[:1]) for name, test in (("live", False), ("trial", True))}
    tenants = Tenant.objects.filter(usage_sum_state=None).annotate(**first)
    states = [
        UsageSumState(tenant_id=pk, time_zone=time_zone, until=_start_of_day(min(created) - SETTLE_TIME))
        for pk, time_zone, *firsts in tenants.values_list("pk", "time_zone", *first)
        if (created := [at for at in firsts if at])
    ]
    UsageSumState.objects.bulk_create(states, ignore_conflicts=True)


def _forget_other_time_zones() -> None:
    """Delete the sums of tenants whose time zone has changed: their days are others now, and the sums begin again."""
    changed = UsageSumState.objects.exclude(time_zone=F("tenant__time_zone"))
    tenants = list(changed.values_list("tenant_id", flat=True))
    if tenants:
        with transaction.atomic():
            engine.lock(LOCK, shared=False)
            UsageSumState.objects.filter(tenant_id__in=tenants).delete()
            UsageSum.objects.filter(tenant_id__in=tenants).delete()
