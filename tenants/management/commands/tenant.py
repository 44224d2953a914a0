"""Creates and changes tenants, their keys and limits, and prints their bills, from the shell."""

import json
from argparse import ArgumentParser
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from tenants import actions, amounts, csv_export, times
from tenants.db import clock
from tenants.errors import Refusal
from tenants.keys import key_format
from tenants.management import options as parsers
from tenants.management import tenant_output as output
from tenants.management.options import select_options
from tenants.management.tenant_output import Output
from tenants.models import ApiKey, Limits, Tenant
from tenants.money import monthly_statement

OVERLAP = timedelta(hours=24)  # for which a rolled key stays valid, unless --overlap says otherwise


class Command(BaseCommand):
    """The command; each subcommand is a method of the same name, which returns what is printed."""

    help = "Create tenants and set their limits; create, roll and revoke their keys; print their bills."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the subcommands."""
        self._subparsers = parser.add_subparsers(dest="action", required=True)
        create = self._add("create", "create a tenant and a first key, which is shown only once", "name")
        create.add_argument("--time-zone", default="UTC", metavar="ZONE", help="of the days and months; default: UTC")
        parsers.add_limits(create)
        parsers.add_allow_lists(create)
        parsers.add_generation_policy(create)
        key = self._add("key", "create another key of a tenant", "name")
        key.add_argument("--label", default="")
        key.add_argument(
            "--expires", type=parsers.parse_duration, metavar="TIME", help="such as 30m, 24h, 90d; default: never"
        )
        key.add_argument("--scope", dest="scopes", action="append", choices=ApiKey.Scope.values, help="default: all")
        key.add_argument("--test", action="store_true", help="a key for the sandbox: no money, no bill")
        parsers.add_limits(key)
        parsers.add_allow_lists(key)
        limit = self._add(
            "limit", "change the limits and lists of a tenant, or of a key by its prefix; `none` removes a limit", "who"
        )
        limit.add_argument("--time-zone", metavar="ZONE")
        parsers.add_limits(limit, may_be_none=True)
        parsers.add_allow_lists(limit)
        parsers.add_generation_policy(limit)
        roll = self._add("roll", "replace a key by a new one; the old key stays valid for a while", "prefix")
        roll.add_argument(
            "--overlap", type=parsers.parse_duration, default=OVERLAP, metavar="TIME", help="default: 24h"
        )
        revoke = self._add("revoke", "revoke a key for ever; what it has queued goes on", "prefix")
        suspend = self._add("suspend", "refuse a tenant's new generations and hold its queued ones", "name")
        for subparser in (revoke, suspend):
            subparser.add_argument("--cancel-queued", action="store_true", help="cancel what is queued")
        self._add("resume", "end a tenant's suspension; what is queued goes on", "name")
        adjust = self._add("adjust", "put an amount on this month's bill; a negative one is a credit", "name")
        adjust.add_argument("--usd", type=parsers.parse_signed_usd, required=True, metavar="USD")
        bill = self._add("bill", "print a month's bill and write it to a CSV file", "name")
        bill.add_argument("--month", type=parsers.parse_month, metavar="2026-11", help="default: this month")
        bill.add_argument("--csv", type=Path, metavar="FILE", help="default: bill-NAME-MONTH.csv")
        self._add("list", "list the tenants and their keys")

    def _add(self, name: str, help: str, *positional: str) -> ArgumentParser:
        """Add a subcommand with the options that all subcommands have."""
        subparser: ArgumentParser = self._subparsers.add_parser(name, help=help)
        for argument in positional:
            subparser.add_argument(argument)
        subparser.add_argument("--json", action="store_true", help="print one JSON object")
        parsers.add_reason(subparser)
        return subparser

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the subcommand and print its output. Raise CommandError for a refusal."""
        if not all(value.isascii() or _is_text(value) for value in options.values() if isinstance(value, str)):
            raise CommandError("An argument is not valid UTF-8.")
        self._actor = parsers.shell_actor(options["reason"])
        run = {"list": self.list_all}.get(options["action"]) or getattr(self, options["action"])
        try:
            row, lines = run(options)
        except Refusal as error:
            raise CommandError(str(error)) from error
        self.stdout.write(json.dumps(row) if options["json"] else "\n".join(lines))

    def create(self, options: dict[str, Any]) -> Output:
        """Create a tenant and its first key, in one transaction."""
        name, zone = options["name"].strip(), options["time_zone"]
        facts = select_options(options, (*Limits.NAMES, *Tenant.ALLOW_LISTS, *Tenant.GENERATION_POLICY_FIELDS))
        with transaction.atomic():
            tenant = actions.create_tenant(self._actor, name, time_zone=zone, **facts)
            return output.new_key(tenant, actions.create_key(self._actor, tenant))

    def key(self, options: dict[str, Any]) -> Output:
        """Create another key of a tenant."""
        tenant = _find_tenant(options["name"])
        facts: dict[str, Any] = {name: options[name] for name in ("label", "scopes", "test")}
        facts["expires_at"] = None if options["expires"] is None else clock.now() + options["expires"]
        limits, lists = select_options(options, Limits.NAMES), select_options(options, ApiKey.ALLOW_LISTS)
        new = actions.create_key(self._actor, tenant, limits=limits, allow_lists=lists, **facts)
        return output.new_key(tenant, new)

    def limit(self, options: dict[str, Any]) -> Output:
        """Change the limits, lists and settings of a tenant, or the limits and lists of a key."""
        limits = select_options(options, (*Limits.NAMES, *Tenant.ALLOW_LISTS))
        policy = select_options(options, Tenant.GENERATION_POLICY_FIELDS)
        zone = {"time_zone": options["time_zone"]} if options["time_zone"] else {}
        tenant = Tenant.objects.filter(name=options["who"]).first()
        if tenant is None:
            key = _find_key(options["who"])
            if zone or policy:
                raise CommandError("A key has limits of its own, and lists, but no other settings: name the tenant.")
            key = actions.change_key(self._actor, key, **limits)
            return output.limits_of_key(key)
        tenant = actions.change_tenant(self._actor, tenant, **limits, **policy, **zone)
        row = output.tenant_row(tenant)
        del row["keys"]
        return row, [f"{tenant.name}: {output.describe_settings(row)}"]

    def roll(self, options: dict[str, Any]) -> Output:
        """Replace a key by a new one."""
        old = _find_key(options["prefix"])
        new, ends = actions.roll_key(self._actor, old, options["overlap"])
        row, lines = output.new_key(old.tenant, new)
        expires_at = times.rfc3339(ends, "seconds")
        return {**row, "old_key_expires_at": expires_at}, [*lines, f"{old.prefix} is valid until {expires_at}."]

    def revoke(self, options: dict[str, Any]) -> Output:
        """Revoke a key."""
        key = _find_key(options["prefix"])
        count = actions.revoke_key(self._actor, key, cancel_queued=options["cancel_queued"])
        row, lines = _cancelled(options, count)
        return {"tenant": key.tenant.name, "revoked": key.prefix, **row}, [f"{key.prefix} is revoked.", *lines]

    def suspend(self, options: dict[str, Any]) -> Output:
        """Suspend a tenant."""
        tenant = _find_tenant(options["name"])
        count = actions.suspend(self._actor, tenant, cancel_queued=options["cancel_queued"])
        row, lines = _cancelled(options, count)
        sentence = f"{tenant.name} is suspended; running generations finish, and queued ones are held."
        return {"tenant": tenant.name, "suspended": True, **row}, [sentence, *lines]

    def resume(self, options: dict[str, Any]) -> Output:
        """End a tenant's suspension."""
        actions.resume(self._actor, tenant := _find_tenant(options["name"]))
        return {"tenant": tenant.name, "suspended": False}, [f"{tenant.name} may create generations again."]

    def adjust(self, options: dict[str, Any]) -> Output:
        """Put an amount on this month's bill of a tenant."""
        tenant = _find_tenant(options["name"])
        actions.adjust(self._actor, tenant, options["usd"])
        usd = amounts.format_usd(options["usd"])
        return {"tenant": tenant.name, "usd": usd}, [f"{usd} USD were put on {tenant.name}'s bill of this month."]

    def bill(self, options: dict[str, Any]) -> Output:
        """Write a month's bill to a CSV file, and print it."""
        tenant = _find_tenant(options["name"])
        month = options["month"] or clock.now().astimezone(tenant.zone).date()
        statement = monthly_statement.build(tenant, month)
        path = options["csv"] or Path(monthly_statement.file_name(tenant, statement.month))
        try:
            csv_export.write(path, monthly_statement.COLUMNS, statement.rows)
        except OSError as error:
            raise CommandError(f"{path} can not be written: {error.strerror}") from error
        return output.bill(statement, path)

    def list_all(self, options: dict[str, Any]) -> Output:
        """List the tenants and their keys."""
        rows = [output.tenant_row(tenant) for tenant in Tenant.objects.order_by("name").prefetch_related("keys")]
        return {"tenants": rows}, [output.tenant_line(row) for row in rows] or ["There are no tenants yet."]


def _is_text(argument: str) -> bool:
    """Return False for an argument that was not valid UTF-8 on the command line."""
    return not any("\ud800" <= char <= "\udfff" for char in argument)


def _find_tenant(name: str) -> Tenant:
    """Return the tenant. Raise CommandError if there is none of that name."""
    tenant = Tenant.objects.filter(name=name).first()
    if tenant is None:
        raise CommandError(f"There is no tenant named {name!r}.")
    return tenant


def _find_key(text: str) -> ApiKey:
    """Return the key by its prefix, or by its whole text, which no output repeats. Raise CommandError."""
    prefix = key_format.prefix_of(text) or text
    key = ApiKey.objects.filter(prefix=prefix).select_related("tenant").first()
    if key is None:
        raise CommandError("There is no key with that prefix; `tenant list` shows all keys.")
    return key


def _cancelled(options: dict[str, Any], count: int | None) -> Output:
    """Return how many queued generations were cancelled; nothing without the option --cancel-queued."""
    if not options["cancel_queued"]:
        return {}, []
    return {"cancelled": count or 0}, [f"{count or 0} queued generations were cancelled, and their holds released."]
