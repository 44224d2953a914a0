"""Holds, captures and releases, and the room that each takes in the tenant's windows.

Everything here runs inside the caller's transaction: a refusal rolls the whole admission back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db.models import F, OuterRef, Q, Subquery

from tenants.errors import BudgetReached, LimitReached
from tenants.models import LedgerEntry, Tenant, Window

Kind = Window.Kind
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A rate counts requests, so it is not given back when a generation ends without a video.
GIVEN_BACK = {
    LedgerEntry.Kind.CAPTURE: {Kind.IN_FLIGHT},
    LedgerEntry.Kind.RELEASE: {Kind.IN_FLIGHT, Kind.PER_DAY, Kind.PER_MONTH, Kind.USD_PER_MONTH},
}


@dataclass(frozen=True)
class Charge:
    """`amount` (a count, or micro-USD) to take from one window."""

    kind: Kind
    starts_at: datetime
    amount: int


def ends_at(kind: Kind, starts_at: datetime) -> datetime | None:
    """When the window is over and its successor is empty; None for `in_flight`, which never is."""
    match kind:
        case Kind.IN_FLIGHT:
            return None
        case Kind.REQUESTS_PER_MINUTE:
            return starts_at + timedelta(minutes=1)
        case Kind.PER_DAY:
            return starts_at + timedelta(days=1)
        case _:
            return (starts_at + timedelta(days=32)).replace(day=1)


def hold(tenant_id: int, generation_id: UUID, amount_micro: int, taken: Sequence[Charge]) -> None:
    LedgerEntry.objects.create(
        tenant_id=tenant_id,
        generation_id=generation_id,
        kind=LedgerEntry.Kind.HOLD,
        amount_micro=amount_micro,
        windows=[[charge.kind, charge.starts_at.isoformat(), charge.amount] for charge in taken],
    )


def take_room(tenant_id: int, wanted: Sequence[Charge]) -> None:
    """Take every charge or raise LimitReached for the first that does not fit.

    One conditional UPDATE a window: the row count is the verdict, on SQLite and PostgreSQL alike.
    """
    for charge in wanted:
        if not (_take(tenant_id, charge) or (_open(tenant_id, charge) and _take(tenant_id, charge))):
            raise _refusal(tenant_id, charge)


def capture(generation_id: UUID) -> None:
    """The video was delivered: the held price is spent."""
    _settle(generation_id, LedgerEntry.Kind.CAPTURE, "")


def release(generation_id: UUID, reason: str) -> None:
    """There will be no video: the held price, and the room in the windows charged, are given back."""
    _settle(generation_id, LedgerEntry.Kind.RELEASE, reason)


def _settle(generation_id: UUID, kind: LedgerEntry.Kind, reason: str) -> None:
    held = LedgerEntry.objects.get(generation_id=generation_id, kind=LedgerEntry.Kind.HOLD)
    LedgerEntry.objects.create(
        tenant_id=held.tenant_id,
        generation_id=generation_id,
        kind=kind,
        amount_micro=held.amount_micro,
        reason=reason[:200],
    )
    for window, starts_at, amount in held.windows:
        if window in GIVEN_BACK[kind]:
            row = Window.objects.filter(
                tenant_id=held.tenant_id, kind=window, starts_at=datetime.fromisoformat(starts_at)
            )
            row.update(used=F("used") - amount)


def _row(tenant_id: int, charge: Charge) -> dict[str, object]:
    return {"tenant_id": tenant_id, "kind": charge.kind, "starts_at": charge.starts_at}


def _take(tenant_id: int, charge: Charge) -> int:
    limit = Tenant.objects.filter(pk=OuterRef("tenant_id")).values(limit_field(charge.kind))
    row = Window.objects.filter(**_row(tenant_id, charge)).annotate(limit=Subquery(limit))
    fits = row.filter(Q(limit=None) | Q(limit__gte=F("used") + charge.amount))
    return fits.update(used=F("used") + charge.amount)


def _open(tenant_id: int, charge: Charge) -> bool:
    """Insert the window where it is not there yet; True where it may now be tried again."""
    if Window.objects.filter(**_row(tenant_id, charge)).exists():
        return False
    Window.objects.bulk_create([Window(**_row(tenant_id, charge))], ignore_conflicts=True)
    return True


def limit_field(kind: Kind) -> str:
    """The field of Limits that bounds this kind of window."""
    return "usd_per_month_micro" if kind == Kind.USD_PER_MONTH else kind.value


def _refusal(tenant_id: int, charge: Charge) -> LimitReached:
    limit = Tenant.objects.values_list(limit_field(charge.kind), flat=True).get(pk=tenant_id) or 0
    used = Window.objects.values_list("used", flat=True).get(**_row(tenant_id, charge))
    resets_at = ends_at(charge.kind, charge.starts_at)
    money = charge.kind == Kind.USD_PER_MONTH
    shown = (lambda micro: f"{micro / 1e6:.6f}") if money else str
    return (BudgetReached if money else LimitReached)(
        limit_name=charge.kind.value,
        limit=shown(limit),
        used=shown(used),
        wanted=shown(charge.amount),
        resets_at=resets_at,
        remedy=f"It resets at {resets_at:%Y-%m-%dT%H:%M:%SZ}." if resets_at else "It frees as generations end.",
    )
