"""Which rows are next. Each that is claimed is this caller's for a lease, and then anybody's again.

Three lanes, so that a long row of one kind never stands before another: polls, which are many and short; submits, which
go by tenant; and all the rest. On PostgreSQL a claim is one statement, and passes over what others are claiming; on
SQLite, which lets one write at a time, it is one short IMMEDIATE transaction.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F, Q
from django.utils import timezone

from generations.failpoints import failpoint
from generations.models import Generation
from tenants import statements

Status = Generation.Status
CLAIM_LEASE = timedelta(seconds=90)  # longer than any step but those that take a longer lease themselves
POLL_LEASE = timedelta(seconds=30)  # longer than the 10 s that a poll may take: what a killed worker held waits for it

# The CTE fences the LIMIT: in a subquery of the UPDATE itself, a plan may run it anew for each row, and take them all.
# Locked without their keys, since what refers to a generation is written meanwhile.
CLAIM = """
WITH picked AS MATERIALIZED (
    SELECT id, due_at FROM generations_generation WHERE {where} ORDER BY due_at LIMIT %s FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE generations_generation SET due_at = %s, turn = turn + 1 FROM picked
 WHERE generations_generation.id = picked.id
RETURNING {columns}, picked.due_at AS was_due
"""
ALL = "generations_generation.*"
# What most polls need. The rest is read where one is over: to read all of it for each took a tenth of a worker's time.
POLLED = {
    *("id", "tenant_id", "test", "status", "seed", "upstream_id", "traceparent", "progress_percent"),
    *("created_at", "submitted_at", "resumed_at", "due_at", "turn", "tries"),
}
# Each tenant that has one waiting, with the oldest: read off the index one tenant at a time, so that ten thousand of
# one cost as much as one.
WAITING = """
WITH RECURSIVE waiting (tenant_id) AS (
    SELECT MIN(tenant_id) FROM generations_generation WHERE status = 'queued'
    UNION ALL
    SELECT (SELECT MIN(tenant_id) FROM generations_generation WHERE status = 'queued' AND tenant_id > waiting.tenant_id)
      FROM waiting WHERE waiting.tenant_id IS NOT NULL
)
SELECT tenant_id, oldest FROM (
    SELECT tenant_id, (
        SELECT MIN(due_at) FROM generations_generation
         WHERE status = 'queued' AND tenant_id = waiting.tenant_id AND due_at <= %s
    ) AS oldest FROM waiting WHERE tenant_id IS NOT NULL
) AS found WHERE oldest IS NOT NULL ORDER BY oldest
"""
# In words of its own: SQLite finds no partial index by a value that is given apart from the statement.
OF_A_TENANT = """
SELECT id FROM generations_generation
 WHERE status = 'queued' AND tenant_id = %s AND due_at <= %s {only} ORDER BY due_at LIMIT %s
"""
QUEUED = Q(status=Status.QUEUED)
POLLS, OTHERS = Q(status=Status.RUNNING), Q(status__in=[Status.SUBMITTING, Status.IN_DOUBT, Status.COPYING])


def polls(limit: int) -> list[Generation]:
    """Running rows that are due for a poll, the oldest due first, for POLL_LEASE. They have what is in POLLED."""
    return _claim("status = 'running'", [], POLLS, limit, POLL_LEASE, POLLED)


def others(limit: int) -> list[Generation]:
    """Copies to be tried again, doubts, and submits whose worker was lost, for CLAIM_LEASE."""
    return _claim("status IN ('submitting', 'in_doubt', 'copying')", [], OTHERS, limit, CLAIM_LEASE)


def submits(limit: int, busy: Counter[int] | None = None, *, live: bool = True) -> list[Generation]:
    """Queued rows by turns of their tenants, for CLAIM_LEASE: who has the fewest under way, or waits longest, is next.

    `busy`: how many each tenant has under way. `live`: False where only those of test keys may go.
    """
    now, under_way = timezone.now(), Counter(busy or {})
    claimed: list[Generation] = []
    tenants = _tenants(now) if limit > 0 and _is_any_due(QUEUED, now) else []
    while tenants and len(claimed) < limit:
        share = _shares(tenants, under_way, limit - len(claimed))
        found: list[UUID] = []
        for tenant_id, count in share.items():
            rows = _of_tenant(tenant_id, now, count, live=live)
            found += rows
            if len(rows) < count:  # it has no more
                tenants.remove(tenant_id)
        taken = _claim_these(found, now) if found else []
        if len(taken) < len(found):  # another sweep took some: what is left is for the next look
            tenants = []
        under_way.update(one.tenant_id for one in taken)
        claimed += taken
    return claimed


def due(limit: int) -> list[Generation]:
    """Up to `limit` rows of every lane."""
    claimed = others(limit)
    claimed += submits(limit - len(claimed))
    return claimed + polls(limit - len(claimed))


def is_any_due(before: datetime) -> bool:
    """Whether a live row wants attention by then."""
    return _is_any_due(Q(status__in=Generation.LIVE), before)


def _is_any_due(lane: Q, before: datetime) -> bool:
    return Generation.objects.filter(lane, due_at__lte=before).exists()


def _tenants(now: datetime) -> list[int]:
    """Whose queued rows are due, who waits longest first."""
    with connection.cursor() as cursor:
        cursor.execute(WAITING, [connection.ops.adapt_datetimefield_value(now)])
        return [tenant_id for tenant_id, _ in cursor.fetchall()]


def _shares(tenants: Sequence[int], under_way: Counter[int], limit: int) -> Counter[int]:
    """How many of each are next: one at a time to who has the fewest, of two to who waits longer."""
    share: Counter[int] = Counter()
    for _ in range(limit):
        share[min(tenants, key=lambda tenant: under_way[tenant] + share[tenant])] += 1
    return share


def _of_tenant(tenant_id: int, now: datetime, limit: int, *, live: bool) -> list[UUID]:
    only = "" if live else "AND test = TRUE"
    with connection.cursor() as cursor:
        cursor.execute(OF_A_TENANT.format(only=only), [tenant_id, connection.ops.adapt_datetimefield_value(now), limit])
        return [Generation._meta.pk.to_python(pk) for (pk,) in cursor.fetchall()]


def _claim_these(ids: Sequence[UUID], now: datetime) -> list[Generation]:
    """Those of them that are still due."""
    still = QUEUED & Q(pk__in=ids)
    return _claim("id = ANY(%s) AND status = 'queued'", [list(ids)], still, len(ids), CLAIM_LEASE)


def _claim(
    where: str, params: list[Any], same: Q, limit: int, lease: timedelta, names: Collection[str] = ()
) -> list[Generation]:
    """`where` and `same` are one condition, as PostgreSQL's statement and as the ORM has it. `names`: of the columns
    that are wanted, none of them JSON; all where there are none."""
    now = timezone.now()
    if limit <= 0 or not _is_any_due(same, now):  # most looks find nothing, and need no write lock for it
        return []
    if connection.vendor == "postgresql":
        columns, names = _columns(frozenset(names))
        statement = CLAIM.format(where=f"{where} AND due_at <= %s", columns=columns)
        values = [*params, now, limit, now + lease]
        claimed = _made(statement, values, names) if names else list(Generation.objects.raw(statement, values))
    else:
        claimed = _claim_on_sqlite(same, now, limit, lease, names)
    if claimed:
        failpoint("claim_committed")
    return claimed


@cache
def _columns(names: frozenset[str]) -> tuple[str, list[str]]:
    """As the statement names them, and as the model does, in its order."""
    fields = [field for field in Generation._meta.concrete_fields if field.attname in names]
    columns = ", ".join(f"generations_generation.{field.column}" for field in fields)
    return columns or ALL, [field.attname for field in fields]


def _made(statement: str, values: Sequence[Any], names: Collection[str]) -> list[Generation]:
    claimed = []
    for *known, was_due in statements.run(statement, values):
        one = Generation.from_db(connection.alias, names, known)
        one.was_due = was_due
        claimed.append(one)
    return claimed


def _claim_on_sqlite(lane: Q, now: datetime, limit: int, lease: timedelta, names: Collection[str]) -> list[Generation]:
    with transaction.atomic():
        found = Generation.objects.filter(lane, due_at__lte=now).order_by("due_at")
        claimed = list((found.only(*names) if names else found)[:limit])
        ids = [generation.pk for generation in claimed]
        Generation.objects.filter(pk__in=ids).update(due_at=now + lease, turn=F("turn") + 1)
    for generation in claimed:
        generation.was_due, generation.due_at = generation.due_at, now + lease
        generation.turn += 1
    return claimed
