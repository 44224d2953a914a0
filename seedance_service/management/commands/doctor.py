"""Is everything that the service needs there, as it has to be? If not, a sentence says what mends it."""

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from rich.console import Console
from rich.text import Text

from seedance_service import doctor

COLOURS = {doctor.OK: "green", doctor.WARNING: "yellow", doctor.WRONG: "bold red"}


class Command(BaseCommand):
    help = "Examine settings, database, broker, bucket, upstream, clocks, worker and disk; exit 1 where one is wrong."
    requires_system_checks: list[str] = []  # it runs them itself, and tells what they find

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        console, found = Console(file=self.stdout, soft_wrap=True), []  # type: ignore[arg-type]  # it can write
        for finding in doctor.examine():
            found.append(finding)
            if not options["json"]:
                _show(console, finding)
        is_well = all(finding.level != doctor.WRONG for finding in found)
        if options["json"]:
            self.stdout.write(json.dumps({"ok": is_well, "findings": [finding.as_json() for finding in found]}))
        if not is_well:
            sys.exit(1)


def _show(console: Console, finding: doctor.Finding) -> None:
    line = Text(f"{finding.level:8}", style=COLOURS[finding.level])
    line.append(f" {finding.name}: {finding.fact}", style="default")
    line.append(f"  {finding.milliseconds:.0f} ms", style="dim")
    console.print(line)
    if finding.mend and finding.level != doctor.OK:
        console.print(Text(f"         {finding.mend}", style="default"))
