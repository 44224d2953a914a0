"""Check everything that the service needs, and print how to fix what is wrong."""

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from rich.console import Console
from rich.text import Text

from seedance_service import doctor
from seedance_service.findings import OK, WARNING, WRONG, Finding

COLOURS = {OK: "green", WARNING: "yellow", WRONG: "bold red"}


class Command(BaseCommand):
    help = (
        "Check settings, database, broker, bucket, upstream, models, clocks, worker, disk and the company's login; "
        "exit 1 if any is wrong."
    )
    requires_system_checks: list[str] = []  # the command runs them itself and prints their messages

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        routes_help = "also ask the upstream whether each model's route still lives; this costs nothing"
        parser.add_argument("--models", action="store_true", help=routes_help)

    def handle(self, *args: Any, **options: Any) -> None:
        """Print each finding as soon as its check has ended, or all of them as JSON."""
        console, findings = Console(file=self.stdout, soft_wrap=True), []  # type: ignore[arg-type]  # stdout can write
        for finding in doctor.run_checks(with_routes=options["models"]):
            findings.append(finding)
            if not options["json"]:
                _print(console, finding)
        is_well = all(finding.level != WRONG for finding in findings)
        if options["json"]:
            self.stdout.write(json.dumps({"ok": is_well, "findings": [finding.as_json() for finding in findings]}))
        if not is_well:
            sys.exit(1)


def _print(console: Console, finding: Finding) -> None:
    line = Text(f"{finding.level:8}", style=COLOURS[finding.level])
    line.append(f" {finding.name}: {finding.fact}", style="default")
    line.append(f"  {finding.milliseconds:.0f} ms", style="dim")
    console.print(line)
    if finding.fix and finding.level != OK:
        console.print(Text(f"         {finding.fix}", style="default"))
