"""Compares the upstream's bills with the ledger, from the shell."""

import json
import sys
from argparse import ArgumentParser, ArgumentTypeError
from datetime import UTC, date, datetime, time
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from generations.models import UpstreamBooks
from generations.reports import bill_comparison
from generations.reports.bill_comparison import Line
from tenants import amounts, times


class Command(BaseCommand):
    """The command. It exits with 1 if a bill and the ledger differ."""

    help = "Compare the upstream's bills that were read with the ledger, by model, and print each difference."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the span and the options."""
        parser.add_argument("--since", type=parse_day, metavar="YYYY-MM-DD", help="the first day, in UTC; default: all")
        parser.add_argument("--until", type=parse_day, metavar="YYYY-MM-DD", help="the first day after the span")
        parser.add_argument("--by", choices=[*bill_comparison.STEPS], default="day", help="default: day")
        parser.add_argument("--all", action="store_true", help="print also what agrees")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Compare the bills of each account and print the lines."""
        accounts = list(UpstreamBooks.objects.exclude(bills_at=None).order_by("pk"))
        if not accounts:
            raise CommandError("No bill was read yet. Workers read them, where NOVITA_BILLS is on.")
        rows, is_different = [], False
        for books in accounts:
            since, until = _span(books, options["since"], options["until"])
            lines = bill_comparison.compare(books.account, since, until, options["by"]) if since < until else []
            is_different = is_different or any(line.difference_micro for line in lines)
            rows += [_row(books.account, line) for line in lines if options["all"] or line.difference_micro]
        read = {books.account: times.iso(books.bills_until) for books in accounts if books.bills_until}
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


def _span(books: UpstreamBooks, since: datetime | None, until: datetime | None) -> tuple[datetime, datetime]:
    """Return the hours to compare: those of the options whose bills were read."""
    assert books.first_hour
    assert books.bills_until
    return max(since or books.first_hour, books.first_hour), min(until or books.bills_until, books.bills_until)


def _row(account: str, line: Line) -> dict[str, Any]:
    """Return a line as an object."""
    return {
        "account": account,
        "start": times.iso(line.start),
        "name": line.name,
        "is_known_product": line.is_known,
        "billed_usd": amounts.format_usd(line.billed_micro),
        "charged_usd": amounts.format_usd(line.charged_micro),
        "difference_usd": amounts.format_usd(line.difference_micro),
        "billed_units": line.units,
        "videos": line.videos,
        "uncharged_tasks": line.uncharged,
    }


def _text(row: dict[str, Any]) -> str:
    """Return a row of `_row` as a line of text."""
    known = "" if row["is_known_product"] else " (no known model)"
    return (
        "{account}, {start}, {name}{known}: billed {billed_usd} USD for {billed_units} units, "
        "charged {charged_usd} USD for {videos} videos: {difference_usd} USD"
    ).format(known=known, **row)
