"""What ops do to tenants and keys, one function an act: each in one transaction with its line in the audit log.

`by` names who acts, as the audit log shows it. An act on what is there locks the tenant first: an admission comes
wholly before or wholly after.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Exists, Model, OuterRef, Sum
from django.utils import timezone

from tenants import amounts, times
from tenants.db.engine import engine
from tenants.db.operations import Statement
from tenants.db.prepared_statements import Insert
from tenants.errors import NoSandbox, NotPossible
from tenants.keys import key_format
from tenants.keys.key_cache import cached_keys
from tenants.limits import counters, windows
from tenants.limits.windows import Charge, Kind
from tenants.models import ApiKey, AuditEntry, LedgerEntry, Tenant, Window, check_time_zone
from tenants.money import ledger

CARRIED = (Kind.PER_DAY, Kind.PER_MONTH, Kind.SECONDS_PER_MONTH, Kind.USD_PER_MONTH)
LONGEST_DEADLINE = 7 * 86400  # seconds
MOST_DAYS = 36_500  # a century
MOST_ADJUSTED = 10**15  # micro-USD: thousands of them still fit the 64 bits of a counter

_insert_audit_entry = Insert(AuditEntry)


@dataclass(frozen=True)
class Actor:
    """Who does it, and why."""

    name: str
    reason: str = ""


def create_tenant(actor: Actor, name: str, *, time_zone: str = "UTC", **facts: Any) -> Tenant:
    """`facts`: limits, and what it wants of its generations. Raises NotPossible for a name that is taken or no name."""
    _check_name(name)
    _check_wants(facts)
    with _unique_name(name), transaction.atomic():
        tenant = Tenant(name=name, time_zone=_checked_zone(time_zone), **facts)
        tenant.save(force_insert=True)
        wants = {wish: getattr(tenant, wish) for wish in Tenant.WANTS}
        note(actor, "create tenant", tenant, name, {**tenant.limits, **wants, "time_zone": time_zone})
    return tenant


def change_tenant(actor: Actor, tenant: Tenant, **wanted: Any) -> Tenant:
    """Set its name, its time zone, its limits or its wants; None takes a limit away. Running generations go on."""
    _check_wants(wanted)
    with _unique_name(wanted.get("name", tenant.name)), transaction.atomic():
        locked = ledger.lock_tenant(tenant.pk)
        changes = _changes(locked, wanted)
        if "name" in changes:
            _check_name(wanted["name"])
        if "time_zone" in changes:
            _carry_over(locked, _checked_zone(wanted["time_zone"]))
        record_changes(actor, "change tenant", locked, locked.name, locked, changes)
    return locked


def suspend(actor: Actor, tenant: Tenant) -> None:
    """New generations are refused; running ones finish."""
    _suspend(actor, "suspend", tenant, timezone.now())


def resume(actor: Actor, tenant: Tenant) -> None:
    _suspend(actor, "resume", tenant, None)


def mint_key(
    actor: Actor,
    tenant: Tenant,
    *,
    label: str = "",
    scopes: Sequence[str] | None = None,
    expires_at: datetime | None = None,
    test: bool = False,
    limits: Mapping[str, int | None] | None = None,
) -> key_format.NewKey:
    """A new key, its text shown this once. Raises NoSandbox for a test key where there is no sandbox."""
    if test and not settings.SANDBOX_BASE_URL:
        raise NoSandbox
    _check_label(label)
    if unknown := set(scopes or []) - set(ApiKey.Scope.values):
        raise NotPossible(reason=f"There is no scope {sorted(unknown)[0]!r}.")
    facts = {"label": label, "scopes": list(ApiKey.Scope.values if scopes is None else scopes), "test": test}
    new = key_format.generate(test=test)
    with transaction.atomic():
        key = ApiKey(
            tenant=tenant, prefix=new.prefix, digest=new.digest, expires_at=expires_at, **facts, **limits or {}
        )
        key.save(force_insert=True)
        given = {name: value for name, value in key.limits.items() if value is not None}
        note(actor, "mint key", tenant, new.prefix, {**facts, **given, "expires_at": _plain(expires_at)})
    return new


def change_key(actor: Actor, key: ApiKey, **wanted: Any) -> ApiKey:
    """Set its label or its own limits; None takes a limit away."""
    _check_label(wanted.get("label", ""))
    with transaction.atomic():
        locked = ledger.lock_key(key.pk)
        record_changes(actor, "change key", locked.tenant, locked.prefix, locked, wanted)
    return locked


def roll_key(actor: Actor, key: ApiKey, overlap: timedelta) -> tuple[key_format.NewKey, datetime]:
    """A new key that may do what the old one may, for as long; and until when the old one is good: never longer."""
    with transaction.atomic():
        old = ledger.lock_key(key.pk)
        if old.revoked_at:
            raise NotPossible(reason=f"{old.prefix} is revoked; mint a new one instead.")
        now, expires_at = timezone.now(), old.expires_at
        ends = min(filter(None, [expires_at, now + overlap]))
        record_changes(actor, "roll key", old.tenant, old.prefix, old, {"expires_at": ends})
        facts: dict[str, Any] = {"label": old.label, "scopes": old.scopes, "test": old.test, "limits": old.limits}
        new = mint_key(actor, old.tenant, expires_at=expires_at, **facts)
        _carry_to_successor(old, new.prefix, now)
    return new, ends


def revoke_key(actor: Actor, key: ApiKey) -> bool:
    """For ever. False where it was revoked before."""
    with transaction.atomic():
        locked = ledger.lock_key(key.pk)
        if locked.revoked_at:
            return False
        revoked = {"revoked_at": timezone.now()}
        record_changes(actor, "revoke key", locked.tenant, locked.prefix, locked, revoked)
    return True


def adjust(actor: Actor, tenant: Tenant, amount_micro: int) -> None:
    """Put an amount (a credit is negative) on this month's bill and budget. Raises NotPossible."""
    if not actor.reason or not 0 < abs(amount_micro) <= MOST_ADJUSTED:
        raise NotPossible(reason="An adjustment has a reason, and an amount that is not 0 and at most a billion USD.")
    with transaction.atomic():
        locked = ledger.lock_tenant(tenant.pk)
        now = timezone.now()
        starts_at = windows.start(Kind.USD_PER_MONTH, now, locked.zone)
        if _spent_micro(locked, starts_at) + amount_micro < 0:
            raise NotPossible(reason="A credit can not be larger than what was spent this month.")
        change = Charge(Kind.USD_PER_MONTH, starts_at, amount_micro)
        ledger.adjust(locked, amount_micro, [change], actor.reason, at=now)
        note(actor, "adjust", locked, locked.name, {"usd": amounts.usd(amount_micro)})


