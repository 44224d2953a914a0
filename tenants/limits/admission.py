"""Admission: all limits checked, and the row, its hold and the counters written, all or nothing.

1. `counters.ensure_windows` opens the windows that this process has not seen open, before the transaction.
2. `engine.run_plan` runs one transaction: the caller's INSERTs (row, labels, hold, event, audit entry) and, in this
   order of locks, the required rows, the key with its tenant, the counters where they have capacity. It is kept only
   where no required row is missing, key and tenant are as they were read, and every counter had capacity.
3. Where it was taken back, `_raise_reason` reads why and raises. Where no reason is left, since a window was missing or
   capacity was given back in between, the plan is run again.

A caller tries again only after `KeyChanged` and `RequiredRowMissing`, with what it then reads.
"""

from collections.abc import Sequence
from typing import Any

from django.db import OperationalError

from tenants import times
from tenants.db.engine import engine
from tenants.db.operations import Plan, Statement
from tenants.errors import BudgetReached, InvalidKey, LimitReached, TenantSuspended
from tenants.limits import counters, windows
from tenants.limits.counters import CounterCharge
from tenants.limits.windows import Charge, Kind, Standing
from tenants.models import ApiKey, Limits

MAX_RUNS = 10  # of one plan that is refused for no reason that can be read afterwards

LIMITS = [(holder, name) for holder in ("tenant", "key") for name in Limits.NAMES]
# A key and its tenant, with all that an admission goes by.
HOLDER = """
SELECT key.revoked_at IS NULL AND tenant.suspended_at IS NULL AS is_open, tenant.time_zone, {limits}
  FROM tenants_apikey key JOIN tenants_tenant tenant ON tenant.id = key.tenant_id WHERE key.id = %s {{after}}
""".format(limits=", ".join(f"{holder}.{name} AS {holder}_{name}" for holder, name in LIMITS))


class KeyChanged(Exception):
    """The key's or the tenant's limits, or the time zone in which its days and months begin, are others than were read
    with the key."""


class RequiredRowMissing(Exception):
    """A row that the plan requires is not there any more."""


def admit(
    key: ApiKey, charges: Sequence[Charge], writes: Sequence[Statement], required: Statement, required_count: int
) -> list[Standing]:
    """Write `writes` and charge the counters of the key and its tenant; return how each limit stands then.

    `required`: a SELECT that finds `required_count` rows, or the plan is refused. Raises LimitReached, TenantSuspended,
    InvalidKey, KeyChanged or RequiredRowMissing, and what the database raises; then nothing is written.
    """
    charged = counters.charges_of(key, charges)
    plan = Plan(
        writes=writes,
        required=required,
        required_count=required_count,
        holder=Statement(HOLDER, [key.pk]),
        expected=_expected(key),
        counters=counters.charging(key.tenant_id, charged),
        counters_count=len(charged),
        returning=counters.RETURNING,
    )
    for _ in range(MAX_RUNS):
        counters.ensure_windows(key.tenant_id, charged)
        rows = engine.run_plan(plan)
        if rows is not None:
            used = counters.used_by(rows)
            return [one.standing(used[one.name], key.tenant) for one in charged]
        _raise_reason(key, charged, plan)
    raise OperationalError(f"an admission was refused {MAX_RUNS} times, and each time the reason was gone when read")


def check_capacity(key: ApiKey, charges: Sequence[Charge]) -> None:
    """Look without a lock, before anything costly is done. Raises TenantSuspended or LimitReached."""
    if key.tenant.suspended_at:
        raise TenantSuspended
    charged = counters.charges_of(key, charges)
    _raise_where_full(key, charged, counters.read(key.tenant_id, charged))


def _expected(key: ApiKey) -> dict[str, Any]:
    """Return the row of HOLDER by which the plan was made: as the key, which was read some time ago, has it."""
    holders = {"tenant": key.tenant, "key": key}
    limits = {f"{holder}_{name}": getattr(holders[holder], name) for holder, name in LIMITS}
    return {"is_open": True, "time_zone": key.tenant.time_zone, **limits}


def _raise_reason(key: ApiKey, charged: Sequence[CounterCharge], plan: Plan) -> None:
    """Raise why the plan was refused. Return where no reason is left: it may be run again."""
    now = ApiKey.objects.select_related("tenant").get(pk=key.pk)
    if now.revoked_at is not None:
        raise InvalidKey
    if now.tenant.suspended_at is not None:
        raise TenantSuspended
    if _expected(now) != plan.expected:
        raise KeyChanged
    if len(engine.run(*plan.required)) != plan.required_count:
        raise RequiredRowMissing
    used = counters.read(key.tenant_id, charged)
    if len(used) < len(charged):
        counters.forget_open_windows()
    _raise_where_full(key, charged, used)


def _raise_where_full(key: ApiKey, charged: Sequence[CounterCharge], used: counters.Used) -> None:
    """Raise LimitReached for the full window that keeps the caller waiting longest: a retry before it resets would be
    in vain."""
    standings = [(one, one.standing(used.get(one.name, 0), key.tenant)) for one in charged]
    full = [(one, at) for one, at in standings if one.limit is not None and at.used + one.charge.amount > one.limit]
    if full:
        one, at = max(full, key=lambda pair: pair[1].resets_at or windows.EPOCH)
        raise refusal(at, one.charge.amount)


def refusal(standing: Standing, amount: int) -> LimitReached:
    """Return the refusal of a charge of `amount` by the full window."""
    kind, resets_at = standing.kind, standing.resets_at
    return (BudgetReached if kind == Kind.USD_PER_MONTH else LimitReached)(
        whose="this key" if standing.of_key else "the tenant",
        limit_name=kind.value,
        limit=windows.shown(kind, standing.limit or 0),
        used=windows.shown(kind, standing.used),
        left=windows.shown(kind, standing.remaining or 0),
        wanted=windows.shown(kind, amount),
        standing=standing,
        remedy=f"It resets at {times.rfc3339(resets_at, 'seconds')}." if resets_at else "It frees as generations end.",
    )
