"""Tenants and their keys from the shell."""

import json
from argparse import ArgumentParser, ArgumentTypeError
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import IntegrityError, transaction
from django.utils import timezone

from tenants import keys
from tenants.models import ApiKey, Tenant

UNITS = {"m": "minutes", "h": "hours", "d": "days"}
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


def duration(text: str) -> timedelta:
    """30m, 24h or 90d."""
    number, unit = text[:-1], text[-1:]
    if not (number.isascii() and number.isdecimal() and len(number) < 6 and unit in UNITS):
        raise ArgumentTypeError(f"{text!r} is not a time such as 30m, 24h or 90d")
    return timedelta(**{UNITS[unit]: int(number)})


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
        key.add_argument("--expires", type=duration, metavar="TIME", help="such as 30m, 24h, 90d; never, if not given")
        key.add_argument(
            "--scope", dest="scopes", action="append", choices=ApiKey.Scope.values, help="all, if not given"
        )
        roll = actions.add_parser("roll", help="replace a key: a new one, and the old one good for a while longer")
        roll.add_argument("prefix")
        roll.add_argument(
            "--overlap", type=duration, default=timedelta(hours=24), metavar="TIME", help="24h, if not given"
        )
        revoke = actions.add_parser("revoke", help="revoke a key for ever")
        revoke.add_argument("prefix", help="the key up to its secret, as `tenant list` shows it")
        listing = actions.add_parser("list", help="tenants and their keys")
        for action in (create, key, roll, revoke, listing):
            action.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        actions = {
            "create": self.create,
            "key": self.key,
            "roll": self.roll,
            "revoke": self.revoke,
            "list": self.list_all,
        }
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
                return self._with_new_key(tenant)
        except IntegrityError as error:
            raise CommandError(f"There is a tenant named {name!r} already.") from error

    def key(self, options: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        if len(options["label"]) > 100 or not options["label"].isprintable():
            raise CommandError("A label has at most 100 printable characters.")
        tenant = Tenant.objects.filter(name=options["name"]).first()
        if tenant is None:
            raise CommandError(f"There is no tenant named {options['name']!r}.")
        expires_at = timezone.now() + options["expires"] if options["expires"] else None
        scopes = options["scopes"] or list(ApiKey.Scope.values)
        return self._with_new_key(tenant, label=options["label"], scopes=scopes, expires_at=expires_at)

    def roll(self, options: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """The new key may do what the old one may; the old one never lives longer than it would have."""
        with transaction.atomic():
            old = _known_key(options["prefix"])
            ends = min(filter(None, [old.expires_at, timezone.now() + options["overlap"]]))
            if not ApiKey.objects.filter(pk=old.pk, revoked_at=None).update(expires_at=ends):
                raise CommandError(f"{old.prefix} is revoked; make a new one with `tenant key`.")
            answer, sentences = self._with_new_key(old.tenant, label=old.label, scopes=old.scopes)
        shown = f"{ends:%Y-%m-%dT%H:%M:%SZ}"
        return {**answer, "old_key_expires_at": shown}, [*sentences, f"{old.prefix} is good until {shown}."]

    def revoke(self, options: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        key = _known_key(options["prefix"])
        ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now())
        return {"tenant": key.tenant.name, "revoked": key.prefix}, [f"{key.prefix} is revoked."]

    def list_all(self, options: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        tenants = [_tenant_row(tenant) for tenant in Tenant.objects.order_by("name").prefetch_related("keys")]
        return {"tenants": tenants}, [_tenant_line(row) for row in tenants] or ["There is no tenant yet."]

    def _with_new_key(self, tenant: Tenant, **facts: Any) -> tuple[dict[str, Any], list[str]]:
        new = keys.mint()
        ApiKey.objects.create(tenant=tenant, prefix=new.prefix, digest=new.digest, **facts)
        answer = {"tenant": tenant.name, "api_key": new.text}
        return answer, [f"Tenant: {tenant.name}", f"API key, shown this once: {new.text}"]


def _known_key(text: str) -> ApiKey:
    """By its prefix; a whole key will do, and is not repeated."""
    prefix = keys.prefix_of(text) or text
    key = ApiKey.objects.filter(prefix=prefix).select_related("tenant").first()
    if key is None:
        raise CommandError("There is no key of that prefix; `tenant list` shows them.")
    return key


def _tenant_row(tenant: Tenant) -> dict[str, Any]:
    limits = {name: getattr(tenant, name) for name in [*COUNTS, "usd_per_month_micro"]}
    known = [_key_row(key) for key in tenant.keys.all()]
    return {"tenant": tenant.name, "limits": limits, "keys": known}


def _key_row(key: ApiKey) -> dict[str, Any]:
    times = {name: getattr(key, name) for name in ("expires_at", "last_used_at", "revoked_at")}
    shown = {name: at.isoformat() if at else None for name, at in times.items()}
    return {"prefix": key.prefix, "label": key.label, "scopes": key.scopes, **shown}


def _tenant_line(row: dict[str, Any]) -> str:
    limits = ", ".join(f"{name}={value}" for name, value in row["limits"].items() if value is not None)
    known = ", ".join(_key_words(key) for key in row["keys"])
    return f"{row['tenant']}: {limits or 'no limits'}; keys: {known or 'none'}"


def _key_words(key: dict[str, Any]) -> str:
    ends = f"until {key['expires_at'][:16]}" if key["expires_at"] else ""
    notes = [note for note in (key["label"], "revoked" if key["revoked_at"] else ends) if note]
    return str(key["prefix"]) + (f" ({', '.join(notes)})" if notes else "")
