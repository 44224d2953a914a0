"""Compares the counters with the ledger: the ledger is the truth, the counters are its cache."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from tenants import audit, locks, times
from tenants.audit import Actor
from tenants.db import clock
from tenants.db.engine import engine
from tenants.limits.windows import Kind
from tenants.models import LedgerEntry, Window
from tenants.money import ledger

# Old minutes are deleted (counters.MINUTE_RETENTION): only minutes whose rows surely exist are compared.
MAX_MINUTE_AGE = timedelta(hours=1)
MAX_AUDITED = 100


@dataclass(frozen=True)
class Difference:
    """A counter that is not the sum of the ledger's entries."""

    tenant_id: int
    api_key_id: int | None  # None: a window of the whole tenant
    kind: str
    starts_at: datetime
    counter: int  # the counter's value
    ledger: int  # the right value


def check(tenant_id: int) -> list[Difference]:
    """Return every counter of the tenant and of its keys that differs from the ledger."""
    with engine.snapshot():
        return list(_differences(tenant_id))


def rebuild(tenant_id: int, actor: Actor) -> list[Difference]:
    """Set every differing counter to the ledger's value, and return the differences. Admissions of the tenant wait.

    The audit entry has the first MAX_AUDITED differences. Without a difference there is no entry.
    """
    with transaction.atomic():
        tenant = locks.lock_tenant(tenant_id)
        differences = list(_differences(tenant_id))
        for difference in differences:
            window: dict[str, Any] = {
                "tenant_id": tenant_id,
                "api_key_id": difference.api_key_id,
                "kind": difference.kind,
                "starts_at": difference.starts_at,
            }
            Window.objects.update_or_create(**window, defaults={"used": difference.ledger})
        if differences:
            counters = [_as_json(difference) for difference in differences[:MAX_AUDITED]]
            facts = {"count": len(differences), "counters": counters}
            audit.record(actor, "rebuild counters", tenant, tenant.name, facts)
    return differences


def _as_json(difference: Difference) -> dict[str, Any]:
    """Return a difference as the audit log has it."""
    return {**asdict(difference), "starts_at": times.iso(difference.starts_at, "seconds")}


def _differences(tenant_id: int) -> Iterator[Difference]:
    """Yield the differences, the tenant's first, then each key's, by kind and start."""
    since = clock.now() - MAX_MINUTE_AGE
    counters = {
        (row.api_key_id, row.kind, row.starts_at): row.used for row in Window.objects.filter(tenant_id=tenant_id)
    }
    folded = ledger.fold(LedgerEntry.objects.filter(tenant_id=tenant_id))
    for name in sorted(counters.keys() | folded.keys(), key=lambda name: (name[0] or 0, *name[1:])):
        api_key_id, kind, starts_at = name
        counter, right = counters.get(name, 0), folded[name]
        if counter != right and (kind != Kind.REQUESTS_PER_MINUTE or starts_at >= since):
            yield Difference(tenant_id, api_key_id, kind, starts_at, counter, right)
