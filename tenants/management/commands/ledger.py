"""The ledger against the counters, from the shell."""

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from tenants import times
from tenants.models import ApiKey, Tenant
from tenants.money import reconcile


class Command(BaseCommand):
    help = "Compare every counter with the fold of the ledger, and name each difference; rebuild mends them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=["check", "rebuild"])
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        actor = reconcile.rebuild if options["action"] == "rebuild" else reconcile.check
        tenants = list(Tenant.objects.order_by("name").values_list("pk", "name"))
        found = [_row(name, wrong) for pk, name in tenants for wrong in actor(pk)]
        sentences = [_line(row) for row in found] or ["Every counter is what the ledger says."]
        self.stdout.write(json.dumps({"differences": found}) if options["json"] else "\n".join(sentences))
        if found and options["action"] == "check":
            sys.exit(1)


def _row(tenant: str, wrong: reconcile.Difference) -> dict[str, Any]:
    key = ApiKey.objects.get(pk=wrong.api_key_id).prefix if wrong.api_key_id else None
    row = {"tenant": tenant, "key": key, "window": wrong.kind, "starts_at": times.iso(wrong.starts_at)}
    return {**row, "counter": wrong.counter, "ledger": wrong.ledger}


def _line(row: dict[str, Any]) -> str:
    whose = "{tenant}, {key}" if row["key"] else "{tenant}"
    return (whose + ": {window} from {starts_at} says {counter}, the ledger {ledger}").format(**row)
