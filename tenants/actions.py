"""The actions of operators on tenants and keys. Each function is one transaction with an audit entry.

An action on an existing row locks the tenant first: an admission comes wholly before or wholly after the action.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Model

from tenants import allowed_values, amounts, audit, locks, signals, times
from tenants.audit import Actor
from tenants.db import clock
from tenants.errors import NoSandbox, NotPossible
from tenants.keys import key_format
from tenants.keys.key_cache import cached_keys
from tenants.limits import windows
from tenants.limits.windows import Charge, Kind
from tenants.models import ApiKey, Tenant
from tenants.money import carry_over, ledger

MAX_ADJUSTMENT_MICRO_USD = 10**15  # thousands of them still fit the 64 bits of a counter


def create_tenant(actor: Actor, name: str, *, time_zone: str = "UTC", **facts: Any) -> Tenant:
    """Create a tenant. `facts`: limits, the fields of the generation policy, allowed models and networks.

    Raise NotPossible for a name that is taken, or for a value that is not allowed.
    """
    allowed_values.check_name(name)
    allowed_values.check_generation_policy(facts)
    facts |= allowed_values.check_allow_lists(facts)
    with allowed_values.unique_name(name), transaction.atomic():
        tenant = Tenant(name=name, time_zone=allowed_values.checked_time_zone(time_zone), **facts)
        tenant.save(force_insert=True)
        policy = {field: getattr(tenant, field) for field in Tenant.GENERATION_POLICY_FIELDS}
        values = {**tenant.limits, **tenant.allow_lists, **policy, "time_zone": time_zone}
        audit.record(actor, "create tenant", tenant, name, values)
    return tenant


def change_tenant(actor: Actor, tenant: Tenant, **values: Any) -> Tenant:
    """Set the tenant's name, time zone, limits, allow lists or generation policy; None removes a limit.

    Running generations are not affected. Return the tenant as it is now. Raise NotPossible.
    """
    allowed_values.check_generation_policy(values)
    with allowed_values.unique_name(values.get("name", tenant.name)), transaction.atomic():
        locked = locks.lock_tenant(tenant.pk)
        lists = allowed_values.check_allow_lists(values, locked.allowed_models)
        changes = _changed_values(locked, {**values, **lists})
        if "name" in changes:
            allowed_values.check_name(values["name"])
        if "time_zone" in changes:
            carry_over.carry_to_time_zone(locked, allowed_values.checked_time_zone(values["time_zone"]))
        save_changes(actor, "change tenant", locked, locked.name, locked, changes)
    return locked


def suspend(actor: Actor, tenant: Tenant, *, cancel_queued: bool = False) -> int:
    """Refuse the tenant's new generations and hold its queued ones; running ones finish.

    `cancel_queued`: also cancel what is queued, of a suspended tenant too. Return how many were cancelled. Raise
    NotPossible for a tenant that is suspended already.
    """
    if not (cancel_queued and Tenant.objects.filter(pk=tenant.pk, suspended_at__isnull=False).exists()):
        _set_suspension(actor, "suspend", tenant, is_suspended=True)
    return _cancel_queued(actor, tenant, None) if cancel_queued else 0


def resume(actor: Actor, tenant: Tenant) -> None:
    """End the tenant's suspension; what is queued goes on. Raise NotPossible for a tenant that is not suspended."""
    _set_suspension(actor, "resume", tenant, is_suspended=False)
    signals.suspension_ended.send(sender=Tenant, tenant=tenant)


def create_key(
    actor: Actor,
    tenant: Tenant,
    *,
    label: str = "",
    scopes: Sequence[str] | None = None,
    expires_at: datetime | None = None,
    test: bool = False,
    limits: Mapping[str, int | None] | None = None,
    allow_lists: Mapping[str, Sequence[str]] | None = None,
    replaced: ApiKey | None = None,
) -> key_format.NewKey:
    """Create a key and return its text, which is not stored. `scopes`: None means all.

    `allow_lists`: the models and networks that are allowed, by column. Models of the list of a `replaced` key may have
    left the catalogue.
    Raise NoSandbox for a test key where there is no sandbox, NotPossible for a value that is not allowed.
    """
    if test and not settings.SANDBOX_BASE_URL:
        raise NoSandbox
    allowed_values.check_label(label)
    if unknown := set(scopes or []) - set(ApiKey.Scope.values):
        raise NotPossible(reason=f"There is no scope {sorted(unknown)[0]!r}.")
    lists = allowed_values.check_allow_lists(allow_lists or {}, replaced.allowed_models if replaced else ())
    facts = {"label": label, "scopes": list(ApiKey.Scope.values if scopes is None else scopes), "test": test}
    new = key_format.generate(test=test)
    with transaction.atomic():
        key = ApiKey(
            tenant=tenant, prefix=new.prefix, digest=new.digest, expires_at=expires_at, **facts, **limits or {}, **lists
        )
        key.save(force_insert=True)
        set_limits = {name: value for name, value in key.limits.items() if value is not None}
        set_lists = {name: items for name, items in key.allow_lists.items() if items}
        values = {**facts, **set_limits, **set_lists, "expires_at": _as_json(expires_at)}
        audit.record(actor, "mint key", tenant, new.prefix, values)
    return new


