"""Admission: checks all limits, and writes the row, its hold and the counters, all or nothing.

1. `counters.ensure_windows` inserts the windows that this process has not seen yet, before the transaction.
2. `engine.run_plan` runs one transaction with the caller's INSERTs (row, labels, hold, event, audit entry). The plan
   locks, in this order, the required rows, the key with its tenant, and the counters that have capacity. The plan
   commits only if no required row is missing, key and tenant have not changed, and every counter had capacity.
3. After a rollback, `_raise_reason` reads why and raises. If no reason is left, since a window was missing or capacity
   was given back in between, the plan is run again.

A caller tries again only after `KeyChanged` and `RequiredRowMissing`, with what the caller then reads.
"""

from collections.abc import Sequence
from typing import Any

from tenants import times
from tenants.db.engine import engine
from tenants.db.operations import Plan, Statement
from tenants.errors import BudgetReached, ChangedConcurrently, InvalidKey, LimitReached, TenantSuspended
from tenants.limits import counters, windows
from tenants.limits.counters import CounterCharge
from tenants.limits.windows import Charge, Kind, LimitUsage
from tenants.models import ApiKey, Limits

MAX_RUNS = 10  # of one plan whose refusal has no reason that can be read afterwards
RETRY_AFTER_SECONDS = 1  # after ChangedConcurrently: a change takes milliseconds

DECIDING = [(holder, name) for holder in ("tenant", "key") for name in (*Limits.NAMES, "allowed_models")]
# A key and its tenant, with every column that decides an admission.
HOLDER = """
SELECT key.revoked_at IS NULL AND tenant.suspended_at IS NULL AS is_open, tenant.time_zone, {columns}
  FROM tenants_apikey key JOIN tenants_tenant tenant ON tenant.id = key.tenant_id WHERE key.id = %s {{after}}
""".format(columns=", ".join(f"{holder}.{name} AS {holder}_{name}" for holder, name in DECIDING))


class KeyChanged(Exception):
    """The limits or models of the key or the tenant, or its time zone, have changed since the key was read."""


class RequiredRowMissing(Exception):
    """A row that the plan requires was deleted."""


def admit(
    key: ApiKey, charges: Sequence[Charge], writes: Sequence[Statement], required: Statement, required_count: int
) -> list[LimitUsage]:
    """Run `writes` and charge the counters of the key and its tenant. Return the usage of each limit after that.

    `required`: a SELECT that has to find `required_count` rows. Raise LimitReached, TenantSuspended, InvalidKey,
    ChangedConcurrently, KeyChanged or RequiredRowMissing, or an error of the database; then nothing is written.
    """
    charged = counters.charges_by_holder(key, charges)
    plan = Plan(
        writes=writes,
        required=required,
        required_count=required_count,
        holder=Statement(HOLDER, [key.pk]),
        expected=_expected(key),
        counters=counters.charge_statement(key.tenant_id, charged),
        counters_count=len(charged),
        returning=counters.RETURNING,
    )
    for _ in range(MAX_RUNS):
        counters.ensure_windows(key.tenant_id, charged)
        rows = engine.run_plan(plan)
        if rows is not None:
            used = counters.used_from_rows(rows)
            return [counter.usage(used[counter.name], key.tenant) for counter in charged]
        _raise_reason(key, charged, plan)
    raise ChangedConcurrently(retry_after=RETRY_AFTER_SECONDS)


def check_capacity(key: ApiKey, charges: Sequence[Charge]) -> None:
    """Check the limits without a lock, before any costly work. Raise TenantSuspended or LimitReached.

    The key was read some time ago. It refuses nothing that the key as it is now allows.
    """
    try:
        _check_capacity(key, charges)
    except (TenantSuspended, LimitReached):
        _check_capacity(read_key(key), charges)


