"""Compares the upstream's hourly bills with the ledger: by model, for any span of hours.

The ledger's side are the charges of delivered videos, by the hour in which they finished. It is not documented whether
the upstream bills a task when it is created or when it succeeds, so the charges are also added up by the hour of the
submit, and the sum that is nearer to the bill counts. A product that is known to be no model is compared by itself:
nothing was charged for it here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Count, DateTimeField, Min, QuerySet, Sum, Value
from django.db.models.functions import Coalesce, TruncDay, TruncHour

from generations.models import BilledProduct, Generation, UpstreamBill, UpstreamBooks
from generations.upstream import accounts
from tenants import amounts, times

ROUNDING_MICRO = 100  # a row of a bill is a whole number of 0.0001 USD
SPAN_OF_MEAN = timedelta(days=7)
LONGEST_TASK = timedelta(days=7)  # from a submit to the video
DAY = timedelta(days=1)
SUCCEEDED = Generation.Status.SUCCEEDED
CHARGED = Coalesce("charged_micro", "price_micro")
STEPS = {"hour": TruncHour, "day": TruncDay}


@dataclass
class Line:
    """The bill and the ledger of one model, or of one unknown product, in one hour, day or span."""

    start: datetime
    name: str  # the model's id, or the product's name
    is_known: bool  # False: no model is known for the product
    billed_micro: int = 0
    units: int = 0
    rows: int = 0  # of the bill
    charged_micro: int = 0  # for videos that finished then
    videos: int = 0
    submitted_micro: int = 0  # for videos whose submit was then
    uncharged: int = 0  # tasks that the upstream created, and that ended then without a charge

    @property
    def difference_micro(self) -> int:
        """Micro-USD on the bill beyond the ledger, or below it; 0 if they agree up to the rounding of the rows."""
        by_finish, by_submit = self.billed_micro - self.charged_micro, self.billed_micro - self.submitted_micro
        nearer = min(by_finish, by_submit, key=abs)
        return nearer if abs(nearer) > ROUNDING_MICRO * max(self.rows, 1) else 0


def compare(account: str, since: datetime, until: datetime, step: str | None = None) -> list[Line]:
    """Return the lines of the hours from `since` to `until`, in the order of time and name.

    `step` is "hour", "day" (of UTC) or None, which makes one line of a model.
    """
    lines: dict[tuple[datetime, str], Line] = {}
    models = dict(BilledProduct.objects.filter(account=account, is_ours=True).values_list("product", "model"))

    def line_of(start: datetime, name: str, *, is_known: bool = True) -> Line:
        """Return the line of that name and time, a new one if there is none."""
        return lines.setdefault((start, name), Line(start, name, is_known))

    bills = UpstreamBill.objects.filter(account=account, hour__gte=since, hour__lt=until, product__in=[*models])
    for start, product, amount, units, rows in _group(bills, "hour", "product", since, step).annotate(
        micro=Sum("amount_micro"), counted=Sum("units"), bills=Count("pk")
    ):
        line = line_of(start, models[product] or product, is_known=bool(models[product]))
        line.billed_micro += amount
        line.units += units or 0
        line.rows += rows
    for start, model, charged, videos in _charges(account, "finished_at", since, until, step):
        line = line_of(start, model)
        line.charged_micro, line.videos = charged, videos
    for start, model, charged, _ in _charges(account, "submitted_at", since, until, step):
        line_of(start, model).submitted_micro = charged
    for start, model, count in _uncharged(account, since, until, step):
        line_of(start, model).uncharged = count
    return [lines[name] for name in sorted(lines)]


def compare_read(since: datetime, until: datetime, step: str) -> Iterator[tuple[UpstreamBooks, list[Line]]]:
    """Yield each account whose bills were read, with the lines of `compare` for those hours that were read."""
    for books in UpstreamBooks.objects.exclude(bills_at=None).order_by("pk"):
        first, last = max(since, books.first_hour), min(until, books.bills_until)
        yield books, compare(books.account, first, last, step) if first < last else []


def as_row(account: str, line: Line) -> dict[str, Any]:
    """Return a line as an object of plain values, as the command and the CSV file have it."""
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


def read_books() -> QuerySet[UpstreamBooks]:
    """Return the books of the accounts that are read at present, for tiles and metrics."""
    return UpstreamBooks.objects.filter(pk__in=[account.name for account in accounts.find_with_books()])


def difference_micro(account: str, until: datetime) -> int:
    """Return by how many micro-USD bills and ledger differ over the last 24 hours before `until`, over all models."""
    return sum(abs(line.difference_micro) for line in compare(account, until - DAY, until))


def mean_daily_micro(account: str, until: datetime) -> int:
    """Return the micro-USD spent a day, over the seven days before `until`: by the bills or the ledger, the larger.

    An account that began later has its mean over the days since then.
    """
    since = until - SPAN_OF_MEAN
    bills = UpstreamBill.objects.filter(account=account, hour__gte=since, hour__lt=until)
    sums = (
        bills.aggregate(micro=Sum("amount_micro"), first=Min("hour")),
        _delivered(account, "finished_at", since, until).aggregate(micro=Sum(CHARGED), first=Min("finished_at")),
    )
    means = [row["micro"] * DAY // max(until - row["first"], DAY) for row in sums if row["micro"]]
    return max(means, default=0)


def _charges(account: str, column: str, since: datetime, until: datetime, step: str | None) -> QuerySet[Any]:
    """Return rows of start, model, micro-USD and number of the videos that finished, or were submitted, in the span."""
    grouped = _group(_delivered(account, column, since, until), column, "model", since, step)
    charges: QuerySet[Any] = grouped.annotate(micro=Sum(CHARGED), count=Count("pk"))
    return charges


def _delivered(account: str, column: str, since: datetime, until: datetime) -> QuerySet[Any]:
    """Return the live generations with a video whose time in `column` is in the span.

    What was submitted in it has finished within some days, so the index of ends finds it.
    """
    rows = Generation.objects.filter(Generation.at_account(account), test=False, status=SUCCEEDED)
    ended = rows.filter(finished_at__gte=since, finished_at__lt=until + LONGEST_TASK)
    return ended.filter(**{f"{column}__gte": since, f"{column}__lt": until})


def _uncharged(account: str, since: datetime, until: datetime, step: str | None) -> QuerySet[Any]:
    """Return rows of start, model and number of tasks that were created, and ended in the span without a charge."""
    rows = Generation.objects.filter(
        Generation.at_account(account),
        finished_at__gte=since,
        finished_at__lt=until,
        test=False,
        upstream_id__isnull=False,
    )
    grouped = _group(rows.exclude(status=SUCCEEDED), "finished_at", "model", since, step)
    counts: QuerySet[Any] = grouped.annotate(count=Count("pk"))
    return counts


def _group(rows: QuerySet[Any], column: str, name: str, since: datetime, step: str | None) -> QuerySet[Any]:
    """Group the rows by the start of their hour or day, or of the whole span, and by a name."""
    start = STEPS[step](column, tzinfo=UTC) if step else Value(since, output_field=DateTimeField())
    grouped: QuerySet[Any] = rows.order_by().annotate(start=start).values_list("start", name)
    return grouped
