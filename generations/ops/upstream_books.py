"""Reads the balance and the hourly bills of the upstream accounts that show them, and compares the bills.

It is not documented how often the upstream may be asked, nor how late its bills settle. So over all hosts one call a
minute is made for an account, an hour is first read two hours after its end, and its bills are read again with each
newer hour for a day, and once more after the end of its month. The last reading is stored.
"""

from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import Q

from generations.catalog import video_models
from generations.models import BilledProduct, UpstreamBill, UpstreamBooks
from generations.reports import bill_comparison
from generations.upstream import accounts, wires
from generations.upstream.errors import AccountError, UpstreamError
from generations.upstream.protocol import MAX_BILLED_SPAN, Account, BilledHour
from tenants import amounts, audit
from tenants.audit import Actor
from tenants.db import clock

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SETTLE_TIME = 2 * HOUR  # after an hour's end, until its bills are first read
READ_AGAIN = DAY  # of the newest hours, with each new one
CALL_INTERVAL = timedelta(minutes=1)
BALANCE_INTERVAL = timedelta(minutes=5)
MAX_BACKOFF = HOUR
UNREAD_AFTER = LASTING = 6 * HOUR  # bills may settle late: only then a person has to look

log = structlog.stdlib.get_logger(__name__)


def read_due() -> None:
    """Make the call that is due for each account, if one is."""
    for account in accounts.find_with_books():
        now = clock.now()
        books = UpstreamBooks.objects.filter(pk=account.name).first() or _begin(account, now)
        if _is_balance_due(books, now) or next_span(books, now):
            _call(account, now)


def _begin(account: Account, now: datetime) -> UpstreamBooks:
    """Return the new row of an account: its bills are read from MAX_BILLED_SPAN ago on."""
    first = _last_settled(now) - MAX_BILLED_SPAN
    facts = {"first_hour": first, "bills_until": first, "checked_until": first, "next_call_at": now}
    return UpstreamBooks.objects.get_or_create(pk=account.name, defaults=facts)[0]


def _call(account: Account, now: datetime) -> None:
    """Make one call for the account, unless another host has made one within the minute."""
    far_ahead = Q(next_call_at__gt=now + 2 * MAX_BACKOFF)  # written by a host whose clock was ahead
    free = UpstreamBooks.objects.filter(Q(next_call_at__lte=now) | far_ahead, pk=account.name)
    if not free.update(next_call_at=now + CALL_INTERVAL):
        return
    books = UpstreamBooks.objects.get(pk=account.name)
    span, is_balance_due = next_span(books, now), _is_balance_due(books, now)
    try:
        if span and not (is_balance_due and books.failures % 2 == 0):  # after a failure the other call has its turn
            _read_bills(account, *span, now)
            is_over = not is_balance_due
        else:
            _read_balance(account, books, now)
            is_over = not span
    except UpstreamError as error:
        _put_off(books, error, now)
    else:
        if is_over or not books.failures:  # else what failed before is still to be read
            UpstreamBooks.objects.filter(pk=account.name).update(error="", failing_since=None, failures=0)


def _is_balance_due(books: UpstreamBooks, now: datetime) -> bool:
    return books.balance_at is None or books.balance_at <= now - BALANCE_INTERVAL


def next_span(books: UpstreamBooks, now: datetime) -> tuple[datetime, datetime] | None:
    """Return the hours whose bills are read next, from the first to the end of the last; None if none is due."""
    settled = _last_settled(now)
    if books.bills_until < settled:
        since = max(books.bills_until - READ_AGAIN, books.first_hour)
        return since, min(settled, since + MAX_BILLED_SPAN)
    month = settled.replace(day=1, hour=0)
    if books.checked_until < month:  # the month before has ended
        return books.checked_until, min(month, books.checked_until + MAX_BILLED_SPAN)
    return None


def _last_settled(now: datetime) -> datetime:
    """Return the end of the last hour whose bills may be read."""
    return (now - SETTLE_TIME).replace(minute=0, second=0, microsecond=0)


def _read_balance(account: Account, books: UpstreamBooks, now: datetime) -> None:
    """Read and store the balance, and once an hour what is spent a day. Raise UpstreamError."""
    balance = wires.get(account.wire).read_balance(account)
    facts = {"available_micro": balance.available_micro, "balance": balance.details, "balance_at": now}
    if books.daily_at is None or books.daily_at <= now - HOUR:
        facts |= {"daily_micro": bill_comparison.mean_daily_micro(account.name, now), "daily_at": now}
    UpstreamBooks.objects.filter(pk=account.name).update(**facts)


