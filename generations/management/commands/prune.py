"""The command `prune`: delete old data and orphans, or show what would be deleted."""

import json
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich import filesize

from generations.bucket import undeleted
from generations.ops import pruning
from generations.ops.prune_run import PruneResult
from tenants import audit, times
from tenants.management.options import add_reason, shell_actor

LABELS = {
    "pictures": "input images",
    "uploads": "unfinished uploads",
    "minutes": "minute windows",
    "refusals": "counts of refused creates",
    "rings": "failed wake-ups",
    "hosts": "silent worker hosts",
    "sessions": "panel sessions",
}


class Command(BaseCommand):
    """Delete old data and orphans now."""

    help = (
        "Delete data that is past its retention, and orphans. The worker does the same each hour. Exit with 1 if "
        "something could not be deleted; the rest is."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the options."""
        parser.add_argument("--dry-run", action="store_true", help="show what would be deleted, and change nothing")
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        add_reason(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Prune every kind and print a line for each."""
        dry = options["dry_run"]
        try:
            results = pruning.run(dry=dry)
        except pruning.ClocksDiffer as error:
            raise CommandError(str(error)) from error
        if not dry:
            facts = {result.what: result.count for result in results if result.count}
            audit.record(shell_actor(options["reason"]), "prune", None, "all tenants", facts)
        stays = undeleted.summarize()
        if options["json"]:
            body = {"dry_run": dry, "pruned": [asdict(result) for result in results], "undeleted": stays.count}
            self.stdout.write(json.dumps(body))
        else:
            verb = "would be deleted" if dry else "deleted"
            self.stdout.write("\n".join([*(_format(result, verb) for result in results), *_format_undeleted(stays)]))
        if any(result.failed for result in results):
            sys.exit(1)


def _format_undeleted(stays: undeleted.Summary) -> list[str]:
    """Return a line about what S3 has not deleted so far, or none."""
    if not stays.count:
        return []
    since = f"the first since {times.readable(stays.since)} UTC: {', '.join(stays.reasons)}" if stays.since else ""
    return [f"{'still in the bucket':20} {stays.count:>9,} {since}"]


def _format(result: PruneResult, verb: str) -> str:
    """Format a result as a line such as "videos   1 deleted, 1.2 MB"."""
    size = filesize.decimal(result.bytes) if result.bytes >= 1000 else f"{result.bytes} B"
    notes = (f", {size}" if result.bytes else "") + (f" ({result.note})" if result.note else "")
    return f"{LABELS.get(result.what, result.what):20} {result.count:>9,} {verb}{notes}"
