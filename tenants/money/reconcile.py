"""Whether the windows still say what the ledger says: the ledger is the truth, the windows are its cache."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from tenants.db.engine import engine
from tenants.limits.windows import Kind
from tenants.models import LedgerEntry, Window
from tenants.money import ledger

# Minutes are deleted when they are old (counters.MINUTES_KEPT): only those that surely are there still are compared.
MINUTES_COMPARED = timedelta(hours=1)


@dataclass(frozen=True)
class Difference:
    tenant_id: int
    api_key_id: int | None  # None: a window of the whole tenant
    kind: str
    starts_at: datetime
    counter: int  # what the window says
    ledger: int  # what it should say


def check(tenant_id: int) -> list[Difference]:
    """Every window of the tenant and of its keys whose counter is not the fold of the ledger."""
    with engine.snapshot():
        return list(_differences(tenant_id))


def rebuild(tenant_id: int) -> list[Difference]:
    """As `check`, and sets each counter right, while the tenant's admissions wait."""
    with transaction.atomic():
        ledger.lock_tenant(tenant_id)
        found = list(_differences(tenant_id))
        for wrong in found:
            row: dict[str, Any] = {"tenant_id": tenant_id, "api_key_id": wrong.api_key_id, "kind": wrong.kind}
            Window.objects.update_or_create(**row, starts_at=wrong.starts_at, defaults={"used": wrong.ledger})
    return found


def _differences(tenant_id: int) -> Iterator[Difference]:
    since = timezone.now() - MINUTES_COMPARED
    counters = {
        (row.api_key_id, row.kind, row.starts_at): row.used for row in Window.objects.filter(tenant_id=tenant_id)
    }
    folded = ledger.fold(LedgerEntry.objects.filter(tenant_id=tenant_id))
    for name in sorted(counters.keys() | folded.keys(), key=lambda name: (name[0] or 0, *name[1:])):
        api_key_id, kind, starts_at = name
        counter, should = counters.get(name, 0), folded[name]
        if counter != should and (kind != Kind.REQUESTS_PER_MINUTE or starts_at >= since):
            yield Difference(tenant_id, api_key_id, kind, starts_at, counter, should)
