"""Compares the counters with the ledger, from the shell."""

import json
import sys
from argparse import ArgumentParser
from functools import partial
from typing import Any

from django.core.management.base import BaseCommand

from tenants import times
from tenants.management.options import add_reason, shell_actor
from tenants.models import ApiKey, Tenant
from tenants.money import reconcile


class Command(BaseCommand):
    """The command. `check` exits with 1 if a counter differs."""

    help = "Compare every counter with the ledger, and print each difference; rebuild sets the counters right."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the action and the options."""
        parser.add_argument("action", choices=["check", "rebuild"])
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        add_reason(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the action for every tenant and print the differences."""
        rebuild = partial(reconcile.rebuild, actor=shell_actor(options["reason"]))
        run = rebuild if options["action"] == "rebuild" else reconcile.check
        tenants = list(Tenant.objects.order_by("name").values_list("pk", "name"))
        rows = [_row(name, difference) for pk, name in tenants for difference in run(pk)]
        lines = [_line(row) for row in rows] or ["Every counter agrees with the ledger."]
        self.stdout.write(json.dumps({"differences": rows}) if options["json"] else "\n".join(lines))
        if rows and options["action"] == "check":
            sys.exit(1)


def _row(tenant: str, difference: reconcile.Difference) -> dict[str, Any]:
    """Return a difference as an object; its key is None for a window of the whole tenant."""
    key = ApiKey.objects.get(pk=difference.api_key_id).prefix if difference.api_key_id else None
    row = {"tenant": tenant, "key": key, "window": difference.kind, "starts_at": times.iso(difference.starts_at)}
    return {**row, "counter": difference.counter, "ledger": difference.ledger}


def _line(row: dict[str, Any]) -> str:
    """Return a difference of `_row` as a line of text."""
    holder = "{tenant}, {key}" if row["key"] else "{tenant}"
    return (holder + ": {window} from {starts_at} is {counter}, and {ledger} by the ledger").format(**row)
