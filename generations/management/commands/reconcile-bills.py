"""Compares the upstream's bills with the ledger, from the shell."""

import json
import sys
from argparse import ArgumentParser, ArgumentTypeError
from datetime import UTC, date, datetime, time
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from generations.reports import bill_comparison
from tenants import times

FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


class Command(BaseCommand):
    """The command. It exits with 1 if a bill and the ledger differ."""

    help = "Compare the upstream's bills that were read with the ledger, by model, and print each difference."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the span and the options."""
        parser.add_argument(
            "--since", type=parse_day, default=FIRST, metavar="YYYY-MM-DD", help="the first day, in UTC; default: all"
        )
        parser.add_argument(
            "--until", type=parse_day, default=LAST, metavar="YYYY-MM-DD", help="the first day after the span"
        )
        parser.add_argument("--by", choices=[*bill_comparison.STEPS], default="day", help="default: day")
        parser.add_argument("--all", action="store_true", help="print also what agrees")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Compare the bills of each account and print the lines."""
        compared = list(bill_comparison.compare_read(options["since"], options["until"], options["by"]))
        if not compared:
            raise CommandError(
                "No bill was read yet. With NOVITA_BILLS on, workers read bills minutes after their start."
            )
        lines = [(books.account, line) for books, of_account in compared for line in of_account]
        is_different = any(line.difference_micro for _, line in lines)
        shown = [(account, line) for account, line in lines if options["all"] or line.difference_micro]
        rows = [bill_comparison.as_row(account, line) for account, line in shown]
        read = {books.account: times.iso(books.bills_until) for books, _ in compared}
        self.stdout.write(
            json.dumps({"read_until": read, "lines": rows})
            if options["json"]
            else "\n".join([*map(_text, rows), *([] if is_different else ["The bills agree with the ledger."])])
        )
        if is_different:
            sys.exit(1)


def parse_day(text: str) -> datetime:
    """Return the start of a day in UTC."""
    try:
        return datetime.combine(date.fromisoformat(text), time(), UTC)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is not a day such as 2026-11-30") from error


def _text(row: dict[str, Any]) -> str:
    """Return a row of `as_row` as a line of text."""
    known = "" if row["is_known_product"] else " (no known model)"
    return (
        "{account}, {start}, {name}{known}: billed {billed_usd} USD for {billed_units} units, "
        "charged {charged_usd} USD for {videos} videos: {difference_usd} USD"
    ).format(known=known, **row)
