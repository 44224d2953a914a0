"""Print the tenants, keys and bills of `manage.py tenant`: as objects for programs, and as sentences for people."""

from pathlib import Path
from typing import Any

from tenants import amounts, name_lists, times
from tenants.keys import key_format
from tenants.limits import windows
from tenants.limits.windows import Kind
from tenants.models import AllowLists, ApiKey, Tenant
from tenants.money import monthly_statement

Output = tuple[dict[str, Any], list[str]]  # the object for --json, and the lines for people
MAX_DESCRIBED_NAMES = 20  # of a list, in a line for people; the object has all of them
NOT_RECORDED = "not recorded"  # the account of a video that a release made which had one account alone
BILL_SUMS = ("captured", "adjusted", "total", "held")


def new_key(tenant: Tenant, new: key_format.NewKey) -> Output:
    """Return the output for a key that was just created: the only place that shows the key's text."""
    row = {"tenant": tenant.name, "api_key": new.text}
    return row, [f"Tenant: {tenant.name}", f"API key, shown only once: {new.text}"]


def bill(statement: monthly_statement.Statement, path: Path) -> Output:
    """Return the output for a bill, whose CSV file is at `path`."""
    return _bill_object(statement, path), _bill_lines(statement, path)


def tenant_row(tenant: Tenant) -> dict[str, Any]:
    """Return a tenant with the tenant's keys as an object."""
    facts = {"limits": tenant.limits, "time_zone": tenant.time_zone, "suspended_at": times.iso(tenant.suspended_at)}
    facts |= {name: getattr(tenant, name) for name in Tenant.GENERATION_POLICY_FIELDS} | tenant.allow_lists
    return {"tenant": tenant.name, **facts, "keys": [_key_row(key) for key in tenant.keys.all()]}


def tenant_line(row: dict[str, Any]) -> str:
    """Return a line about a tenant of `tenant_row`."""
    keys = ", ".join(_describe_key(key) for key in row["keys"])
    suspended = " (suspended)" if row["suspended_at"] else ""
    return f"{row['tenant']}{suspended}: {describe_settings(row)}; keys: {keys or 'none'}"


def describe_settings(row: dict[str, Any]) -> str:
    """Return the limits of a tenant of `tenant_row`, and those settings that differ from the default."""
    deadline = row["submit_deadline"]
    parts = [describe_limits(row["limits"]), *_describe_lists(row)]
    if row["on_doubt"] != Tenant.OnDoubt.HOLD:
        parts.append(f"on doubt: {row['on_doubt']}")
    if deadline is not None:
        parts.append(f"submit deadline: {deadline} s")
    for name, files in {"video_days": "videos", "input_days": "input images"}.items():
        if row[name] is not None:
            parts.append(f"{files} stored for {row[name]} days" if row[name] else f"{files} stored for ever")
    return ", ".join(parts)


def limits_of_key(key: ApiKey) -> Output:
    """Return the output for a key whose limits or lists were just changed."""
    row = {"key": key.prefix, "limits": key.limits, **key.allow_lists}
    return row, [f"{key.prefix}: {', '.join([describe_limits(key.limits), *_describe_lists(row)])}"]


def _describe_lists(row: dict[str, Any]) -> list[str]:
    """Return the lists of a tenant or a key that are not empty, such as "networks: 192.0.2.0/24"."""
    lists = {name.removeprefix("allowed_"): row[name] for name in AllowLists.ALLOW_LISTS}
    return [f"{noun}: {name_lists.describe(names, MAX_DESCRIBED_NAMES)}" for noun, names in lists.items() if names]


def describe_limits(limits: dict[str, int | None]) -> str:
    """Return the limits that are set, such as "per_day=3, usd_per_month=12.500000", or "no limits"."""
    by_kind = [(kind, limits[windows.limit_field(kind)]) for kind in Kind]
    texts = [f"{kind.value}={windows.format_amount(kind, limit)}" for kind, limit in by_kind if limit is not None]
    return ", ".join(texts) or "no limits"


def _key_row(key: ApiKey) -> dict[str, Any]:
    """Return a key, without its text, as an object."""
    moments = {name: times.iso(getattr(key, name)) for name in ("expires_at", "last_used_at", "revoked_at")}
    facts = {"label": key.label, "scopes": key.scopes, "test": key.test, "limits": key.limits, **key.allow_lists}
    return {"prefix": key.prefix, **facts, **moments}


def _describe_key(key: dict[str, Any]) -> str:
    """Return a key of `_key_row` as text, such as "sds_live_… (ci, until 2026-11-30T12:00)"."""
    ends = f"until {key['expires_at'][:16]}" if key["expires_at"] else ""
    remarks = [key["label"], "test" if key["test"] else "", "revoked" if key["revoked_at"] else ends]
    remarks += _describe_lists(key)
    text = ", ".join(remark for remark in remarks if remark)
    return f"{key['prefix']} ({text})" if text else str(key["prefix"])


def _bill_object(statement: monthly_statement.Statement, path: Path) -> dict[str, Any]:
    """Return the bill as an object."""
    return {
        "tenant": statement.tenant.name,
        "month": f"{statement.month:%Y-%m}",
        "time_zone": statement.tenant.time_zone,
        "lines": statement.rows,
        "models": statement.models,
        "accounts": statement.accounts,
        **{f"{name}_usd": amounts.format_usd(getattr(statement, f"{name}_micro")) for name in BILL_SUMS},
        "held": statement.held,
        "csv": str(path),
    }


def _bill_lines(statement: monthly_statement.Statement, path: Path) -> list[str]:
    """Return the bill as lines of text."""
    head = f"Statement for {statement.tenant.name}, {statement.month:%Y-%m} ({statement.tenant.time_zone})"
    lines = [
        f"  {row['day']}  {row['key']:21}  {row['item']:42} {row['generations']:>6} x {row['unit_usd']:>11}  "
        f"{row['seconds']:>7} s  {row['usd']:>14} USD"
        for row in statement.rows
    ]
    ends = [
        *_sum_lines("By model:", "model", statement.models),
        *_sum_lines("By account:", "account", statement.accounts),
        f"Total: {amounts.format_usd(statement.total_micro)} USD",
    ]
    if statement.held:
        held = amounts.format_usd(statement.held_micro)
        ends.append(f"Not final: {statement.held} generations have not ended, and hold {held} USD.")
    return [head, *(lines or ["  No purchases."]), *ends, f"CSV file: {path}"]


def _sum_lines(title: str, column: str, rows: list[dict[str, Any]]) -> list[str]:
    """Return a title and a line for each sum; nothing without a sum."""
    names = (row[column] or NOT_RECORDED for row in rows)
    lines = [
        f"  {name:42} {row['generations']:>6} videos  {row['seconds']:>7} s  {row['usd']:>14} USD"
        for name, row in zip(names, rows, strict=True)
    ]
    return [title, *lines] if lines else []
