"""The room that admissions take in the windows of a tenant and of its key, and give back.

What takes or gives runs inside a transaction, under the tenant's row lock: a limit that is being lowered, and
admissions by other processes, come wholly before or wholly after.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, lru_cache
from typing import Any

from django.db import DataError, connection
from psycopg.errors import DivisionByZero

from tenants import statements, windows, writing
from tenants.errors import BudgetReached, LimitReached
from tenants.models import ApiKey, Limits, Tenant, Window
from tenants.windows import Charge, Kind, Standing

Run = Callable[[str, Sequence[Any]], list[Any]]  # as `statements.run`

MINUTES_KEPT = timedelta(hours=2)  # a minute's window serves nobody later; days and months are kept for ever

# A key and its tenant, with all that an admission goes by; locked until the transaction ends.
LOCK = """
SELECT key.revoked_at, tenant.suspended_at, tenant.time_zone, {limits}
  FROM tenants_apikey key JOIN tenants_tenant tenant ON tenant.id = key.tenant_id WHERE key.id = %s {{after}} {lock}
""".format(
    limits=", ".join(f"{who}.{name} AS {who}_{name}" for who in ("tenant", "key") for name in Limits.NAMES),
    lock="FOR NO KEY UPDATE" if connection.features.has_select_for_no_key_update else "",
)
LOCK_ALONE = LOCK.format(after="")
# One statement for all windows, right on both databases (SQLite from 3.35 on). Its rows are the verdict: a window that
# is not there yet, or has no room, is missing from them.
OF_WANTED = """
 WHERE tenants_window.tenant_id = %s AND COALESCE(tenants_window.api_key_id, 0) = wanted.api_key_id
   AND tenants_window.kind = wanted.kind AND tenants_window.starts_at = wanted.starts_at
"""
MOVE = """
WITH wanted (api_key_id, kind, starts_at, amount, most) AS (VALUES {rows})
UPDATE tenants_window SET used = used + wanted.amount FROM {sources} {of_wanted}
   AND (wanted.most IS NULL OR used + wanted.amount <= wanted.most)
