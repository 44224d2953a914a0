"""Which rows are next. Each that is claimed is this caller's for a lease, and then anybody's again.

Three lanes, so that a long row of one kind never stands before another: polls, which are many and short; submits, which
go by tenant; and all the rest. Each lane is one condition; how rows are claimed by it is the database engine's.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from generations import leases
from generations.models import Generation
from generations.telemetry.failpoints import failpoint
from tenants.db.engine import engine

Status = Generation.Status

# What most polls need. The rest is read where one is over: to read all of it for each took a tenth of a worker's time.
POLLED = {
    *("id", "tenant_id", "test", "status", "seed", "upstream_id", "traceparent", "progress_percent"),
    *("created_at", "submitted_at", "resumed_at", "due_at", "fencing_token", "consecutive_failures"),
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
LIVE, QUEUED = Q(status__in=Generation.LIVE), Q(status=Status.QUEUED)
POLLS, OTHERS = Q(status=Status.RUNNING), Q(status__in=[Status.SUBMITTING, Status.IN_DOUBT, Status.COPYING])


def polls(limit: int) -> list[Generation]:
    """Running rows that are due for a poll, the oldest due first, for POLL_LEASE. They have what is in POLLED."""
    return _claim(POLLS, limit, leases.POLL_LEASE, POLLED)


def others(limit: int) -> list[Generation]:
    """Copies to be tried again, doubts, and submits whose worker was lost, for CLAIM_LEASE."""
    return _claim(OTHERS, limit, leases.CLAIM_LEASE)


def submits(limit: int, busy: Counter[int] | None = None, *, live: bool = True) -> list[Generation]:
    """Queued rows by turns of their tenants, for CLAIM_LEASE: who has the fewest under way, or waits longest, is next.

    `busy`: how many each tenant has under way. `live`: False where only those of test keys may go.
    """
    now, under_way = timezone.now(), Counter(busy or {})
    claimed: list[Generation] = []
    tenants = _tenants(now) if limit > 0 and is_any_due(now, QUEUED) else []
    while tenants and len(claimed) < limit:
        share = _shares(tenants, under_way, limit - len(claimed))
        found: list[UUID] = []
        for tenant_id, count in share.items():
            rows = _of_tenant(tenant_id, now, count, live=live)
            found += rows
            if len(rows) < count:  # it has no more
                tenants.remove(tenant_id)
        taken = _claim(QUEUED & Q(pk__in=found), len(found), leases.CLAIM_LEASE)  # those of them that are still due
        if len(taken) < len(found):  # another sweep took some: what is left is for the next look
            tenants = []
        under_way.update(one.tenant_id for one in taken)
        claimed += taken
    return claimed


def is_any_due(before: datetime, lane: Q = LIVE) -> bool:
    """Return whether a live row, of the lane if one is given, is due by then."""
    return Generation.objects.filter(lane, due_at__lte=before).exists()


def _tenants(now: datetime) -> list[int]:
    """Whose queued rows are due, who waits longest first."""
    return [tenant_id for tenant_id, _ in engine.run(WAITING, [engine.adapt(now)])]


def _shares(tenants: Sequence[int], under_way: Counter[int], limit: int) -> Counter[int]:
    """How many of each are next: one at a time to who has the fewest, of two to who waits longer."""
    share: Counter[int] = Counter()
    for _ in range(limit):
        share[min(tenants, key=lambda tenant: under_way[tenant] + share[tenant])] += 1
    return share


def _of_tenant(tenant_id: int, now: datetime, limit: int, *, live: bool) -> list[UUID]:
    only = "" if live else "AND test = TRUE"
    rows = engine.run(OF_A_TENANT.format(only=only), [tenant_id, engine.adapt(now), limit])
    return [Generation._meta.pk.to_python(pk) for (pk,) in rows]


def _claim(lane: Q, limit: int, lease: timedelta, names: Collection[str] = ()) -> list[Generation]:
    """Claim up to `limit` due rows of the lane. `names`: the columns to read; all of them where none is named."""
    now = timezone.now()
    if limit <= 0 or not is_any_due(now, lane):  # most looks find nothing, and need no write lock for it
        return []
    claimed = engine.claim(Generation.objects.filter(lane, due_at__lte=now), limit, now + lease, names)
    if claimed:
        failpoint("claim_committed")
    return claimed
