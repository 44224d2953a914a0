"""Tenants and their keys from the shell."""

import json
from argparse import ArgumentParser, ArgumentTypeError
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import IntegrityError, transaction
from django.utils import timezone

from tenants import keys
from tenants.models import ApiKey, Tenant

COUNTS = ["requests_per_minute", "in_flight", "per_day", "per_month"]


def count(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**31:
        raise ArgumentTypeError(f"{text!r} is not a whole number from 0 to {2**31 - 1}")
    return int(text)


def micro_usd(text: str) -> int:
    """12.5 -> 12500000."""
    try:
        micro = Decimal(text) * 1_000_000
    except InvalidOperation:
        micro = Decimal("NaN")
    if not (micro.is_finite() and 0 <= micro < 2**63 and micro == micro.to_integral_value()):
        raise ArgumentTypeError(f"{text!r} is not an amount of USD with at most six decimals")
    return int(micro)


class Command(BaseCommand):
    help = "Make tenants and keys, revoke keys, list both."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        create = actions.add_parser("create", help="make a tenant and its first key, which is shown once")
        create.add_argument("name")
        for name in COUNTS:
            create.add_argument(f"--{name.replace('_', '-')}", type=count, metavar="N")
        create.add_argument("--usd-per-month", dest="usd_per_month_micro", type=micro_usd, metavar="USD")
        key = actions.add_parser("key", help="make one more key of a tenant")
        key.add_argument("name")
        key.add_argument("--label", default="")
        revoke = actions.add_parser("revoke", help="revoke a key for ever")
        revoke.add_argument("prefix", help="the key up to its secret, as `tenant list` shows it")
        listing = actions.add_parser("list", help="tenants and their keys")
        for action in (create, key, revoke, listing):
            action.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        actions = {"create": self.create, "key": self.key, "revoke": self.revoke, "list": self.list_all}
        answer, sentences = actions[options["action"]](options)
        self.stdout.write(json.dumps(answer) if options["json"] else "\n".join(sentences))

    def create(self, options: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        limits = {name: options[name] for name in [*COUNTS, "usd_per_month_micro"]}
        name = options["name"].strip()
        if not 0 < len(name) <= 100 or not name.isprintable():
            raise CommandError("A tenant's name has 1 to 100 printable characters.")
        try:
            with transaction.atomic():
                tenant = Tenant.objects.create(name=name, **limits)
                return self._with_new_key(tenant, "")
        except IntegrityError as error:
            raise CommandError(f"There is a tenant named {name!r} already.") from error

    def key(self, options: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        if len(options["label"]) > 100 or not options["label"].isprintable():
            raise CommandError("A label has at most 100 printable characters.")
        tenant = Tenant.objects.filter(name=options["name"]).first()
        if tenant is None:
            raise CommandError(f"There is no tenant named {options['name']!r}.")
        return self._with_new_key(tenant, options["label"])

    def revoke(self, options: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        prefix = keys.prefix_of(options["prefix"]) or options["prefix"]  # a whole key will do, and is not repeated
        key = ApiKey.objects.filter(prefix=prefix).select_related("tenant").first()
        if key is None:
            raise CommandError("There is no key of that prefix; `tenant list` shows them.")
        ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now())
        return {"tenant": key.tenant.name, "revoked": key.prefix}, [f"{key.prefix} is revoked."]

    def list_all(self, options: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        tenants = [_tenant_row(tenant) for tenant in Tenant.objects.order_by("name").prefetch_related("keys")]
        return {"tenants": tenants}, [_tenant_line(row) for row in tenants] or ["There is no tenant yet."]

    def _with_new_key(self, tenant: Tenant, label: str) -> tuple[dict[str, Any], list[str]]:
        new = keys.mint()
        ApiKey.objects.create(tenant=tenant, prefix=new.prefix, digest=new.digest, label=label)
        answer = {"tenant": tenant.name, "api_key": new.text}
        return answer, [f"Tenant: {tenant.name}", f"API key, shown this once: {new.text}"]


def _tenant_row(tenant: Tenant) -> dict[str, Any]:
    limits = {name: getattr(tenant, name) for name in [*COUNTS, "usd_per_month_micro"]}
    known = [
        {"prefix": key.prefix, "label": key.label, "revoked": key.revoked_at is not None} for key in tenant.keys.all()
    ]
    return {"tenant": tenant.name, "limits": limits, "keys": known}


def _tenant_line(row: dict[str, Any]) -> str:
    limits = ", ".join(f"{name}={value}" for name, value in row["limits"].items() if value is not None)
    known = ", ".join(_key_words(key) for key in row["keys"])
    return f"{row['tenant']}: {limits or 'no limits'}; keys: {known or 'none'}"


def _key_words(key: dict[str, Any]) -> str:
    notes = [note for note in (key["label"], "revoked" if key["revoked"] else "") if note]
    return str(key["prefix"]) + (f" ({', '.join(notes)})" if notes else "")