RETURNING tenants_window.api_key_id, tenants_window.kind, used
"""
USED = """
WITH wanted (api_key_id, kind, starts_at, amount, most) AS (VALUES {rows})
SELECT tenants_window.api_key_id, tenants_window.kind, used FROM wanted, tenants_window {of_wanted}
"""
FIRST_ROW = "(CAST(%s AS bigint), CAST(%s AS text), {starts_at}, CAST(%s AS bigint), CAST(%s AS bigint))"
FIRST_ROW = FIRST_ROW.format(starts_at="CAST(%s AS timestamptz)" if connection.vendor == "postgresql" else "%s")
ROW = "(%s, %s, %s, %s, %s)"  # the first one says what the columns of all are
# PostgreSQL's alone. The last line divides by zero, which takes all of it back, unless every window had room, nothing
# that was to be there is gone, and the key and its tenant, now that they are locked, are what they were taken for. That
# a window has room is asked of the row as it is when its own lock is had, as in a statement of its own. Each part that
# locks refers to the one before it: in another order, two of them could wait for each other.
AT_ONCE = """
WITH {written}, held AS ({held}), locked AS ({lock}), moved AS ({move})
SELECT 1 / COALESCE(((SELECT count(*) FROM moved) = %s AND (SELECT count(*) FROM held) = %s AND (
    SELECT revoked_at IS NULL AND suspended_at IS NULL AND ROW({limits}) FROM locked
))::int, 0), (SELECT COALESCE(json_agg(json_build_array(api_key_id, kind, used)), '[]') FROM moved)
"""
NAMED = [f"{who}_{name}" for who in ("tenant", "key") for name in Limits.NAMES]
EXPECTED = ", ".join(["time_zone", *NAMED])
EXPECTED += ") IS NOT DISTINCT FROM ROW(CAST(%s AS text), " + ", ".join(["CAST(%s AS bigint)"] * len(NAMED))


@dataclass(frozen=True)
class Wanted:
    """One charge against one holder: the tenant, where `api_key_id` is None, or a key of it."""

    api_key_id: int | None
    charge: Charge
    limit: int | None

    @property
    def name(self) -> tuple[int | None, str]:
        return self.api_key_id, self.charge.kind.value

    def standing(self, used: int, tenant: Tenant) -> Standing:
        kind, starts_at = self.charge.kind, self.charge.starts_at
        resets_at = windows.end(kind, starts_at, tenant.zone)
        return Standing(kind, self.api_key_id is not None, self.limit, used, starts_at, resets_at)


@dataclass(frozen=True)
class Holder:
    """What an admission goes by, of a key and its tenant as they are while they are locked."""

    revoked: bool
    suspended: bool
    time_zone: str
    limits: tuple[int | None, ...]  # the tenant's, then the key's


def holder(key: ApiKey) -> Holder:
    """As the key says it, which was read some time ago."""
    limits = (*key.tenant.limits.values(), *key.limits.values())
    return Holder(key.revoked_at is not None, key.tenant.suspended_at is not None, key.tenant.time_zone, limits)


def take_at_once(
    key: ApiKey, charges: Sequence[Charge], writes: Sequence[statements.Fragment], held: Sequence[Any]
) -> list[Standing] | None:
    """All of an admission, and nothing else in its transaction: its `writes`; `held`, a SELECT of what is to be there,
    its values and how many rows it is to find; and what `Taking` does.

    None where something is not as it should be, whatever that is: nothing was written, and `Taking` says what it is.
    """
    return (_as_one if statements.IS_POSTGRESQL else _in_turn)(key, charges, writes, held)


def _in_turn(
    key: ApiKey, charges: Sequence[Charge], writes: Sequence[statements.Fragment], held: Sequence[Any]
) -> list[Standing] | None:
    sql, values, count = held
    with writing.by_hand() as transaction:
        for written, given in writes:
            transaction.run(written, given)
        is_there = not count or len(transaction.run(sql, values)) == count
        taking = Taking(key, charges, transaction.run)
        now = taking.holder()
        if is_there and taking.fits and now == holder(key) and not (now.revoked or now.suspended):
            transaction.commit()
            return taking.fitting()
    return None


def _as_one(
    key: ApiKey, charges: Sequence[Charge], writes: Sequence[statements.Fragment], held: Sequence[Any]
) -> list[Standing] | None:
    wanted = _wanted(key, charges)
    known = holder(key)
    sql, values, count = held
    text = _at_once(tuple(sql for sql, _ in writes), sql, len(wanted))
    given = [value for _, values in writes for value in values]
    given += [*values, key.pk, *_as_values(wanted), key.tenant_id, len(wanted), count]
    try:
        [[_, rows]] = statements.run(text, [*given, known.time_zone, *known.limits])
    except DataError as error:
        if isinstance(error.__cause__, DivisionByZero):
            return None
        raise
    used = {(api_key_id, kind): used for api_key_id, kind, used in rows}
    return [one.standing(used[one.name], key.tenant) for one in wanted]


@cache
def _at_once(writes: tuple[str, ...], held: str, rows: int) -> str:
    written = ", ".join(f"write_{number} AS ({sql})" for number, sql in enumerate(writes))
    lock = LOCK.format(after="AND (SELECT count(*) FROM held) >= 0")
    move = _move_text(rows, "wanted, locked")
    return AT_ONCE.format(written=written, held=held, lock=lock, move=move, limits=EXPECTED)


class Taking:
    """The key is locked, and what fits is taken; what came of it."""

    def __init__(self, key: ApiKey, charges: Sequence[Charge], run: Run = statements.run) -> None:
        self.key, self._wanted = key, _wanted(key, charges)
        [self._lock] = run(LOCK_ALONE, [key.pk])
        self._moved = move(key.tenant_id, self._wanted, run)

    def holder(self) -> Holder:
        """While it is locked. Where that is not what the key says, what was taken is not right, and goes back."""
        revoked_at, suspended_at, time_zone, *limits = self._lock
        return Holder(revoked_at is not None, suspended_at is not None, time_zone, tuple(limits))

    @property
    def fits(self) -> bool:
        """Whether every charge is taken already."""
        return len(self._moved) == len(self._wanted)

    def fitting(self) -> list[Standing]:
        used = _used_by(self._moved)
        return [one.standing(used[one.name], self.key.tenant) for one in self._wanted]

    def standings(self) -> list[Standing]:
        """How each limit stands now that every charge is taken.

        Raises LimitReached, which must roll the whole admission back: some windows may have been charged already.
        """
        if self.fits:
            return self.fitting()
        key, used = self.key, _used_by(self._moved)
        used |= take(key.tenant_id, [one for one in self._wanted if one.name not in used], fresh=True)
        if missing := [one for one in self._wanted if one.name not in used]:
            raise _refusal(key, missing)
        return [one.standing(used[one.name], key.tenant) for one in self._wanted]


def check_room(key: ApiKey, charges: Sequence[Charge]) -> None:
    """A look without a lock, before anything costly is done. Raises LimitReached."""
    wanted = _wanted(key, charges)
    used = _used(key.tenant_id, wanted)
    full = [one for one in wanted if one.limit is not None and used[one.name] + one.charge.amount > one.limit]
    if full:
        raise _refusal(key, full)


def standings(key: ApiKey, at: datetime) -> list[Standing]:
    """How each limit of the key's tenant, and of the key itself, stands at that time."""
    wanted = _wanted(key, windows.charges(0, 0, at, key.tenant.zone))
    used = _used(key.tenant_id, wanted)
    return [one.standing(used[one.name], key.tenant) for one in wanted]


def tenant_standings(tenant: Tenant, at: datetime) -> list[Standing]:
    """As `standings`, of the tenant alone."""
    charges = windows.charges(0, 0, at, tenant.zone)
    wanted = [Wanted(None, charge, windows.limit(tenant, charge.kind)) for charge in charges]
    used = _used(tenant.pk, wanted)
    return [one.standing(used[one.name], tenant) for one in wanted]


