"""The panel's pages of the upstream's books: balances, the bills beside the ledger, and the models of products."""

import csv
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.urls import reverse

from generations.admin import money_tiles
from generations.admin.tile import Tile
from generations.models import BilledProduct, Generation, UpstreamBill, UpstreamBooks
from tenants.models import AuditEntry
from tests.http_client import Client
from tests.support.factories import Caller, make_generation

NOW = datetime(2026, 11, 10, 12, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
MODEL = "seedance-v1-lite-i2v"
COMPARISON = "admin:generations_upstreambill_comparison"
pytestmark = pytest.mark.django_db


@pytest.fixture
def the_time(admin_client: Client) -> Any:
    with time_machine.travel(NOW, tick=False) as travel:
        yield travel


@pytest.fixture
def books(alice: Caller, admin_client: Client, admin_user: Any, the_time: Any, settings: Any) -> UpstreamBooks:
    """Return the books of an account with two bills on one day, one of which the ledger knows nothing of."""
    settings.NOVITA_BILLS = True
    admin_client.force_login(admin_user)
    at = NOW.replace(minute=0) - 6 * HOUR
    g = make_generation(alice, price_micro=90_000)
    facts = {
        "status": "succeeded",
        "due_at": None,
        "video_key": "v",
        "video_size": 1,
        "video_sha256": "0" * 64,
        "upstream_id": "x",
    }
    Generation.objects.filter(pk=g.pk).update(account="novita", finished_at=at, submitted_at=at, **facts)
    for hour in (at, at + HOUR):
        UpstreamBill.objects.create(account="novita", hour=hour, product=MODEL, amount_micro=90_000, units=1)
    BilledProduct.objects.create(account="novita", product=MODEL, model=MODEL)
    return UpstreamBooks.objects.create(
        account="novita",
        available_micro=12_500_000,
        balance_at=NOW,
        daily_micro=2_500_000,
        first_hour=NOW.replace(minute=0) - timedelta(days=7),
        bills_until=NOW.replace(minute=0) - 2 * HOUR,
        checked_until=NOW.replace(minute=0) - timedelta(days=7),
        bills_at=NOW,
        difference_micro=90_000,
        differs_since=NOW - 7 * HOUR,
    )


def test_the_page_names_the_day_and_then_the_hour(admin_client: Client, books: UpstreamBooks) -> None:
    page = admin_client.get(reverse(COMPARISON)).content.decode()
    for text in ("12.50", "5.0", '<td class="panel-number">0.18</td><td class="panel-number">0.09</td>', "+0.09"):
        assert text in page
    day = admin_client.get(reverse(COMPARISON, query={"day": "2026-11-10"})).content.decode()
    assert "07:00" in day
    assert day.count("+0.09") == 2  # of the hour, and of the day


def test_the_csv_has_the_same_lines(admin_client: Client, books: UpstreamBooks) -> None:
    response = admin_client.get(reverse(f"{COMPARISON}_csv", query={"month": "2026-11"}))
    [head, row] = csv.reader(response.getvalue().decode().splitlines())
    assert dict(zip(head, row, strict=True)) == {
        "account": "novita",
        "start": "2026-11-10T00:00:00+00:00",
        "name": MODEL,
        "billed_usd": "0.180000",
        "charged_usd": "0.090000",
        "difference_usd": "0.090000",
        "billed_units": "2",
        "videos": "1",
        "uncharged_tasks": "0",
    }
    assert AuditEntry.objects.filter(action="export bill").exists()


@pytest.mark.parametrize("query", [{"day": "2026-11-31"}, {"month": "x"}, {"day": "9999-12-31"}, {"month": "0000-01"}])
def test_a_text_that_is_no_time_is_not_found(admin_client: Client, books: UpstreamBooks, query: Any) -> None:
    assert admin_client.get(reverse(COMPARISON, query=query)).status_code == 404


def test_an_operator_sets_the_model_of_a_product(admin_client: Client, books: UpstreamBooks) -> None:
    product = BilledProduct.objects.get()
    url = reverse("admin:generations_billedproduct_set_model", args=[product.pk])
    response = admin_client.get(url)
    token = response.context["form"].initial.get("form_token", response.context["form"]["form_token"].value())
    sent = {"model": "-", "reason": "the images of others", "form_token": token}
    assert admin_client.post(url, sent).status_code == 302
    product.refresh_from_db()
    assert (product.model, product.is_ours) == ("", False)
    entry = AuditEntry.objects.get(action="set billed model")
    assert entry.target == MODEL
    assert UpstreamBooks.objects.get().difference_micro == 90_000  # the charge, which no bill has now


def names(shown: list[Tile]) -> dict[str, tuple[Any, str]]:
    return {tile.name: (tile.figure, tile.level) for tile in shown}


def test_tiles_tell_the_balance_and_a_lasting_difference(books: UpstreamBooks) -> None:
    assert names(money_tiles.books_tiles()) == {"Balance novita": ("12.50", "warn"), "Bills novita": ("0.09", "warn")}
    UpstreamBooks.objects.update(
        available_micro=4_000_000, differs_since=NOW - HOUR, failing_since=NOW - 6 * HOUR, error="HTTP 403"
    )
    assert names(money_tiles.books_tiles()) == {
        "Balance novita": ("4.00", "bad"),
        "Books of novita": ("not read", "warn"),
    }
    UpstreamBooks.objects.update(available_micro=90_000_000, failing_since=None)
    assert names(money_tiles.books_tiles()) == {"Balance novita": ("90.00", "")}
    UpstreamBooks.objects.update(available_micro=-1, daily_micro=0)
    assert names(money_tiles.books_tiles()) == {"Balance novita": ("−0.000001", "bad")}


def test_no_tile_of_an_account_that_is_read_no_more(books: UpstreamBooks, settings: Any) -> None:
    settings.NOVITA_BILLS = False
    assert money_tiles.books_tiles() == []


def test_the_page_opens_before_anything_was_read(admin_client: Client) -> None:
    assert "No account" in admin_client.get(reverse(COMPARISON)).content.decode()
