"""Holds, captures, releases and adjustments: ledger entries, which are never changed, and the counters they charge.

Every function that writes runs in the caller's transaction, and changes counters only under the tenant's row lock.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Exists, OuterRef, QuerySet, Sum

from tenants import locks
from tenants.db.operations import Statement
from tenants.db.prepared_statements import Insert
from tenants.limits import counters, windows
from tenants.limits.counters import CounterCharge
from tenants.limits.windows import Charge, Kind
from tenants.models import ApiKey, LedgerEntry, Tenant, Window

Entry = LedgerEntry.Kind
WindowName = tuple[int | None, str, datetime]  # api_key_id of the holder (None: the tenant), kind and start
# A rate counts requests, so it is not given back when a generation ends without a video.
RETURNED_KINDS = {
    Entry.CAPTURE: {Kind.IN_FLIGHT},
    Entry.RELEASE: set(Kind) - {Kind.REQUESTS_PER_MINUTE},
}

_insert = Insert(LedgerEntry)


@dataclass(frozen=True)
class Purchase:
    """The video for which a price is held."""

    generation_id: UUID
    item: str  # the name on the bill
    seconds: int
    price_micro: int
    at: datetime
    charges: Sequence[Charge]


def hold_statement(key: ApiKey, purchase: Purchase) -> Statement:
    """Return the INSERT of the hold, for the admission's plan, which charges the counters."""
    return _insert.with_values(
        tenant_id=key.tenant_id,
        api_key_id=key.pk,
        test=key.test,
        generation_id=purchase.generation_id,
        kind=Entry.HOLD.value,
        amount_micro=purchase.price_micro,
        item=purchase.item,
        seconds=purchase.seconds,
        windows=[[charge.kind.value, charge.starts_at.isoformat(), charge.amount] for charge in purchase.charges],
        at=purchase.at,
        month=windows.month(purchase.at, key.tenant.zone),
    )


def capture(generation_id: UUID, amount_micro: int | None = None, reason: str = "", *, account: str = "") -> bool:
    """Spend the held price, or another amount in its place: the video was delivered.

    What the amount is below or above the hold is given back to, or taken from, the budgets that the hold was charged
    to, whatever their limits. `account` names the upstream account that made the video. Return False if the hold is
    settled already.
    """
    return _settle(generation_id, Entry.CAPTURE, reason, amount_micro, account=account)


def release(generation_id: UUID, reason: str, *, account: str = "") -> bool:
    """Give back the held price and the charges of the counters: there will be no video.

    `account` names the upstream account that the last attempt went to, if there was one. Return False if the hold is
    settled already.
    """
    return _settle(generation_id, Entry.RELEASE, reason, account=account)


def fold(entries: QuerySet[LedgerEntry]) -> Counter[WindowName]:
    """Return what the counters should be by these entries of one tenant.

    Every hold counts, less what its capture or release gave back, and every adjustment. A capture of another amount
    than was held counts with its own.
    """
    ends = entries.filter(kind__in=[Entry.CAPTURE, Entry.RELEASE]).values_list("generation_id", "kind", "amount_micro")
    end_of = {generation_id: (Entry(kind), amount) for generation_id, kind, amount in ends}
    used: Counter[WindowName] = Counter()
    for entry in entries.filter(kind__in=[Entry.HOLD, Entry.ADJUST]).iterator():
        changes: list[Charge] = []
        if entry.generation_id in end_of:
            changes = _changes_at_end(entry, *end_of[entry.generation_id])
        for charge in [*_charges_of(entry), *changes]:
            for holder in holders_of(entry):
                used[holder, charge.kind, charge.starts_at] += charge.amount
    return used


def used_since(tenant_id: int, since: datetime) -> Counter[tuple[int | None, str]]:
    """Return what was used from then on, by holder and kind. Carried-over usage is not counted twice."""
    entries = LedgerEntry.objects.filter(tenant_id=tenant_id, at__gte=since)
    used: Counter[tuple[int | None, str]] = Counter()
    for (holder, kind, _), amount in fold(entries.exclude(kind=Entry.ADJUST, amount_micro=0)).items():
        used[holder, kind] += amount
    return used


def spent_micro(tenant: Tenant, starts_at: datetime) -> int:
    """Return the micro-USD spent in the month that began then, without holds: a hold may still go back."""
    entries = LedgerEntry.objects.filter(tenant=tenant, test=False)
    ends = entries.filter(generation_id=OuterRef("generation_id")).exclude(kind=Entry.HOLD)
    open_holds = entries.filter(~Exists(ends), kind=Entry.HOLD, at__gte=starts_at)
    used = Window.objects.filter(tenant=tenant, api_key=None, kind=Kind.USD_PER_MONTH, starts_at=starts_at)
    held_micro: int = open_holds.aggregate(micro=Sum("amount_micro", default=0))["micro"]
    return (used.values_list("used", flat=True).first() or 0) - held_micro


def adjust(
    tenant: Tenant,
    amount_micro: int,
    changes: Sequence[Charge],
    reason: str,
    *,
    at: datetime,
    api_key_id: int | None = None,
) -> None:
    """Write an adjustment, and charge the windows of a locked tenant, or of one of its keys. No limit refuses it."""
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


def holders_of(entry: LedgerEntry) -> list[int | None]:
    """Return the holders whose windows the entry charges: keys by their id, None for the tenant.

    An adjustment charges one holder. A hold charges its key and, unless it is a test, the tenant.
    """
    if entry.kind == Entry.ADJUST:
        return [entry.api_key_id]
    return [*([] if entry.test else [None]), *([entry.api_key_id] if entry.api_key_id else [])]


def _settle(
    generation_id: UUID, kind: Entry, reason: str, amount_micro: int | None = None, *, account: str = ""
) -> bool:
    """Write the capture or release of the hold and correct its charges. Return False if it is settled already."""
    hold = LedgerEntry.objects.get(generation_id=generation_id, kind=Entry.HOLD)
    locks.lock_tenant(hold.tenant_id)
    if LedgerEntry.objects.filter(generation_id=generation_id, kind__in=[Entry.CAPTURE, Entry.RELEASE]).exists():
        return False
    amount = hold.amount_micro if amount_micro is None else amount_micro
    LedgerEntry.objects.create(
        tenant_id=hold.tenant_id,
        api_key_id=hold.api_key_id,
        test=hold.test,
        generation_id=generation_id,
        kind=kind,
        amount_micro=amount,
        account=account,
        reason=reason[:200],
    )
    changes = _changes_at_end(hold, kind, amount)
    holders = holders_of(hold)
    counters.charge(hold.tenant_id, [CounterCharge(holder, change, None) for holder in holders for change in changes])
    return True


def _charges_of(entry: LedgerEntry) -> list[Charge]:
    """Return what an entry charges to each window."""
    return [Charge(Kind(kind), datetime.fromisoformat(starts_at), amount) for kind, starts_at, amount in entry.windows]


def _changes_at_end(hold: LedgerEntry, kind: Entry, amount_micro: int) -> list[Charge]:
    """Return how the capture or release of a hold changes the windows: what it gives back has a negative amount."""
    charges, returned = _charges_of(hold), RETURNED_KINDS[kind]
    changes = [Charge(charge.kind, charge.starts_at, -charge.amount) for charge in charges if charge.kind in returned]
    if kind == Entry.CAPTURE and (difference := amount_micro - hold.amount_micro):
        months = [charge.starts_at for charge in charges if charge.kind == Kind.USD_PER_MONTH]
        changes += [Charge(Kind.USD_PER_MONTH, starts_at, difference) for starts_at in months]
    return changes
