"""Carries usage over into new windows, so that a new time zone or a rolled key does not begin with empty counters.

A carry-over is an adjustment of 0 USD in the ledger. It is on no bill, and is never carried over a second time.
"""

from datetime import datetime

from tenants.db import clock
from tenants.limits import counters, windows
from tenants.limits.windows import Charge, Kind
from tenants.models import ApiKey, Tenant, Window
from tenants.money import ledger

KINDS = (Kind.PER_DAY, Kind.PER_MONTH, Kind.SECONDS_PER_MONTH, Kind.USD_PER_MONTH)


def carry_to_time_zone(tenant: Tenant, name: str) -> None:
    """Charge the windows of the new time zone with what was used since they began. The tenant is locked.

    A generation that fails later, or costs less than was held, gives back to the window it was charged to, not to the
    new one. That is the price of never admitting too much.
    """
    now, old, new = clock.now(), tenant.zone, Tenant(time_zone=name).zone
    for kind in KINDS:
        starts_at = windows.start(kind, now, new)
        if starts_at == windows.start(kind, now, old):
            continue
        rows = Window.objects.filter(tenant=tenant, kind=kind, starts_at=starts_at)
        counted = {window.api_key_id: window.used for window in rows}
        for (holder, used_kind), used in ledger.used_since(tenant.pk, starts_at).items():
            missing = used - counted.get(holder, 0)
            if used_kind == kind and missing > 0:
                change = [Charge(kind, starts_at, missing)]
                ledger.adjust(tenant, 0, change, f"carried over to {name}", at=now, api_key_id=holder)


def carry_to_key(old: ApiKey, new: ApiKey, now: datetime) -> None:
    """Charge the limited windows of a rolled key to the key's successor. The tenant is locked.

    What is in flight is not carried over: generations give it back, to the old key, when they end.
    """
    usages = counters.usage_for_key(old, now)
    limited = {usage.kind: usage for usage in usages if usage.is_of_key and usage.limit is not None}
    changes = [Charge(kind, limited[kind].starts_at, limited[kind].used) for kind in KINDS if kind in limited]
    if changes := [change for change in changes if change.amount > 0]:
        ledger.adjust(old.tenant, 0, changes, f"carried over from {old.prefix}", at=now, api_key_id=new.pk)
