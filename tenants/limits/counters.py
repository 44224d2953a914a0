"""The counters of usage windows: the amounts that a tenant and each of its keys used, by minute, day and month.

Counters change only inside a transaction that holds the tenant's row lock. So an admission comes wholly before or
wholly after a lowered limit. A window's row is inserted before that transaction, and stays.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, lru_cache
from typing import Any

from tenants.db.engine import engine
from tenants.db.operations import Statement
from tenants.limits import windows
from tenants.limits.windows import Charge, Kind, LimitUsage
from tenants.models import ApiKey, Limits, Tenant, Window

MINUTE_RETENTION = timedelta(hours=2)  # no admission reads an older minute; days and months stay for ever
RETURNING = "api_key_id, kind, used"

# One statement for all counters, for both databases (SQLite from 3.35 on). The returned rows are the verdict: a counter
# without capacity, or without a window's row, is missing from them.
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
COLUMN_TYPES = ("bigint", "text", "timestamptz", "bigint", "bigint")
FIRST_ROW = f"({', '.join(engine.typed_placeholder(sql_type) for sql_type in COLUMN_TYPES)})"
ROW = "(%s, %s, %s, %s, %s)"  # the first row says the columns' types for all rows
OPEN_WINDOWS = """
INSERT INTO tenants_window (tenant_id, api_key_id, kind, starts_at, used) VALUES {rows} ON CONFLICT DO NOTHING
"""

CounterName = tuple[int | None, str]  # the holder's api_key_id and the kind
Used = dict[CounterName, int]


@dataclass(frozen=True)
class CounterCharge:
    """A charge to the counter of one holder: the tenant if `api_key_id` is None, or one of the tenant's keys."""

    api_key_id: int | None
    charge: Charge
    limit: int | None

    @property
    def name(self) -> CounterName:
        """The holder and the kind, by which the returned rows are matched."""
        return self.api_key_id, self.charge.kind.value

    def usage(self, used: int, tenant: Tenant) -> LimitUsage:
        """Return the limit with `used`, and when the window resets."""
        kind, starts_at = self.charge.kind, self.charge.starts_at
        resets_at = windows.end(kind, starts_at, tenant.zone)
        return LimitUsage(kind, self.api_key_id is not None, self.limit, used, starts_at, resets_at)


def charges_by_holder(key: ApiKey, charges: Sequence[Charge]) -> list[CounterCharge]:
    """Return the charges to each holder's counters: the tenant's and the key's; for a test key only the key's."""
    holders: list[tuple[int | None, Limits]] = [*([] if key.test else [(None, key.tenant)]), (key.pk, key)]
    return [
        CounterCharge(pk, charge, windows.limit(holder, charge.kind)) for pk, holder in holders for charge in charges
    ]


def charge_statement(tenant_id: int, charged: Sequence[CounterCharge]) -> Statement:
    """Return the UPDATE that charges the counters that have capacity, for an admission's plan."""
    return Statement(_charge_text(len(charged)), [*_values(charged), tenant_id])


def charge(tenant_id: int, charged: Sequence[CounterCharge]) -> None:
    """Charge the counters, whose windows must have rows; a negative amount gives back."""
    if charged:
        sql, values = charge_statement(tenant_id, charged)
        engine.run(sql.format(after=""), values)


def ensure_windows(tenant_id: int, charged: Sequence[CounterCharge]) -> None:
    """Insert the windows that this process has not seen yet, in a transaction of their own.

    So a missing window is no reason to refuse. An inserted window stays for as long as an admission may charge it.
    """
    _ensure_windows(
        tenant_id, tuple((counter.api_key_id, counter.charge.kind, counter.charge.starts_at) for counter in charged)
    )


def forget_open_windows() -> None:
    """Let `ensure_windows` insert every window again: one was missing, as after a restore of an older database."""
    _ensure_windows.cache_clear()


@lru_cache(maxsize=10_000)
def _ensure_windows(tenant_id: int, windows: tuple[tuple[int | None, Kind, datetime], ...]) -> None:
    """Insert the windows, once in this process."""
    open_windows(tenant_id, windows)


def open_windows(tenant_id: int, windows: Sequence[tuple[int | None, Kind, datetime]]) -> None:
    """Insert those of the windows that have no row. Each is named by holder, kind and start.

    In a caller's transaction the INSERT is a part of that.
    """
    rows = [(tenant_id, api_key_id, kind.value, engine.adapt(start), 0) for api_key_id, kind, start in windows]
    engine.write(OPEN_WINDOWS.format(rows=", ".join([ROW] * len(rows))), [value for row in rows for value in row])


def delete_old_minutes(now: datetime, *, dry: bool = False) -> int:
    """Delete the minutes of all tenants that no admission reads any more. Return how many; a dry run only counts."""
    old = Window.objects.filter(kind=Kind.REQUESTS_PER_MINUTE, starts_at__lt=now - MINUTE_RETENTION)
    return old.count() if dry else old.delete()[0]


def usage_for_key(key: ApiKey, at: datetime) -> list[LimitUsage]:
    """Return the usage of each limit of the key's tenant and of the key at that time, without a lock."""
    return _read_usage(key.tenant, charges_by_holder(key, windows.charges(0, 0, at, key.tenant.zone)))


def usage_for_tenant(tenant: Tenant, at: datetime) -> list[LimitUsage]:
    """Return the usage of each limit of the tenant alone at that time, without a lock."""
    charges = windows.charges(0, 0, at, tenant.zone)
    return _read_usage(tenant, [CounterCharge(None, charge, windows.limit(tenant, charge.kind)) for charge in charges])


def _read_usage(tenant: Tenant, charged: Sequence[CounterCharge]) -> list[LimitUsage]:
    """Return the usage of each counter's limit. A window without a row has used nothing."""
    used = read_used(tenant.pk, charged)
    return [counter.usage(used.get(counter.name, 0), tenant) for counter in charged]


def read_used(tenant_id: int, charged: Sequence[CounterCharge]) -> Used:
    """Return what is used in each window that has a row, without a lock."""
    if not charged:
        return {}
    return used_from_rows(engine.run(_used_text(len(charged)), [*_values(charged), tenant_id]))


def used_from_rows(rows: Iterable[Any]) -> Used:
    """Return what is used, by holder and kind, from rows with the columns of RETURNING."""
    return {(api_key_id, kind): used for api_key_id, kind, used in rows}


def _values(charged: Sequence[CounterCharge]) -> list[Any]:
    """Return the values of ROW for each charge."""
    values: list[Any] = []
    for counter in charged:
        charge = counter.charge
        start = engine.adapt(charge.starts_at)
        values += [counter.api_key_id or 0, charge.kind.value, start, charge.amount, counter.limit]
    return values


@cache
def _charge_text(rows: int) -> str:
    """Return the UPDATE for that many counters."""
    return CHARGE.format(rows=_rows(rows), of_charged=OF_CHARGED)


@cache
def _used_text(rows: int) -> str:
    """Return the SELECT for that many counters."""
    return USED.format(rows=_rows(rows), of_charged=OF_CHARGED.format(after=""))


def _rows(count: int) -> str:
    """Return the VALUES list for that many counters."""
    return ", ".join([FIRST_ROW, *[ROW] * (count - 1)])