def _spent_micro(tenant: Tenant, starts_at: datetime) -> int:
    """Of the month that began then, without what is only held: that may still go back."""
    entries = LedgerEntry.objects.filter(tenant=tenant, test=False)
    ends = entries.filter(generation_id=OuterRef("generation_id")).exclude(kind=LedgerEntry.Kind.HOLD)
    held = entries.filter(~Exists(ends), kind=LedgerEntry.Kind.HOLD, at__gte=starts_at)
    used = Window.objects.filter(tenant=tenant, api_key=None, kind=Kind.USD_PER_MONTH, starts_at=starts_at)
    held_micro: int = held.aggregate(micro=Sum("amount_micro", default=0))["micro"]
    return (used.values_list("used", flat=True).first() or 0) - held_micro


def _carry_over(tenant: Tenant, name: str) -> None:
    """Its days and months will begin at other instants: what was used since then counts in the new ones too.

    What fails later is given back to the window that it was charged to, and not to the new one; the price of never
    admitting too much.
    """
    now, old, new = timezone.now(), tenant.zone, Tenant(time_zone=name).zone
    for kind in CARRIED:
        starts_at = windows.start(kind, now, new)
        if starts_at == windows.start(kind, now, old):
            continue
        opened = Window.objects.filter(tenant=tenant, kind=kind, starts_at=starts_at)
        known = {window.api_key_id: window.used for window in opened}
        for (holder, used_kind), used in ledger.used_since(tenant.pk, starts_at).items():
            missing = used - known.get(holder, 0)
            if used_kind == kind and missing > 0:
                change = [Charge(kind, starts_at, missing)]
                ledger.adjust(tenant, 0, change, f"carried over to {name}", at=now, api_key_id=holder)


