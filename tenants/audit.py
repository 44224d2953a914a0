"""Whether the windows still say what the ledger says: the ledger is the truth, the windows are its cache."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from tenants.ledger import GIVEN_BACK
from tenants.models import LedgerEntry, Window

Key = tuple[str, datetime]
Kind = LedgerEntry.Kind


@dataclass(frozen=True)
class Difference:
    tenant_id: int
    kind: str
    starts_at: datetime
    counter: int  # what the window says
    ledger: int  # what it should say


def check(tenant_id: int) -> list[Difference]:
    """Every window of the tenant whose counter is not the fold of its ledger, while its admissions wait."""
    with transaction.atomic():
        return list(_differences(tenant_id))


def rebuild(tenant_id: int) -> list[Difference]:
    """As `check`, and sets each counter right."""
    with transaction.atomic():
        found = list(_differences(tenant_id))
        for wrong in found:
            row: dict[str, Any] = {"tenant_id": tenant_id, "kind": wrong.kind, "starts_at": wrong.starts_at}
            Window.objects.update_or_create(**row, defaults={"used": wrong.ledger})
    return found


def _differences(tenant_id: int) -> Iterator[Difference]:
    # The lock comes first: an admission that is not committed yet waits for it, and is not in the fold either.
    rows = Window.objects.select_for_update().filter(tenant_id=tenant_id).order_by("pk")
    counters = {(row.kind, row.starts_at): row.used for row in rows}
    folded = fold(tenant_id)
    for kind, starts_at in sorted(counters.keys() | folded.keys()):
        counter, ledger = counters.get((kind, starts_at), 0), folded[kind, starts_at]
        if counter != ledger:
            yield Difference(tenant_id, kind, starts_at, counter, ledger)


def fold(tenant_id: int) -> Counter[Key]:
    """What each window should say: every hold, less what its capture or release gave back."""
    entries = LedgerEntry.objects.filter(tenant_id=tenant_id)
    ends = dict(entries.exclude(kind=Kind.HOLD).values_list("generation_id", "kind"))
    used: Counter[Key] = Counter()
    for generation_id, windows in entries.filter(kind=Kind.HOLD).values_list("generation_id", "windows").iterator():
        given_back = GIVEN_BACK.get(Kind(ends[generation_id]), set()) if generation_id in ends else set()
        for kind, starts_at, amount in windows:
            used[kind, datetime.fromisoformat(starts_at)] += 0 if kind in given_back else amount
    return used
