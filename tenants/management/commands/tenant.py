"""Tenants, their keys, limits and bills from the shell."""

import json
from argparse import ArgumentParser
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from tenants import actions, amounts, csv_export, times
from tenants.audit import Actor
from tenants.errors import Refusal
from tenants.keys import key_format
from tenants.limits import windows
from tenants.limits.windows import Kind
from tenants.management.options import add_limits, add_wants, duration, given, month, signed_micro_usd, user
from tenants.models import ApiKey, Limits, Tenant
from tenants.money import monthly_statement

BILLED = ("captured", "adjusted", "total", "held")  # sums of a statement
Answer = tuple[dict[str, Any], list[str]]  # for programs, and for people


class Command(BaseCommand):
    help = "Tenants: make and limit them, mint, roll and revoke their keys, print their bills."

    def add_arguments(self, parser: ArgumentParser) -> None:
        self._actions = parser.add_subparsers(dest="action", required=True)
        create = self._add("create", "make a tenant and its first key, which is shown once", "name")
        create.add_argument("--time-zone", default="UTC", metavar="ZONE", help="of its days and months; UTC, if none")
        add_limits(create)
        add_wants(create)
        key = self._add("key", "make one more key of a tenant", "name")
        key.add_argument("--label", default="")
        key.add_argument("--expires", type=duration, metavar="TIME", help="such as 30m, 24h, 90d; never, if not given")
        key.add_argument("--scope", dest="scopes", action="append", choices=ApiKey.Scope.values, help="all, if none")
        key.add_argument("--test", action="store_true", help="for the sandbox: no money, no bill")
        add_limits(key)
        limit = self._add(
            "limit", "change the limits of a tenant, or of a key by its prefix; `none` takes one away", "who"
        )
        limit.add_argument("--time-zone", metavar="ZONE")
        add_limits(limit, may_be_none=True)
        add_wants(limit)
        roll = self._add("roll", "replace a key: a new one, and the old one good for a while longer", "prefix")
        roll.add_argument("--overlap", type=duration, default=timedelta(hours=24), metavar="TIME", help="24h, if none")
        self._add("revoke", "revoke a key for ever", "prefix")
        self._add("suspend", "refuse a tenant's new generations; running ones finish", "name")
        self._add("resume", "end a tenant's suspension", "name")
        adjust = self._add("adjust", "put an amount on this month's bill, or a credit with a minus", "name")
        adjust.add_argument("--usd", type=signed_micro_usd, required=True, metavar="USD")
        bill = self._add("bill", "print a month's statement and write it as CSV", "name")
        bill.add_argument("--month", type=month, metavar="2026-11", help="this month, if not given")
        bill.add_argument("--csv", type=Path, metavar="FILE", help="bill-NAME-MONTH.csv here, if not given")
        self._add("list", "tenants and their keys")

    def _add(self, name: str, help: str, *positional: str) -> ArgumentParser:
        action: ArgumentParser = self._actions.add_parser(name, help=help)
        for argument in positional:
            action.add_argument(argument)
        action.add_argument("--json", action="store_true", help="print one JSON object")
        action.add_argument("--reason", default="", help="why, for the audit log")
        return action

    def handle(self, *args: Any, **options: Any) -> None:
        if not all(value.isascii() or _is_text(value) for value in options.values() if isinstance(value, str)):
            raise CommandError("An argument is not valid UTF-8.")
        self._actor = Actor(name=f"shell:{user()}", reason=options["reason"])
        do = {"list": self.list_all}.get(options["action"]) or getattr(self, options["action"])
        try:
            answer, sentences = do(options)
        except Refusal as error:
            raise CommandError(str(error)) from error
        self.stdout.write(json.dumps(answer) if options["json"] else "\n".join(sentences))

    def create(self, options: dict[str, Any]) -> Answer:
        name, zone = options["name"].strip(), options["time_zone"]
        facts = given(options, Limits.NAMES) | given(options, Tenant.GENERATION_POLICY_FIELDS)
        with transaction.atomic():  # no tenant without its key
            tenant = actions.create_tenant(self._actor, name, time_zone=zone, **facts)
            return _shown_once(tenant, actions.create_key(self._actor, tenant))

    def key(self, options: dict[str, Any]) -> Answer:
        tenant = _tenant(options["name"])
        facts: dict[str, Any] = {name: options[name] for name in ("label", "scopes", "test")}
        expires_at = None if options["expires"] is None else timezone.now() + options["expires"]
        new = actions.create_key(
            self._actor, tenant, expires_at=expires_at, limits=given(options, Limits.NAMES), **facts
        )
        return _shown_once(tenant, new)

    def limit(self, options: dict[str, Any]) -> Answer:
        wanted, wants, zone = (
            given(options, Limits.NAMES),
            given(options, Tenant.GENERATION_POLICY_FIELDS),
            options["time_zone"],
        )
        tenant = Tenant.objects.filter(name=options["who"]).first()
        if tenant is None:
            key = _known_key(options["who"])
            if zone or wants:
                raise CommandError("A key has limits of its own; all else is its tenant's.")
            key = actions.change_key(self._actor, key, **wanted)
            return {"key": key.prefix, "limits": key.limits}, [f"{key.prefix}: {_limit_words(key.limits)}"]
        changes = wanted | wants | ({"time_zone": zone} if zone else {})
        tenant = actions.change_tenant(self._actor, tenant, **changes)
        row = _tenant_row(tenant)
        del row["keys"]
        return row, [f"{tenant.name}: {_wants_words(row)}"]

    def roll(self, options: dict[str, Any]) -> Answer:
        old = _known_key(options["prefix"])
        new, ends = actions.roll_key(self._actor, old, options["overlap"])
        answer, sentences = _shown_once(old.tenant, new)
        shown = times.rfc3339(ends, "seconds")
        return {**answer, "old_key_expires_at": shown}, [*sentences, f"{old.prefix} is good until {shown}."]

    def revoke(self, options: dict[str, Any]) -> Answer:
        key = _known_key(options["prefix"])
        actions.revoke_key(self._actor, key)
        return {"tenant": key.tenant.name, "revoked": key.prefix}, [f"{key.prefix} is revoked."]

    def suspend(self, options: dict[str, Any]) -> Answer:
        actions.suspend(self._actor, tenant := _tenant(options["name"]))
        return {"tenant": tenant.name, "suspended": True}, [f"{tenant.name} is suspended; what runs finishes."]

    def resume(self, options: dict[str, Any]) -> Answer:
        actions.resume(self._actor, tenant := _tenant(options["name"]))
        return {"tenant": tenant.name, "suspended": False}, [f"{tenant.name} may create again."]

    def adjust(self, options: dict[str, Any]) -> Answer:
        tenant, amount = _tenant(options["name"]), options["usd"]
        actions.adjust(self._actor, tenant, amount)
        shown = amounts.format_usd(amount)
        return {"tenant": tenant.name, "usd": shown}, [f"{shown} USD are on {tenant.name}'s bill of this month."]

    def bill(self, options: dict[str, Any]) -> Answer:
        tenant = _tenant(options["name"])
        wanted = options["month"] or timezone.now().astimezone(tenant.zone).date()
        found = monthly_statement.build(tenant, wanted)
        path = options["csv"] or Path(f"bill-{_file_name(tenant.name)}-{found.month:%Y-%m}.csv")
        try:
            path.write_text(csv_export.render(monthly_statement.COLUMNS, found.rows), newline="")
        except OSError as error:
            raise CommandError(f"{path} can not be written: {error.strerror}") from error
        return _bill_object(found, path), _bill_lines(found, path)

    def list_all(self, options: dict[str, Any]) -> Answer:
        tenants = [_tenant_row(tenant) for tenant in Tenant.objects.order_by("name").prefetch_related("keys")]
        return {"tenants": tenants}, [_tenant_line(row) for row in tenants] or ["There is no tenant yet."]


