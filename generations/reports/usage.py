"""Usage: counts, seconds of video and USD of a tenant's generations, by day, key, resolution or model.

What finished some minutes ago is read from the sums of `usage_sums`. What finished since then, and what is in progress,
is counted. So the cost does not grow with a tenant's history.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from typing import Any

from generations.models import Generation
from tenants import amounts
from tenants.db.engine import engine
from tenants.db.operations import Statement
from tenants.limits import windows
from tenants.models import Tenant

SUCCEEDED = str(Generation.Status.SUCCEEDED)
# The count of an answer that each status adds to, besides "accepted".
COUNTED: dict[str, str] = {
    **{str(status): str(status) for status in Generation.FINISHED},
    **dict.fromkeys(map(str, Generation.LIVE), "live"),
}
ZEROS = dict.fromkeys(("accepted", *COUNTED.values(), "seconds", "micro", "held_micro"), 0)
COLUMNS = ["accepted", *dict.fromkeys(COUNTED.values()), "seconds", "usd", "held_usd", "success_rate"]
GROUPED_BY = {"key": "api_key_id", "resolution": "resolution", "model": "model"}  # the column of each group
GROUPS = ("day", *GROUPED_BY)

Sums = dict[str, int]  # of ZEROS' names: counts, `seconds` of video, and micro-USD
Row = tuple[Any, str, int, int, int]  # group, status, generations, seconds of video and micro-USD

STATE = "SELECT until FROM generations_usagesumstate WHERE tenant_id = %s AND time_zone = %s"
SUM = """
SELECT {day_or_column} AS grouped, status, CAST(SUM(generations) AS bigint) AS generations,
       CAST(SUM(seconds) AS bigint) AS seconds, CAST(SUM(micro) AS bigint) AS micro
  FROM generations_usagesum WHERE tenant_id = %s AND test = %s AND day >= %s AND day <= %s GROUP BY 1, 2
"""
# What a video cost: by its tokens, or the price. Until a generation ends only the price is known, which is held.
COUNT = """
SELECT {group} AS grouped, status, COUNT(*) AS generations, SUM(duration) AS seconds,
       CAST(SUM(COALESCE(charged_micro, price_micro)) AS bigint) AS micro
  FROM generations_generation WHERE {chosen} AND test = %s AND created_at >= %s AND created_at < %s GROUP BY 1, 2
"""
ALL = "tenant_id = %s"
# The plus keeps the databases from reading all rows of the tenant by an index that begins with the tenant.
SINCE = "finished_at >= %s AND +tenant_id = %s"
LIVE = f"status IN {tuple(map(str, Generation.LIVE))} AND tenant_id = %s"
# A row without a status if the sums still end where they ended when their state was read: no count is missing then.
CHECK = """
SELECT NULL, '', COUNT(*), 0, 0 FROM generations_usagesumstate WHERE tenant_id = %s AND time_zone = %s AND until = %s
"""
NAMED = "SELECT grouped, status, generations, seconds, micro FROM ({parts}) parts"
NAMED_BY_KEY = """
SELECT prefix, status, generations, seconds, micro FROM ({parts}) parts
  LEFT JOIN tenants_apikey ON tenants_apikey.id = grouped
"""


@dataclass(frozen=True)
class Usage:
    """The usage of a tenant in a span of days: a row for each group, and their total."""

    rows: list[dict[str, Any]]  # each has the group's name and COLUMNS
    total: dict[str, Any]  # COLUMNS


def for_tenant(tenant: Tenant, first: date, last: date, group_by: str, *, test: bool) -> Usage:
    """Return the usage by generations that were accepted from the day `first` to the day `last`, both included.

    Days are days in the tenant's time zone. `group_by` is one of GROUPS. `test` selects test generations, else live
    ones.
    """
    return _render(_read(tenant, first, last, group_by, test=test), group_by)


def _read(tenant: Tenant, first: date, last: date, group_by: str, *, test: bool) -> list[Row]:
    """Return rows of the span, whose groups may repeat. One statement reads them all, so they are of one moment."""
    by_day = engine.local_day("created_at", tenant.time_zone)
    group = by_day if group_by == "day" else Statement(GROUPED_BY[group_by], [])
    starts, ends = windows.midnight(first, tenant.zone), windows.midnight(last + timedelta(days=1), tenant.zone)
    counted = [tenant.pk, test, engine.adapt(starts), engine.adapt(ends)]
    summed = [tenant.pk, test, engine.adapt(first), engine.adapt(last)]
    state = [tenant.pk, tenant.time_zone]
    while stored := engine.run(STATE, state):
        until = list(stored[0])
        values = [*summed, *group.values, *until, *counted, *group.values, *counted, *state, *until]
        rows = engine.run(_summed_text(group_by, group.sql), values)
        if ("", 1) in [(status, count) for _, status, count, *_ in rows]:
            return [row for row in rows if row[1]]
    # A new tenant or another time zone: all are counted until the worker has begun its sums.
    return engine.run(_counted_text(group_by, group.sql), [*group.values, *counted])


@cache
def _summed_text(group_by: str, group: str) -> str:
    """Return the query for sums, for what finished since, for what is in progress, and the check."""
    counts = [COUNT.format(group=group, chosen=chosen) for chosen in (SINCE, LIVE)]
    return _with_names(group_by, SUM.format(day_or_column=GROUPED_BY.get(group_by, "day")), *counts, CHECK)


@cache
def _counted_text(group_by: str, group: str) -> str:
    """Return the query that counts all generations of the span."""
    return _with_names(group_by, COUNT.format(group=group, chosen=ALL))


def _with_names(group_by: str, *parts: str) -> str:
    """Return the query for all rows of the parts, with the prefixes of keys in the place of their ids."""
    return (NAMED_BY_KEY if group_by == "key" else NAMED).format(parts=" UNION ALL ".join(parts))


def _render(rows: Iterable[Row], group_by: str) -> Usage:
    """Add up the rows of each group, and all of them."""
    sums, total = defaultdict[str | None, Sums](_nothing), _nothing()
    for group, status, count, seconds, micro in rows:
        for row in (sums[None if group is None else str(group)], total):
            _add(row, status, count, seconds, micro)
    names = sorted(sums, key=lambda name: name or "")  # None: of models without a resolution
    return Usage([{group_by: name, **_sums_as_json(sums[name])} for name in names], _sums_as_json(total))


def _nothing() -> Sums:
    return ZEROS.copy()


def _add(sums: Sums, status: str, count: int, seconds: int, micro: int) -> None:
    """Add the generations of one status: their number, seconds of video and micro-USD."""
    sums["accepted"] += count
    sums[COUNTED[status]] += count
    if status == SUCCEEDED:
        sums["seconds"] += seconds
        sums["micro"] += micro
    elif COUNTED[status] == "live":
        sums["held_micro"] += micro


def _sums_as_json(sums: Sums) -> dict[str, Any]:
    """Return COLUMNS of a row. USD amounts are text; `success_rate` is None if no generation succeeded or failed."""
    finished = sums["succeeded"] + sums["failed"]
    row: dict[str, Any] = sums.copy()
    row["usd"] = amounts.format_usd(row.pop("micro"))
    row["held_usd"] = amounts.format_usd(row.pop("held_micro"))
    row["success_rate"] = round(sums["succeeded"] / finished, 4) if finished else None
    return row
