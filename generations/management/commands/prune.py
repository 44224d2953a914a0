"""What is older than it is kept for: shown, or removed."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand
from rich import filesize

from generations.ops.retention import Prune, Pruned


class Command(BaseCommand):
    help = "Remove what is older than it is kept for. The worker does so each hour."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say what would go, and change nothing")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        dry = options["dry_run"]
        found = Prune(dry=dry).run()
        if options["json"]:
            self.stdout.write(json.dumps({"dry_run": dry, "pruned": [asdict(one) for one in found]}))
        else:
            verb = "would go" if dry else "gone"
            self.stdout.write("\n".join(_line(one, verb) for one in found))


def _line(one: Pruned, verb: str) -> str:
    size = filesize.decimal(one.bytes) if one.bytes >= 1000 else f"{one.bytes} B"
    notes = (f", {size}" if one.bytes else "") + (f" ({one.note})" if one.note else "")
    return f"{one.what:10} {one.count:>9,} {verb}{notes}"