def _is_text(argument: str) -> bool:
    """False for bytes of the command line that no text is made of."""
    return not any("\ud800" <= char <= "\udfff" for char in argument)


def _shown_once(tenant: Tenant, new: key_format.NewKey) -> Answer:
    answer = {"tenant": tenant.name, "api_key": new.text}
    return answer, [f"Tenant: {tenant.name}", f"API key, shown this once: {new.text}"]


def _tenant(name: str) -> Tenant:
    tenant = Tenant.objects.filter(name=name).first()
    if tenant is None:
        raise CommandError(f"There is no tenant named {name!r}.")
    return tenant


def _known_key(text: str) -> ApiKey:
    """By its prefix; a whole key will do, and is not repeated."""
    prefix = key_format.prefix_of(text) or text
    key = ApiKey.objects.filter(prefix=prefix).select_related("tenant").first()
    if key is None:
        raise CommandError("There is no key of that prefix; `tenant list` shows them.")
    return key


def _file_name(name: str) -> str:
    return "".join(char if char.isalnum() or char in "-_." else "-" for char in name)


def _bill_object(found: monthly_statement.Statement, path: Path) -> dict[str, Any]:
    return {
        "tenant": found.tenant.name,
        "month": f"{found.month:%Y-%m}",
        "time_zone": found.tenant.time_zone,
        "lines": found.rows,
        **{f"{name}_usd": amounts.format_usd(getattr(found, f"{name}_micro")) for name in BILLED},
        "held": found.held,
        "csv": str(path),
    }


