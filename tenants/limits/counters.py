"""The counters of usage windows, of a tenant and of each of its keys: what was used in a minute, a day, a month, and
what is in flight.

Counters change only inside a transaction that holds the tenant's row lock: a limit that is being lowered, and
admissions by other processes, come wholly before or wholly after. A window's row is opened before that, and stays.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, lru_cache
from typing import Any

from tenants.db.engine import engine
from tenants.db.operations import Statement
from tenants.limits import windows
from tenants.limits.windows import Charge, Kind, Standing
from tenants.models import ApiKey, Limits, Tenant, Window

MINUTES_KEPT = timedelta(hours=2)  # no admission asks for an older minute; days and months are kept for ever
RETURNING = "api_key_id, kind, used"

# One statement for all counters, right on both databases (SQLite from 3.35 on). Its rows are the verdict: a counter
# that has no capacity, or no window's row, is missing from them.
OF_CHARGED = """
 WHERE tenants_window.tenant_id = %s AND COALESCE(tenants_window.api_key_id, 0) = charged.api_key_id
   AND tenants_window.kind = charged.kind AND tenants_window.starts_at = charged.starts_at {after}
"""
CHARGE = """
WITH charged (api_key_id, kind, starts_at, amount, max_used) AS (VALUES {rows})
UPDATE tenants_window SET used = used + charged.amount FROM charged {of_charged}
   AND (charged.max_used IS NULL OR used + charged.amount <= charged.max_used)
RETURNING tenants_window.api_key_id, tenants_window.kind, used
"""
USED = """
WITH charged (api_key_id, kind, starts_at, amount, max_used) AS (VALUES {rows})
SELECT tenants_window.api_key_id, tenants_window.kind, used FROM charged, tenants_window {of_charged}
"""
FIRST_ROW = f"({', '.join(engine.typed(name) for name in ('bigint', 'text', 'timestamptz', 'bigint', 'bigint'))})"
ROW = "(%s, %s, %s, %s, %s)"  # the first row says what the columns of all are
OPEN = """
INSERT INTO tenants_window (tenant_id, api_key_id, kind, starts_at, used) VALUES {rows} ON CONFLICT DO NOTHING
"""

Name = tuple[int | None, str]  # the holder's api_key_id and the kind
Used = dict[Name, int]


@dataclass(frozen=True)
class CounterCharge:
    """A charge against one holder's counter: the tenant's, where `api_key_id` is None, or that of a key of it."""

    api_key_id: int | None
    charge: Charge
    limit: int | None

    @property
    def name(self) -> Name:
        return self.api_key_id, self.charge.kind.value

    def standing(self, used: int, tenant: Tenant) -> Standing:
        kind, starts_at = self.charge.kind, self.charge.starts_at
        resets_at = windows.end(kind, starts_at, tenant.zone)
        return Standing(kind, self.api_key_id is not None, self.limit, used, starts_at, resets_at)


def charges_of(key: ApiKey, charges: Sequence[Charge]) -> list[CounterCharge]:
    """Return the charges against each holder: the key's tenant, and the key. A test key charges only its own."""
    holders: list[tuple[int | None, Limits]] = [*([] if key.test else [(None, key.tenant)]), (key.pk, key)]
    every = [(pk, charge, windows.limit(holder, charge.kind)) for pk, holder in holders for charge in charges]
    return [CounterCharge(*one) for one in every]


def charging(tenant_id: int, charged: Sequence[CounterCharge]) -> Statement:
    """Return the UPDATE that charges the counters that have capacity, for an admission's plan."""
    return Statement(_charge_text(len(charged)), [*_values(charged), tenant_id])


def charge(tenant_id: int, charged: Sequence[CounterCharge]) -> None:
    """Charge the counters of windows that are open; a negative amount gives back."""
    if charged:
        sql, values = charging(tenant_id, charged)
        engine.run(sql.format(after=""), values)


def ensure_windows(tenant_id: int, charged: Sequence[CounterCharge]) -> None:
    """Open the windows that this process has not seen open, in a transaction of their own, so that a missing window is
    no reason to refuse. A window once opened stays for as long as an admission may ask for it."""
    _open_once(tenant_id, tuple((one.api_key_id, one.charge.kind, one.charge.starts_at) for one in charged))


def forget_open_windows() -> None:
    """Look for each window again: one was missing, as after a restore of an older database."""
    _open_once.cache_clear()


@lru_cache(maxsize=10_000)
def _open_once(tenant_id: int, windows: tuple[tuple[int | None, Kind, datetime], ...]) -> None:
    open_windows(tenant_id, windows)


def open_windows(tenant_id: int, windows: Sequence[tuple[int | None, Kind, datetime]]) -> None:
    """Insert the windows, each by its holder, kind and start, that are not there; in a caller's transaction as part of
    that."""
    rows = [(tenant_id, api_key_id, kind.value, engine.adapt(start), 0) for api_key_id, kind, start in windows]
    engine.write(OPEN.format(rows=", ".join([ROW] * len(rows))), [value for row in rows for value in row])


def delete_old_minutes(now: datetime, *, dry: bool = False) -> int:
    """Delete the minutes, of all tenants, that no admission asks for any more, and return how many there were."""
    over = Window.objects.filter(kind=Kind.REQUESTS_PER_MINUTE, starts_at__lt=now - MINUTES_KEPT)
    return over.count() if dry else over.delete()[0]


def for_key(key: ApiKey, at: datetime) -> list[Standing]:
    """Return the usage of each limit of the key's tenant, and of the key itself, at that time."""
    return _standings(key.tenant, charges_of(key, windows.charges(0, 0, at, key.tenant.zone)))


def for_tenant(tenant: Tenant, at: datetime) -> list[Standing]:
    """Return the usage of each limit of the tenant alone, at that time."""
    charges = windows.charges(0, 0, at, tenant.zone)
    return _standings(tenant, [CounterCharge(None, charge, windows.limit(tenant, charge.kind)) for charge in charges])


def _standings(tenant: Tenant, charged: Sequence[CounterCharge]) -> list[Standing]:
    used = read(tenant.pk, charged)
    return [one.standing(used.get(one.name, 0), tenant) for one in charged]


def read(tenant_id: int, charged: Sequence[CounterCharge]) -> Used:
    """Return what is used in each window that is open, without a lock."""
    if not charged:
        return {}
    return used_by(engine.run(_used_text(len(charged)), [*_values(charged), tenant_id]))


def used_by(rows: Iterable[Any]) -> Used:
    """Return what is used, by holder and kind, from rows of RETURNING."""
    return {(api_key_id, kind): used for api_key_id, kind, used in rows}


def _values(charged: Sequence[CounterCharge]) -> list[Any]:
    values: list[Any] = []
    for one in charged:
        charge = one.charge
        values += [one.api_key_id or 0, charge.kind.value, engine.adapt(charge.starts_at), charge.amount, one.limit]
    return values


@cache
def _charge_text(rows: int) -> str:
    return CHARGE.format(rows=_rows(rows), of_charged=OF_CHARGED)


@cache
def _used_text(rows: int) -> str:
    return USED.format(rows=_rows(rows), of_charged=OF_CHARGED.format(after=""))


def _rows(count: int) -> str:
    return ", ".join([FIRST_ROW, *[ROW] * (count - 1)])