def change_key(actor: Actor, key: ApiKey, **values: Any) -> ApiKey:
    """Set the key's label, limits or allow lists; None removes a limit.

    Return the key as it is now. Raise NotPossible.
    """
    allowed_values.check_label(values.get("label", ""))
    with transaction.atomic():
        locked = locks.lock_key(key.pk)
        values |= allowed_values.check_allow_lists(values, locked.allowed_models)
        save_changes(actor, "change key", locked.tenant, locked.prefix, locked, values)
    return locked


def roll_key(actor: Actor, key: ApiKey, overlap: timedelta) -> tuple[key_format.NewKey, datetime]:
    """Create a key with the same label, scopes, limits, lists and expiry, and let the old one expire after `overlap`.

    Return the new key, and when the old key expires: never later than before. Raise NotPossible for a revoked key.
    """
    with transaction.atomic():
        old = locks.lock_key(key.pk)
        if old.revoked_at:
            raise NotPossible(reason=f"{old.prefix} is revoked. Create a new key instead.")
        now, expires_at = clock.now(), old.expires_at
        ends = min(filter(None, [expires_at, now + overlap]))
        save_changes(actor.without_form(), "roll key", old.tenant, old.prefix, old, {"expires_at": ends})
        facts: dict[str, Any] = {"label": old.label, "scopes": old.scopes, "test": old.test, "limits": old.limits}
        new = create_key(actor, old.tenant, expires_at=expires_at, allow_lists=old.allow_lists, replaced=old, **facts)
        carry_over.carry_to_key(old, ApiKey.objects.get(prefix=new.prefix), now)
    return new, ends


def revoke_key(actor: Actor, key: ApiKey, *, cancel_queued: bool = False) -> int | None:
    """Revoke the key for ever. What it has queued goes on, or with `cancel_queued` is cancelled.

    Return how many were cancelled; None for a key that was revoked before, of which nothing is cancelled.
    """
    with transaction.atomic():
        locked = locks.lock_key(key.pk)
        if locked.revoked_at:
            return None
        revoked = {"revoked_at": clock.now()}
        save_changes(actor, "revoke key", locked.tenant, locked.prefix, locked, revoked)
    return _cancel_queued(actor, locked.tenant, locked) if cancel_queued else 0


def adjust(actor: Actor, tenant: Tenant, amount_micro: int) -> None:
    """Put an amount (a credit is negative) on this month's bill and budget. Raise NotPossible."""
    if not actor.reason or not 0 < abs(amount_micro) <= MAX_ADJUSTMENT_MICRO_USD:
        raise NotPossible(reason="An adjustment has a reason, and an amount that is not 0 and at most a billion USD.")
    with transaction.atomic():
        locked = locks.lock_tenant(tenant.pk)
        now = clock.now()
        starts_at = windows.start(Kind.USD_PER_MONTH, now, locked.zone)
        if ledger.spent_micro(locked, starts_at) + amount_micro < 0:
            raise NotPossible(reason="A credit can not be larger than what was spent this month.")
        change = Charge(Kind.USD_PER_MONTH, starts_at, amount_micro)
        ledger.adjust(locked, amount_micro, [change], actor.reason, at=now)
        audit.record(actor, "adjust", locked, locked.name, {"usd": amounts.format_usd(amount_micro)})


def save_changes(actor: Actor, action: str, tenant: Tenant, target: str, row: Model, values: Mapping[str, Any]) -> None:
    """Set the values of a locked row, and write the audit entry. Do nothing if the row has these values already."""
    changes = _changed_values(row, values)
    if not changes:
        return
    before_and_after = {name: [_as_json(getattr(row, name)), _as_json(value)] for name, value in changes.items()}
    for name, value in changes.items():
        setattr(row, name, value)
    row.save(update_fields=list(changes))
    _drop_from_cache(row)
    audit.record(actor, action, tenant, target, before_and_after)


def _set_suspension(actor: Actor, action: str, tenant: Tenant, *, is_suspended: bool) -> None:
    """Suspend the tenant, or end its suspension.

    The time is that of the lock: each attempt that was recorded before is older, and there is none after it.
    """
    with transaction.atomic():
        locked = locks.lock_tenant(tenant.pk)
        locks.hold_submits()
        if bool(locked.suspended_at) == is_suspended:
            raise NotPossible(reason=f"The tenant is {'suspended already' if is_suspended else 'not suspended'}.")
        columns = {"suspended_at": clock.now() if is_suspended else None}
        save_changes(actor, action, locked, locked.name, locked, columns)


def _cancel_queued(actor: Actor, tenant: Tenant, key: ApiKey | None) -> int:
    """Cancel what the tenant, or its key, has queued, after the action was committed. Return how many."""
    answers: list[tuple[Any, Any]] = signals.queue_cancelled.send(sender=Tenant, actor=actor, tenant=tenant, key=key)
    return sum(count for _, count in answers)


def _changed_values(row: Model, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that differ from the row's."""
    return {name: value for name, value in values.items() if getattr(row, name) != value}


def _drop_from_cache(row: Model) -> None:
    """Let this process read the row again, now and after the commit.

    What follows in the enclosing transaction needs the new row. Another thread may read the old row until the commit.
    """
    cached_keys.drop(row)
    transaction.on_commit(partial(cached_keys.drop, row))


def _as_json(value: Any) -> Any:
    """Return a time as text, and any other value as it is."""
    return times.iso(value, "seconds") if isinstance(value, datetime) else value