def _carry_to_successor(old: ApiKey, prefix: str, now: datetime) -> None:
    """A rolled key's own limits do not begin anew; what is in flight frees by itself, under the old key."""
    new = ApiKey.objects.get(prefix=prefix)
    used = {one.kind: one for one in counters.for_key(old, now) if one.of_key and one.limit is not None}
    changes = [Charge(kind, used[kind].starts_at, used[kind].used) for kind in CARRIED if kind in used]
    if changes := [change for change in changes if change.amount > 0]:
        ledger.adjust(old.tenant, 0, changes, f"carried over from {old.prefix}", at=now, api_key_id=new.pk)


def _suspend(actor: Actor, name: str, tenant: Tenant, at: datetime | None) -> None:
    with transaction.atomic():
        locked = ledger.lock_tenant(tenant.pk)
        if bool(locked.suspended_at) == bool(at):
            raise NotPossible(reason=f"The tenant is {'suspended already' if at else 'not suspended'}.")
        record_changes(actor, name, locked, locked.name, locked, {"suspended_at": at})


def _changes(row: Model, wanted: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in wanted.items() if getattr(row, name) != value}


def record_changes(
    actor: Actor, action: str, tenant: Tenant, target: str, row: Model, wanted: Mapping[str, Any]
) -> None:
    """Write what `wanted` changes of a row that is locked, with the audit's entry; nothing where nothing changes."""
    changes = _changes(row, wanted)
    if not changes:
        return
    told = {name: [_plain(getattr(row, name)), _plain(value)] for name, value in changes.items()}
    for name, value in changes.items():
        setattr(row, name, value)
    row.save(update_fields=list(changes))
    _drop_from_cache(row)
    note(actor, action, tenant, target, told)


def _drop_from_cache(row: Model) -> None:
    """Let this process read the row anew: at once, for whoever goes on in the transaction that encloses the change,
    and after the commit, since another thread may have read the old row until then."""
    cached_keys.drop(row)
    transaction.on_commit(partial(cached_keys.drop, row))


def note(actor: Actor, action: str, tenant: Tenant, target: str, changes: Mapping[str, Any]) -> None:
    """Write the audit entry of an action, in the action's own transaction."""
    engine.run(*audit_entry(actor, action, tenant, target, changes))


def audit_entry(actor: Actor, action: str, tenant: Tenant, target: str, changes: Mapping[str, Any]) -> Statement:
    """Return the INSERT of the audit entry, for a transaction that is not the ORM's."""
    return _insert_audit_entry.of(
        actor=actor.name, action=action, tenant_id=tenant.pk, target=target, changes=dict(changes), reason=actor.reason
    )


def check_reason(actor: Actor) -> None:
    if not actor.reason.strip():
        raise NotPossible(reason="It needs a reason.")


def _check_name(name: str) -> None:
    if not 0 < len(name) <= 100 or not name.isprintable() or name != name.strip():
        raise NotPossible(reason="A tenant's name has 1 to 100 printable characters.")


def _check_wants(facts: Mapping[str, Any]) -> None:
    if facts.get("on_doubt", Tenant.OnDoubt.HOLD) not in Tenant.OnDoubt.values:
        raise NotPossible(reason=f"A doubt is met with one of {', '.join(Tenant.OnDoubt.values)}.")
    seconds = facts.get("submit_deadline")
    if seconds is not None and not 0 < seconds <= LONGEST_DEADLINE:
        raise NotPossible(reason=f"A submit deadline has 1 to {LONGEST_DEADLINE} seconds.")
    for name in ("video_days", "input_days"):
        days = facts.get(name)
        if days is not None and not 0 <= days <= MOST_DAYS:
            raise NotPossible(reason=f"Things are kept for 1 to {MOST_DAYS} days, or for ever, which is 0.")


@contextmanager
def _unique_name(name: str) -> Iterator[None]:
    """The schema is asked, not a look before: two may choose it at one moment."""
    try:
        yield
    except IntegrityError as error:
        if not Tenant.objects.filter(name=name).exists():
            raise
        raise NotPossible(reason=f"There is a tenant named {name!r} already.") from error


def _check_label(label: str) -> None:
    if len(label) > 100 or not label.isprintable():
        raise NotPossible(reason="A label has at most 100 printable characters.")


def _checked_zone(name: str) -> str:
    try:
        check_time_zone(name)
    except ValidationError as error:
        raise NotPossible(reason=error.message) from error
    return name


def _plain(value: Any) -> Any:
    return times.iso(value, "seconds") if isinstance(value, datetime) else value