def _read_bills(account: Account, since: datetime, until: datetime, now: datetime) -> None:
    """Read the bills of a span, store them in place of earlier readings, and compare. Raise UpstreamError."""
    bills = wires.get(account.wire).read_bills(account, since, until)
    with transaction.atomic():
        books = UpstreamBooks.objects.select_for_update().get(pk=account.name)
        store(account, since, until, bills, now)
        if books.bills_until < until:
            books.bills_until = until
        else:
            books.checked_until = max(books.checked_until, until)
        books.bills_at = now
        books.save(update_fields=["bills_until", "checked_until", "bills_at"])
        _compare(books, now)


def _compare(books: UpstreamBooks, now: datetime) -> None:
    """Store by how much bills and ledger differ over the newest day. Log it when it begins."""
    difference, before = bill_comparison.difference_micro(books.account, books.bills_until), books.difference_micro
    books.differs_since = (books.differs_since or now) if difference else None
    books.difference_micro = difference
    books.save(update_fields=["difference_micro", "differs_since"])
    if difference and not before:
        facts = {"upstream": books.account, "usd": amounts.format_usd(difference)}
        transaction.on_commit(lambda: log.warning("the upstream's bills and the ledger differ", **facts))


def store(account: Account, since: datetime, until: datetime, bills: list[BilledHour], now: datetime) -> None:
    """Store the bills of a span in place of those that were read before, in the caller's transaction."""
    rows: dict[tuple[datetime, str, str], UpstreamBill] = {}
    for bill in bills:
        name = bill.hour, bill.product, bill.owner
        row = rows.setdefault(name, UpstreamBill(account=account.name, hour=bill.hour, product=bill.product))
        row.owner, row.read_at, row.amount_micro = bill.owner, now, (row.amount_micro or 0) + bill.amount_micro
        row.units = row.units if bill.units is None else (row.units or 0) + bill.units
        row.rows.append(bill.details)
    UpstreamBill.objects.filter(account=account.name, hour__gte=since, hour__lt=until).delete()
    UpstreamBill.objects.bulk_create(rows.values(), batch_size=500)
    products = sorted({bill.product for bill in bills})
    new = [BilledProduct(account=account.name, product=name, model=guess_model(account, name)) for name in products]
    BilledProduct.objects.bulk_create(new, ignore_conflicts=True)


def guess_model(account: Account, product: str) -> str:
    """Return the model that has the product's name, or whose route at the account ends with it; "" if there is none."""
    for model in video_models.models().values():
        targets = {offer.target for offer in model.offers if offer.account == account.name}
        if product in {model.id, *(target.rsplit("/", 1)[-1] for target in targets)}:
            return model.id
    return ""


def _put_off(books: UpstreamBooks, error: UpstreamError, now: datetime) -> None:
    """Store why a call came to nothing, and make the next one later: each failure in a row doubles the time."""
    wait = min(CALL_INTERVAL * 2 ** min(books.failures + 1, 10), MAX_BACKOFF)
    if isinstance(error, AccountError) and error.retry_after:
        wait = min(max(wait, timedelta(seconds=error.retry_after)), MAX_BACKOFF)
    UpstreamBooks.objects.filter(pk=books.pk).update(
        error=str(error),
        failing_since=books.failing_since or now,
        failures=books.failures + 1,
        next_call_at=now + wait,
    )
    log.warning("the upstream's books could not be read", upstream=books.pk, trouble=str(error), wait=wait.seconds)


def set_model(actor: Actor, row: BilledProduct, model: str, *, is_ours: bool) -> None:
    """Set which model's videos a product bills, and whether it is compared, and compare again."""
    audit.require_reason(actor)
    with transaction.atomic():
        product = BilledProduct.objects.select_for_update().get(pk=row.pk)
        before = {"model": product.model, "is_ours": product.is_ours}
        product.model, product.is_ours = model, is_ours
        product.save(update_fields=["model", "is_ours"])
        after = {"model": model, "is_ours": is_ours}
        facts = {name: [before[name], value] for name, value in after.items() if before[name] != value}
        audit.record(actor, "set billed model", None, product.product, facts)
        books = UpstreamBooks.objects.select_for_update().get(pk=product.account)
        _compare(books, clock.now())


def is_unread(books: UpstreamBooks) -> bool:
    """Return whether the account could not be read for UNREAD_AFTER."""
    return books.failing_since is not None and books.failing_since <= clock.now() - UNREAD_AFTER


def is_lasting(books: UpstreamBooks) -> bool:
    """Return whether bills and ledger have differed for LASTING."""
    return books.differs_since is not None and books.differs_since <= clock.now() - LASTING