def preview(key: ApiKey, charges: Sequence[Charge]) -> list[tuple[LimitUsage, int]]:
    """Return the usage of each limit without a lock, before the charges, with the amount that each would take."""
    charged = counters.charges_by_holder(key, charges)
    return _usages(key, charged, counters.read_used(key.tenant_id, charged))


def find_refusal(key: ApiKey, usages: Sequence[tuple[LimitUsage, int]]) -> TenantSuspended | LimitReached | None:
    """Return the error that refuses these amounts, by the key as it was read; None if they would be admitted."""
    return TenantSuspended() if key.tenant.suspended_at else _find_full(usages)


def read_key(key: ApiKey) -> ApiKey:
    """Return the key with its tenant, as the database has them now."""
    return ApiKey.objects.select_related("tenant").get(pk=key.pk)


def _check_capacity(key: ApiKey, charges: Sequence[Charge]) -> None:
    """Check the limits of the key as it was read. Raise TenantSuspended or LimitReached."""
    if refused := find_refusal(key, preview(key, charges)):
        raise refused


def _expected(key: ApiKey) -> dict[str, Any]:
    """Return the row of HOLDER that the plan expects: the values of the key, which was read some time ago."""
    holders = {"tenant": key.tenant, "key": key}
    columns = {f"{holder}_{name}": getattr(holders[holder], name) for holder, name in DECIDING}
    return {"is_open": True, "time_zone": key.tenant.time_zone, **columns}


def _raise_reason(key: ApiKey, charged: Sequence[CounterCharge], plan: Plan) -> None:
    """Raise the reason why the plan was refused. Return if no reason is left: the plan may be run again."""
    now = read_key(key)
    if now.revoked_at is not None:
        raise InvalidKey
    if now.tenant.suspended_at is not None:
        raise TenantSuspended
    if _expected(now) != plan.expected:
        raise KeyChanged
    if len(engine.run(*plan.required)) != plan.required_count:
        raise RequiredRowMissing
    used = counters.read_used(key.tenant_id, charged)
    if len(used) < len(charged):
        counters.forget_open_windows()
    _raise_where_full(key, charged, used)


def _raise_where_full(key: ApiKey, charged: Sequence[CounterCharge], used: counters.Used) -> None:
    """Raise LimitReached for the full window that resets last. Return if every window has capacity."""
    if full := _find_full(_usages(key, charged, used)):
        raise full


def _usages(key: ApiKey, charged: Sequence[CounterCharge], used: counters.Used) -> list[tuple[LimitUsage, int]]:
    """Return the usage of each limit, with the amount that is charged. A window without a row has used nothing."""
    return [(counter.usage(used.get(counter.name, 0), key.tenant), counter.charge.amount) for counter in charged]


def _find_full(usages: Sequence[tuple[LimitUsage, int]]) -> LimitReached | None:
    """Return the refusal by the full window that resets last: a retry before that would be in vain.

    Return None if every window has capacity.
    """
    full = [
        (usage, amount) for usage, amount in usages if usage.limit is not None and usage.used + amount > usage.limit
    ]
    if not full:
        return None
    usage, amount = max(full, key=lambda pair: pair[0].resets_at or windows.EPOCH)
    return refusal(usage, amount)


def refusal(usage: LimitUsage, amount: int) -> LimitReached:
    """Return the error that refuses a charge of `amount` to the full window."""
    kind, resets_at = usage.kind, usage.resets_at
    return (BudgetReached if kind == Kind.USD_PER_MONTH else LimitReached)(
        holder="this key" if usage.is_of_key else "the tenant",
        limit_name=kind.value,
        limit=windows.format_amount(kind, usage.limit or 0),
        used=windows.format_amount(kind, usage.used),
        remaining=windows.format_amount(kind, usage.remaining or 0),
        required=windows.format_amount(kind, amount),
        usage=usage,
        remedy=f"It resets at {times.rfc3339(resets_at, 'seconds')}." if resets_at else "It frees as generations end.",
    )