def _wanted(key: ApiKey, charges: Iterable[Charge]) -> list[Wanted]:
    """A test takes nothing of its tenant: only its own key's windows."""
    bounded: list[tuple[int | None, Limits]] = [*([] if key.test else [(None, key.tenant)]), (key.pk, key)]
    charges = list(charges)
    return [Wanted(pk, charge, windows.limit(holder, charge.kind)) for pk, holder in bounded for charge in charges]


def move(tenant_id: int, wanted: Sequence[Wanted], run: Run = statements.run) -> list[Any]:
    """Take what fits: of each a row with what is used then."""
    if not wanted:
        return []
    return run(_move_text(len(wanted)), [*_as_values(wanted), tenant_id])


def _as_values(wanted: Sequence[Wanted]) -> list[Any]:
    values: list[Any] = []
    for one in wanted:
        charge = one.charge
        values += [one.api_key_id or 0, charge.kind.value, _as_stored(charge.starts_at), charge.amount, one.limit]
    return values


@lru_cache(maxsize=1000)
def _as_stored(starts_at: datetime) -> Any:
    return connection.ops.adapt_datetimefield_value(starts_at)


def take(tenant_id: int, wanted: Sequence[Wanted], *, fresh: bool = False) -> dict[tuple[int | None, str], int]:
    """What is used then of each that fits. `fresh`: none of the windows is open yet, as it seems."""
    used = {} if fresh else _used_by(move(tenant_id, wanted))
    if missing := [one for one in wanted if one.name not in used]:
        _open(tenant_id, missing)
        used |= _used_by(move(tenant_id, missing))
    return used


@cache
def _move_text(rows: int, sources: str = "wanted") -> str:
    return MOVE.format(rows=_rows(rows), sources=sources, of_wanted=OF_WANTED)


@cache
def _used_text(rows: int) -> str:
    return USED.format(rows=_rows(rows), of_wanted=OF_WANTED)


def _rows(count: int) -> str:
    return ", ".join([FIRST_ROW, *[ROW] * (count - 1)])


def _used_by(moved: list[Any]) -> dict[tuple[int | None, str], int]:
    """What is used now of each window that was moved, by holder and kind."""
    return {(api_key_id, kind): used for api_key_id, kind, used in moved}


def _open(tenant_id: int, missing: Sequence[Wanted]) -> None:
    """Insert the windows that are not there yet; a new minute sweeps the old ones out."""
    rows = [
        Window(tenant_id=tenant_id, api_key_id=one.api_key_id, kind=one.charge.kind, starts_at=one.charge.starts_at)
        for one in missing
    ]
    Window.objects.bulk_create(rows, ignore_conflicts=True)
    if minutes := [one.charge.starts_at for one in missing if one.charge.kind == Kind.REQUESTS_PER_MINUTE]:
        old = min(minutes) - MINUTES_KEPT
        Window.objects.filter(tenant_id=tenant_id, kind=Kind.REQUESTS_PER_MINUTE, starts_at__lt=old).delete()


def forget_minutes(now: datetime, *, dry: bool = False) -> int:
    """The minutes that nobody asks for any more, of all tenants: how many there were."""
    over = Window.objects.filter(kind=Kind.REQUESTS_PER_MINUTE, starts_at__lt=now - MINUTES_KEPT)
    return over.count() if dry else over.delete()[0]


def _used(tenant_id: int, wanted: Sequence[Wanted]) -> dict[tuple[int | None, str], int]:
    """What is used of each, also where no window is open yet."""
    found = _used_by(statements.run(_used_text(len(wanted)), [*_as_values(wanted), tenant_id])) if wanted else {}
    return {one.name: found.get(one.name, 0) for one in wanted}


def _refusal(key: ApiKey, full: Sequence[Wanted]) -> LimitReached:
    """For the limit that keeps the caller waiting longest: a retry before that would be in vain."""
    used = _used(key.tenant_id, full)
    one = max(
        full, key=lambda one: windows.end(one.charge.kind, one.charge.starts_at, key.tenant.zone) or windows.EPOCH
    )
    standing = one.standing(used[one.name], key.tenant)
    kind, money = one.charge.kind, one.charge.kind == Kind.USD_PER_MONTH
    resets_at = standing.resets_at
    return (BudgetReached if money else LimitReached)(
        whose="this key" if standing.of_key else "the tenant",
        limit_name=kind.value,
        limit=windows.shown(kind, standing.limit or 0),
        used=windows.shown(kind, standing.used),
        left=windows.shown(kind, standing.remaining or 0),
        wanted=windows.shown(kind, one.charge.amount),
        resets_at=resets_at,
        standing=standing,
        remedy=f"It resets at {resets_at:%Y-%m-%dT%H:%M:%SZ}." if resets_at else "It frees as generations end.",
    )
