"""Claims of due rows for the worker. A claimed row is the caller's for its lease; afterwards any worker may claim it.

There are four lanes, so that a long step of one kind never delays another kind: polls, which are many and short;
submits and copies, in which tenants take turns; and all others. Each lane is one condition. How rows are claimed by
that condition depends on the database, and is in its engine.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Q

from generations import leases
from generations.models import Generation
from generations.telemetry.failpoints import failpoint
from tenants.db import clock
from tenants.db.engine import engine

Status = Generation.Status

# The columns that most polls need. The rest is read when a poll finds an end: reading all of them for each poll took a
# tenth of a worker's time.
POLL_COLUMNS = {
    *("id", "tenant_id", "test", "status", "seed", "account", "wire", "upstream_id", "traceparent", "progress_percent"),
    *("created_at", "submitted_at", "resumed_at", "due_at", "fencing_token", "consecutive_failures"),
    *("outage_since", "outage_time"),
}
# Each tenant with a row of a status that is due, and when its oldest fell due. The index is read one tenant at a time,
# so ten thousand rows of one tenant cost as much as one row. The status is in the text: SQLite uses no partial index
# for a value passed as a parameter.
WAITING_TENANTS = """
WITH RECURSIVE waiting (tenant_id) AS (
    SELECT MIN(tenant_id) FROM generations_generation WHERE status = '{status}'
    UNION ALL
    SELECT (
        SELECT MIN(tenant_id) FROM generations_generation WHERE status = '{status}' AND tenant_id > waiting.tenant_id
    ) FROM waiting WHERE waiting.tenant_id IS NOT NULL
)
SELECT tenant_id, oldest FROM (
    SELECT tenant_id, (
        SELECT MIN(due_at) FROM generations_generation
         WHERE status = '{status}' AND tenant_id = waiting.tenant_id AND due_at <= %s
    ) AS oldest FROM waiting WHERE tenant_id IS NOT NULL
) AS found WHERE oldest IS NOT NULL ORDER BY oldest
"""
OF_TENANT = """
SELECT id FROM generations_generation
 WHERE status = '{status}' AND tenant_id = %s AND due_at <= %s {only} ORDER BY due_at LIMIT %s
"""
LIVE = Q(status__in=Generation.LIVE)
POLLS, OTHERS = Q(status=Status.RUNNING), Q(status__in=[Status.SUBMITTING, Status.IN_DOUBT])


def claim_polls(limit: int) -> list[Generation]:
    """Claim up to `limit` running rows that are due for a poll, the oldest due first, for POLL_LEASE.

    Only the columns in POLL_COLUMNS are read.
    """
    return _claim(POLLS, limit, leases.POLL_LEASE, POLL_COLUMNS)


def claim_others(limit: int) -> list[Generation]:
    """Claim up to `limit` rows for CLAIM_LEASE: rows in doubt, and submits whose worker was lost."""
    return _claim(OTHERS, limit, leases.CLAIM_LEASE)


def claim_copies(limit: int, busy: Counter[int] | None = None) -> list[Generation]:
    """Claim up to `limit` rendered rows whose copy waits or failed for CLAIM_LEASE, taking turns by tenant.

    `busy` counts each tenant's copies in progress.
    """
    return _claim_in_turns(Status.COPYING, limit, busy, ())


def claim_submits(limit: int, busy: Counter[int] | None = None, full: Collection[str] = ()) -> list[Generation]:
    """Claim up to `limit` queued rows for CLAIM_LEASE, taking turns by tenant.

    `busy` counts each tenant's submits in progress. `full` are the models whose accounts take no submit now: their rows
    are left, unless they are of test keys.
    """
    return _claim_in_turns(Status.QUEUED, limit, busy, full)


def _claim_in_turns(status: str, limit: int, busy: Counter[int] | None, full: Collection[str]) -> list[Generation]:
    """Claim up to `limit` rows of the status.

    The tenant with the fewest in progress is next; of two with equally many, the one that waits longest.
    """
    now, in_progress, lane = clock.now(), Counter(busy or {}), Q(status=status)
    claimed: list[Generation] = []
    tenants = _read_waiting_tenants(status, now) if limit > 0 and is_any_due(now, lane) else []
    while tenants and len(claimed) < limit:
        shares = _divide(tenants, in_progress, limit - len(claimed))
        ids: list[UUID] = []
        for tenant_id, count in shares.items():
            tenant_ids = _read_ids(status, tenant_id, now, count, full)
            ids += tenant_ids
            if len(tenant_ids) < count:  # the tenant has no more
                tenants.remove(tenant_id)
        rows = _claim(lane & Q(pk__in=ids), len(ids), leases.CLAIM_LEASE)  # the rows that are still due
        if len(rows) < len(ids):  # another worker run took some: the rest is for the next iteration
            tenants = []
        in_progress.update(row.tenant_id for row in rows)
        claimed += rows
    return claimed


def is_any_due(before: datetime, lane: Q = LIVE) -> bool:
    """Return whether a live row, of the lane if there is one, is due by then."""
    return Generation.objects.filter(lane, due_at__lte=before).exists()


def _read_waiting_tenants(status: str, now: datetime) -> list[int]:
    """Return the tenants that have rows of the status due, the longest waiting first."""
    return [tenant_id for tenant_id, _ in engine.run(WAITING_TENANTS.format(status=status), [engine.adapt(now)])]


def _divide(tenants: Sequence[int], in_progress: Counter[int], limit: int) -> Counter[int]:
    """Return how many of `limit` rows each tenant gets.

    One after the other goes to the tenant with the fewest; of two with equally many, to the one that waits longer.
    """
    shares: Counter[int] = Counter()
    for _ in range(limit):
        shares[min(tenants, key=lambda tenant: in_progress[tenant] + shares[tenant])] += 1
    return shares


def _read_ids(status: str, tenant_id: int, now: datetime, limit: int, full: Collection[str]) -> list[UUID]:
    """Return the ids of up to `limit` due rows of a tenant, without live rows of the models in `full`."""
    only = f"AND (test = TRUE OR model NOT IN ({', '.join(['%s'] * len(full))}))" if full else ""
    sql = OF_TENANT.format(status=status, only=only)
    rows = engine.run(sql, [tenant_id, engine.adapt(now), *full, limit])
    return [Generation._meta.pk.to_python(pk) for (pk,) in rows]


def _claim(lane: Q, limit: int, lease: timedelta, columns: Collection[str] = ()) -> list[Generation]:
    """Claim up to `limit` due rows of the lane. `columns` are read; without them, all columns are read."""
    now = clock.now()
    if limit <= 0 or not is_any_due(now, lane):  # most calls find nothing, and need no write lock for that
        return []
    claimed = engine.claim(Generation.objects.filter(lane, due_at__lte=now), limit, now + lease, columns)
    if claimed:
        failpoint("claim_committed")
    return claimed
