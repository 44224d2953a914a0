"""The upstream's balance and bills are read in calls a minute apart, stored, and compared with the ledger."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import time_machine
from django.core.management import CommandError, call_command

from generations.models import BilledProduct, Generation, UpstreamBill, UpstreamBooks
from generations.ops import upstream_books
from generations.reports import bill_comparison
from tests.support.factories import ACTOR, Caller, make_generation
from tests.support.upstream import Upstream, as_json, refusal

NOW = datetime(2026, 11, 10, 12, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
MODEL = "seedance-v1-lite-i2v"
pytestmark = pytest.mark.django_db


class Books:
    """The books of a scripted upstream: its balance, and the rows of its bills."""

    def __init__(self, upstream: Upstream) -> None:
        self.balance: Any = as_json({"availableBalance": "1000000", "cashBalance": "900000"})
        self.rows: list[dict[str, Any]] = []
        self.calls: list[tuple[str, dict[str, str]]] = []
        self.answer: Any = None  # in place of the bills
        upstream.on_video = self._answer

    def _answer(self, handler: Any) -> Any:
        parts = urlsplit(handler.path)
        query = dict(parse_qsl(parts.query))
        self.calls.append((parts.path.rpartition("/v1/billing/")[2], query))
        if parts.path.endswith("balance/detail"):
            return self.balance
        return self.answer or as_json({"bills": self.rows})

    def bill(self, at: datetime, amount: int, product: str = MODEL, **fields: Any) -> None:
        """Add a row of the hour at a time, with an amount in units of 0.0001 USD."""
        start = int(at.timestamp()) // 3600 * 3600
        row = {"startTime": str(start), "endTime": str(start + 3600), "productName": product, "ownerID": "k1"}
        row |= {"billNum0": "1", "payAmount": str(amount), "voucherAmount": "0", "category": "gen_api"}
        self.rows.append(row | fields)


@pytest.fixture
def time() -> Iterator[Any]:
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def books(upstream: Upstream, settings: Any, time: Any) -> Books:
    settings.NOVITA_BILLS = True
    return Books(upstream)


@pytest.fixture
def read(time: Any) -> Callable[[], UpstreamBooks]:
    """Return a function that makes the calls that are due, a minute apart, until none is."""

    def make_calls() -> UpstreamBooks:
        for _ in range(20):
            upstream_books.read_due()
            row = UpstreamBooks.objects.get()
            if not (upstream_books.next_span(row, datetime.now(UTC))):
                return row
            time.shift(timedelta(seconds=61))
        raise AssertionError("There is no end to the calls.")

    return make_calls


def deliver(caller: Caller, finished_at: datetime, micro: int = 90_000, **facts: Any) -> Generation:
    """Make a delivered generation at Novita that cost so much, which was submitted a minute before its end."""
    g = make_generation(caller, price_micro=micro, created_at=finished_at - timedelta(minutes=2))
    facts = {"status": "succeeded", "charged_micro": micro, "account": "novita", **facts}
    facts |= {"video_key": "v", "video_size": 1, "video_sha256": "0" * 64} if facts["status"] == "succeeded" else {}
    submitted_at = facts.pop("submitted_at", finished_at - timedelta(minutes=1))
    Generation.objects.filter(pk=g.pk).update(
        finished_at=finished_at, submitted_at=submitted_at, due_at=None, upstream_id=f"task-{g.pk}", **facts
    )
    return g


def compare(step: str | None = "day") -> list[tuple[str, int, int, int]]:
    lines = bill_comparison.compare("novita", NOW - timedelta(days=7), NOW - 2 * HOUR, step)
    return [(line.name, line.billed_micro, line.charged_micro, line.difference_micro) for line in lines]


def test_the_balance_is_read_first_and_a_call_a_minute_is_made_at_most(books: Books, time: Any) -> None:
    upstream_books.read_due()
    upstream_books.read_due()
    assert [path for path, _ in books.calls] == ["balance/detail"]
    row = UpstreamBooks.objects.get()
    assert (row.account, row.available_micro, row.balance["cashBalance"]) == ("novita", 100_000_000, "900000")
    time.shift(timedelta(seconds=61))
    upstream_books.read_due()
    upstream_books.read_due()
    assert [path for path, _ in books.calls] == ["balance/detail", "apikey/bill/list"]
    assert books.calls[-1][1] == {
        "cycleType": "Hour",
        "category": "gen_api",
        "startTime": str(int((NOW.replace(minute=0) - timedelta(days=7, hours=2)).timestamp())),
        "endTime": str(int((NOW.replace(minute=0) - 2 * HOUR).timestamp())),
    }


def test_an_hour_is_read_two_hours_after_its_end_and_again_for_a_day(
    books: Books, time: Any, read: Callable[[], UpstreamBooks]
) -> None:
    assert read().bills_until == NOW.replace(hour=10, minute=0)
    first = NOW.replace(hour=10, minute=0)
    time.move_to(NOW + timedelta(minutes=31))
    assert read().bills_until == first + HOUR
    spans = [(int(q["startTime"]), int(q["endTime"])) for path, q in books.calls if path == "apikey/bill/list"]
    assert spans[-1] == (int((first - timedelta(hours=24)).timestamp()), int((first + HOUR).timestamp()))


def test_the_last_reading_is_kept_and_rows_are_stored_whole(
    books: Books, time: Any, read: Callable[[], UpstreamBooks]
) -> None:
    at = NOW - 4 * HOUR
    books.bill(at, 900, basePrice0="900", voucherAmount="100")
    books.bill(at, 50, billNum0="2")
    read()
    [bill] = UpstreamBill.objects.all()
    assert (bill.hour, bill.product, bill.owner) == (at.replace(minute=0), MODEL, "k1")
    assert (bill.amount_micro, bill.units) == (105_000, 3)
    assert [row.get("basePrice0") for row in bill.rows] == ["900", None]
    books.rows = []
    books.bill(at, 910)
    time.shift(HOUR)
    read()
    assert [row.amount_micro for row in UpstreamBill.objects.all()] == [91_000]


def test_the_month_is_read_again_after_its_end(books: Books, time: Any, read: Callable[[], UpstreamBooks]) -> None:
    read()
    time.move_to(datetime(2026, 12, 1, 1, 40, tzinfo=UTC))
    assert read().checked_until == UpstreamBooks.objects.get().first_hour
    books.calls.clear()
    time.move_to(datetime(2026, 12, 1, 2, 30, tzinfo=UTC))
    assert read().checked_until == datetime(2026, 12, 1, tzinfo=UTC)
    spans = [(q["startTime"], q["endTime"]) for path, q in books.calls if path == "apikey/bill/list"]
    days = [(int(until) - int(since)) / 86_400 for since, until in spans]
    assert max(days) <= 7
    assert spans[-1][1] == str(int(datetime(2026, 12, 1, tzinfo=UTC).timestamp()))


def test_bills_that_agree_are_silent(alice: Caller, books: Books, read: Callable[[], UpstreamBooks]) -> None:
    for hours in (3, 4, 20, 30):
        deliver(alice, NOW - hours * HOUR)
        books.bill(NOW - hours * HOUR, 900)
    row = read()
    assert (row.difference_micro, row.differs_since) == (0, None)
    assert {difference for *_, difference in compare()} == {0}


def test_a_charge_behind_our_back_is_named(
    alice: Caller, books: Books, read: Callable[[], UpstreamBooks], capsys: Any
) -> None:
    for hours in (3, 4, 20):
        deliver(alice, NOW - hours * HOUR)
        books.bill(NOW - hours * HOUR, 900)
    books.bill(NOW - 5 * HOUR, 900)
    row = read()
    assert row.difference_micro == 90_000
    assert [line for line in compare() if line[3]] == [(MODEL, 270_000, 180_000, 90_000)]
    with pytest.raises(SystemExit) as ended:
        call_command("reconcile-bills", "--json")
    assert ended.value.code == 1
    [line] = json.loads(capsys.readouterr().out)["lines"]
    assert (line["name"], line["difference_usd"], line["start"][:10]) == (MODEL, "0.090000", "2026-11-10")
    with pytest.raises(SystemExit):
        call_command("reconcile-bills", "--by", "hour")
    assert "2026-11-10T07:00:00+00:00, seedance-v1-lite-i2v: billed 0.090000 USD" in capsys.readouterr().out


def test_the_command_is_silent_about_what_agrees(
    alice: Caller, books: Books, read: Callable[[], UpstreamBooks], capsys: Any
) -> None:
    deliver(alice, NOW - 3 * HOUR)
    books.bill(NOW - 3 * HOUR, 900)
    read()
    call_command("reconcile-bills")
    assert capsys.readouterr().out == "The bills agree with the ledger.\n"
    call_command("reconcile-bills", "--all", "--since", "2026-11-10")
    assert "billed 0.090000 USD for 1 units, charged 0.090000 USD for 1 videos" in capsys.readouterr().out


@pytest.mark.django_db
def test_the_command_says_when_the_first_bills_are_read() -> None:
    with pytest.raises(CommandError, match=r"No bill was read yet\. With NOVITA_BILLS on, workers read bills minutes"):
        call_command("reconcile-bills")


def test_bills_by_the_submit_agree_too(alice: Caller, books: Books, read: Callable[[], UpstreamBooks]) -> None:
    midnight = NOW.replace(hour=0, minute=0)
    deliver(alice, midnight + timedelta(minutes=1), submitted_at=midnight - timedelta(minutes=1))
    deliver(alice, midnight + 5 * HOUR)
    books.bill(midnight - HOUR, 900)
    books.bill(midnight + 5 * HOUR, 900)
    read()
    assert {difference for *_, difference in compare()} == {0}


def test_amounts_agree_up_to_the_rounding_of_a_row(
    alice: Caller, books: Books, read: Callable[[], UpstreamBooks]
) -> None:
    deliver(alice, NOW - 3 * HOUR, 88_209)
    books.bill(NOW - 3 * HOUR, 883)
    read()
    assert compare() == [(MODEL, 88_300, 88_209, 0)]


def test_a_product_without_a_model_is_compared_until_an_operator_says_what_it_is(
    alice: Caller, books: Books, read: Callable[[], UpstreamBooks]
) -> None:
    deliver(alice, NOW - 3 * HOUR)
    books.bill(NOW - 3 * HOUR, 900, "Seedance Lite")
    books.bill(NOW - 3 * HOUR, 400, "Images of others")
    assert read().difference_micro == 90_000 + 90_000 + 40_000
    product = BilledProduct.objects.get(product="Seedance Lite")
    upstream_books.set_model(ACTOR_WITH_REASON, product, MODEL, is_ours=True)
    assert UpstreamBooks.objects.get().difference_micro == 40_000
    upstream_books.set_model(ACTOR_WITH_REASON, BilledProduct.objects.exclude(pk=product.pk).get(), "", is_ours=False)
    row = UpstreamBooks.objects.get()
    assert (row.difference_micro, row.differs_since) == (0, None)


def test_bills_of_other_keys_are_left_out(
    alice: Caller, books: Books, read: Callable[[], UpstreamBooks], settings: Any
) -> None:
    settings.NOVITA_KEY_ID = "k1"
    books.bill(NOW - 3 * HOUR, 900)
    books.bill(NOW - 3 * HOUR, 900, ownerID="k2")
    read()
    assert books.calls[-1][1]["ownerId"] == "k1"
    assert [bill.owner for bill in UpstreamBill.objects.all()] == ["k1"]


def test_test_generations_and_other_accounts_are_not_compared(
    alice: Caller, books: Books, read: Callable[[], UpstreamBooks]
) -> None:
    deliver(alice, NOW - 3 * HOUR, account="ark")
    deliver(alice, NOW - 3 * HOUR, test=True)
    deliver(alice, NOW - 3 * HOUR, status="failed", charged_micro=None, error_code="x", error_message="x")
    read()
    lines = bill_comparison.compare("novita", NOW - timedelta(days=1), NOW, None)
    assert [(line.charged_micro, line.videos, line.uncharged) for line in lines] == [(0, 0, 1)]


@pytest.mark.parametrize(
    "answer",
    [
        as_json({"bills": [{"productName": MODEL, "startTime": "soon", "payAmount": "1"}]}),
        as_json({"bills": [{"productName": MODEL, "startTime": "1", "payAmount": "1.5"}]}),
        as_json({"bills": [{"startTime": "1", "payAmount": "1"}]}),
        as_json({"bills": ["row"]}),
        as_json({"data": []}),
        refusal(500, "LIST_BILL_ERROR"),
        (200, {}, b"<html>"),
    ],
)
def test_an_answer_that_is_not_plain_changes_nothing(
    books: Books, time: Any, read: Callable[[], UpstreamBooks], answer: Any
) -> None:
    books.bill(NOW - 3 * HOUR, 900)
    before = read()
    books.answer = answer
    time.shift(HOUR)
    upstream_books.read_due()
    time.shift(timedelta(seconds=61))
    upstream_books.read_due()
    row = UpstreamBooks.objects.get()
    assert row.bills_until == before.bills_until
    assert row.error
    assert row.failing_since == datetime.now(UTC)
    assert UpstreamBill.objects.count() == 1


def test_each_failure_doubles_the_time_to_the_next_call(books: Books, time: Any) -> None:
    books.balance = books.answer = refusal(429, "LIST_BILL_TOO_FAST")
    waits = []
    for _ in range(8):
        upstream_books.read_due()
        row = UpstreamBooks.objects.get()
        waits.append((row.next_call_at - datetime.now(UTC)).total_seconds() / 60)
        time.move_to(row.next_call_at)
    assert waits == [2, 4, 8, 16, 32, 60, 60, 60]
    assert "LIST_BILL_TOO_FAST" in row.error
    books.balance, books.answer = as_json({"availableBalance": "1"}), None
    while upstream_books.next_span(UpstreamBooks.objects.get(), datetime.now(UTC)):
        time.shift(timedelta(seconds=61))
        upstream_books.read_due()
    row = UpstreamBooks.objects.get()
    assert (row.error, row.failures, row.available_micro) == ("", 0, 100)


def test_a_balance_that_cannot_be_read_holds_up_no_bills(books: Books, time: Any) -> None:
    books.balance = refusal(403, "ACCESS_DENY")
    books.bill(NOW - 3 * HOUR, 900)
    for _ in range(2):
        upstream_books.read_due()
        time.move_to(UpstreamBooks.objects.get().next_call_at)
    row = UpstreamBooks.objects.get()
    assert UpstreamBill.objects.count() == 1
    assert (row.failing_since, row.failures) == (NOW, 1)
    assert "ACCESS_DENY" in row.error
    books.balance = as_json({"availableBalance": "1"})
    upstream_books.read_due()
    row = UpstreamBooks.objects.get()
    assert (row.error, row.failing_since, row.available_micro) == ("", None, 100)


def test_a_time_that_the_upstream_names_is_waited_for(books: Books, time: Any) -> None:
    books.balance = refusal(429, "LIST_BILL_TOO_FAST", **{"Retry-After": "250"})
    upstream_books.read_due()
    assert UpstreamBooks.objects.get().next_call_at == NOW + timedelta(seconds=250)


def test_days_left_are_by_the_larger_of_bills_and_ledger(
    alice: Caller, books: Books, time: Any, read: Callable[[], UpstreamBooks]
) -> None:
    assert upstream_books.read_due() is None
    assert UpstreamBooks.objects.get().days_left is None
    for days in range(1, 7):
        deliver(alice, NOW - timedelta(days=days, hours=3), 4_000_000)
        books.bill(NOW - timedelta(days=days, hours=3), 50_000)
    read()
    time.shift(HOUR)
    row = read()
    assert row.daily_micro is not None
    assert 4_500_000 < row.daily_micro < 5_000_000  # 5 USD on six days, by the bills
    assert row.days_left == pytest.approx(100_000_000 / row.daily_micro)


def test_nothing_is_read_where_it_is_switched_off(books: Books, settings: Any) -> None:
    settings.NOVITA_BILLS = False
    upstream_books.read_due()
    assert not books.calls


ACTOR_WITH_REASON = type(ACTOR)(name="tests", reason="as their page says")