def _bill_lines(found: monthly_statement.Statement, path: Path) -> list[str]:
    head = f"Statement for {found.tenant.name}, {found.month:%Y-%m} ({found.tenant.time_zone})"
    lines = [
        f"  {row['day']}  {row['key']:21}  {row['item']:42} {row['generations']:>6} x {row['unit_usd']:>11}  "
        f"{row['seconds']:>7} s  {row['usd']:>14} USD"
        for row in found.rows
    ]
    ends = [f"Total: {amounts.format_usd(found.total_micro)} USD"]
    if found.held:
        ends.append(f"Not final: {found.held} generations still hold {amounts.format_usd(found.held_micro)} USD.")
    return [head, *(lines or ["  nothing was bought"]), *ends, f"As CSV: {path}"]


def _tenant_row(tenant: Tenant) -> dict[str, Any]:
    known = [_key_row(key) for key in tenant.keys.all()]
    facts = {"limits": tenant.limits, "time_zone": tenant.time_zone, "suspended_at": times.iso(tenant.suspended_at)}
    facts |= {name: getattr(tenant, name) for name in Tenant.GENERATION_POLICY_FIELDS}
    return {"tenant": tenant.name, **facts, "keys": known}


def _key_row(key: ApiKey) -> dict[str, Any]:
    moments = {name: times.iso(getattr(key, name)) for name in ("expires_at", "last_used_at", "revoked_at")}
    facts = {"label": key.label, "scopes": key.scopes, "test": key.test, "limits": key.limits}
    return {"prefix": key.prefix, **facts, **moments}


def _tenant_line(row: dict[str, Any]) -> str:
    known = ", ".join(_key_words(key) for key in row["keys"])
    suspended = " (suspended)" if row["suspended_at"] else ""
    return f"{row['tenant']}{suspended}: {_wants_words(row)}; keys: {known or 'none'}"


def _wants_words(row: dict[str, Any]) -> str:
    """Its limits, and what is not as it is for all."""
    deadline = row["submit_deadline"]
    wants = [] if row["on_doubt"] == Tenant.OnDoubt.HOLD else [f"on doubt: {row['on_doubt']}"]
    wants += [] if deadline is None else [f"submit deadline: {deadline} s"]
    for name, things in {"video_days": "videos", "input_days": "pictures"}.items():
        if row[name] is not None:
            wants.append(f"{things} kept for {row[name]} days" if row[name] else f"{things} kept for ever")
    return ", ".join([_limit_words(row["limits"]), *wants])


def _limit_words(limits: dict[str, int | None]) -> str:
    named = [(kind, limits[windows.limit_field(kind)]) for kind in Kind]
    return (
        ", ".join(f"{kind.value}={windows.format_amount(kind, value)}" for kind, value in named if value is not None)
        or "no limits"
    )


def _key_words(key: dict[str, Any]) -> str:
    ends = f"until {key['expires_at'][:16]}" if key["expires_at"] else ""
    notes = [
        note for note in (key["label"], "test" if key["test"] else "", "revoked" if key["revoked_at"] else ends) if note
    ]
    return str(key["prefix"]) + (f" ({', '.join(notes)})" if notes else "")
