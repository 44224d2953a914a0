"""Holds, captures and releases, and the room that each takes in the windows of a tenant and of its key.

Everything here runs inside the caller's transaction, and changes windows only under the tenant's row lock: a limit that
is being lowered, and admissions by other processes, come wholly before or wholly after.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet

from tenants.db.operations import Statement
from tenants.db.prepared_statements import Insert
from tenants.limits import counters, windows
from tenants.limits.counters import CounterCharge
from tenants.limits.windows import Charge, Kind
from tenants.models import ApiKey, LedgerEntry, Tenant

Entry = LedgerEntry.Kind
Name = tuple[int | None, str, datetime]  # holder, kind and start of a window
# A rate counts requests, so it is not given back when a generation ends without a video.
GIVEN_BACK = {
    Entry.CAPTURE: {Kind.IN_FLIGHT},
    Entry.RELEASE: set(Kind) - {Kind.REQUESTS_PER_MINUTE},
}

_insert = Insert(LedgerEntry)


@dataclass(frozen=True)
class Purchase:
    """What a hold is for."""

    generation_id: UUID
    item: str  # as a bill names it
    seconds: int
    price_micro: int
    at: datetime
    charges: Sequence[Charge]


def lock_tenant(tenant_id: int) -> Tenant:
    """The tenant as it is now; until the transaction ends nobody else changes it or its windows."""
    return Tenant.objects.select_for_update(no_key=True).get(pk=tenant_id)


def lock_key(key_id: int) -> ApiKey:
    """As `lock_tenant`, and the key with it: both as they are once the lock is had."""
    rows = ApiKey.objects.select_related("tenant").select_for_update(no_key=True, of=("self", "tenant"))
    return rows.get(pk=key_id)


def hold(key: ApiKey, bought: Purchase) -> Statement:
    """Return the INSERT of the hold, for the admission's plan, which charges the counters."""
    return _insert.of(
        tenant_id=key.tenant_id,
        api_key_id=key.pk,
        test=key.test,
        generation_id=bought.generation_id,
        kind=Entry.HOLD.value,
        amount_micro=bought.price_micro,
        item=bought.item,
        seconds=bought.seconds,
        windows=[[charge.kind.value, charge.starts_at.isoformat(), charge.amount] for charge in bought.charges],
        at=bought.at,
        month=windows.month(bought.at, key.tenant.zone),
    )


def capture(generation_id: UUID) -> bool:
    """The video was delivered: the held price is spent. False where the hold is settled already."""
    return _settle(generation_id, Entry.CAPTURE, "")


def release(generation_id: UUID, reason: str) -> bool:
    """There will be no video: the price, and the room in the windows charged, go back. False where it is settled."""
    return _settle(generation_id, Entry.RELEASE, reason)


def fold(entries: QuerySet[LedgerEntry]) -> Counter[Name]:
    """Return what the windows should say by these entries of one tenant: every hold, less what its end gave back, and
    every adjustment."""
    ends = dict(entries.filter(kind__in=[Entry.CAPTURE, Entry.RELEASE]).values_list("generation_id", "kind"))
    used: Counter[Name] = Counter()
    for entry in entries.filter(kind__in=[Entry.HOLD, Entry.ADJUST]).iterator():
        back = GIVEN_BACK[Entry(ends[entry.generation_id])] if entry.generation_id in ends else set()
        for kind, starts_at, amount in entry.windows:
            for holder in holders(entry):
                used[holder, kind, datetime.fromisoformat(starts_at)] += 0 if kind in back else amount
    return used


def used_since(tenant_id: int, since: datetime) -> Counter[tuple[int | None, str]]:
    """Return what was used from then on, by holder and kind; what was carried over is not used again."""
    entries = LedgerEntry.objects.filter(tenant_id=tenant_id, at__gte=since)
    used: Counter[tuple[int | None, str]] = Counter()
    for (holder, kind, _), amount in fold(entries.exclude(kind=Entry.ADJUST, amount_micro=0)).items():
        used[holder, kind] += amount
    return used


def adjust(
    tenant: Tenant,
    amount_micro: int,
    changes: Sequence[Charge],
    reason: str,
    *,
    at: datetime,
    api_key_id: int | None = None,
) -> None:
    """What is set right by hand, in windows of a tenant that is locked, or of one of its keys. No limit refuses it."""
    LedgerEntry.objects.create(
        tenant=tenant,
        at=at,
        month=windows.month(at, tenant.zone),
        api_key_id=api_key_id,
        kind=Entry.ADJUST,
        amount_micro=amount_micro,
        windows=[[charge.kind, charge.starts_at.isoformat(), charge.amount] for charge in changes],
        reason=reason[:200],
    )
    if changes:
        counters.open_windows(tenant.pk, [(api_key_id, change.kind, change.starts_at) for change in changes])
        counters.charge(tenant.pk, [CounterCharge(api_key_id, change, None) for change in changes])


def _settle(generation_id: UUID, kind: Entry, reason: str) -> bool:
    held = LedgerEntry.objects.get(generation_id=generation_id, kind=Entry.HOLD)
    lock_tenant(held.tenant_id)
    if LedgerEntry.objects.filter(generation_id=generation_id, kind__in=[Entry.CAPTURE, Entry.RELEASE]).exists():
        return False
    LedgerEntry.objects.create(
        tenant_id=held.tenant_id,
        api_key_id=held.api_key_id,
        test=held.test,
        generation_id=generation_id,
        kind=kind,
        amount_micro=held.amount_micro,
        reason=reason[:200],
    )
    counters.charge(held.tenant_id, _given_back(held, GIVEN_BACK[kind]))
    return True


def _given_back(held: LedgerEntry, kinds: set[Kind]) -> list[CounterCharge]:
    back = [
        Charge(Kind(kind), datetime.fromisoformat(starts_at), -amount)
        for kind, starts_at, amount in held.windows
        if kind in kinds
    ]
    return [CounterCharge(holder, charge, None) for holder in holders(held) for charge in back]


def holders(entry: LedgerEntry) -> list[int | None]:
    """Return whose windows an entry charges: an adjustment those of one holder; a hold the tenant's (None), unless it
    is a test, and its key's."""
    if entry.kind == Entry.ADJUST:
        return [entry.api_key_id]
    return [*([] if entry.test else [None]), *([entry.api_key_id] if entry.api_key_id else [])]
