"""The panel's bills: all tenants' totals of a month, a tenant's statement, and their CSV files."""

import csv
from datetime import UTC, date, datetime
from typing import Any

import pytest
import time_machine
from django.db.models import F, Sum
from django.urls import reverse

from generations import lifecycle
from generations.models import Generation
from generations.reports import usage_sums
from tenants import actions, amounts, audit
from tenants.models import LedgerEntry, Tenant
from tenants.money import monthly_statement, monthly_totals
from tenants.money.monthly_totals import MonthlyTotal
from tests.http_client import Client
from tests.support.factories import ACTOR, Caller, make_generation
from tests.support.panel import log_in_staff
from tests.tenants.money.test_monthly_statement import buy

NOVEMBER = date(2026, 11, 1)
OPS = audit.Actor(name="ops", reason="credit")
pytestmark = pytest.mark.django_db


@pytest.fixture
def bought(alice: Caller, bob: Caller) -> None:
    """Two tenants with a price change, a release, an open hold and a credit within November, and a bill in October.

    Alice's calendar is that of New York, where daylight saving time ends on 1 November 2026.
    """
    with time_machine.travel(datetime(2026, 9, 1, tzinfo=UTC), tick=False):
        actions.change_tenant(ACTOR, alice.tenant, time_zone="America/New_York")
    alice.tenant.refresh_from_db()
    buy(alice, "2026-11-01 03:59")  # 23:59 on 31 October
    buy(alice, "2026-11-01 04:00")  # midnight, EDT
    buy(alice, "2026-11-01 06:30", price_micro=90_001)  # 01:30, the second time, EST
    buy(alice, "2026-12-01 04:59:59")  # 23:59 on 30 November, EST
    buy(alice, "2026-12-01 05:00")  # December
    buy(alice, "2026-11-03 10:00", "release")
    buy(alice, "2026-11-20 10:00", "hold")
    with time_machine.travel(datetime(2026, 11, 21, tzinfo=UTC), tick=False):
        actions.adjust(OPS, alice.tenant, -50_000)
    buy(bob, "2026-11-30 23:59", price_micro=1_000_000)


def totals_of(tenant: Tenant, month: date = NOVEMBER) -> Any:
    return monthly_totals.read(month)[tenant.pk]


def test_the_totals_are_those_of_each_statement(alice: Caller, bob: Caller, bought: None) -> None:
    for caller in (alice, bob):
        for month in (date(2026, 10, 1), NOVEMBER, date(2026, 12, 1)):
            statement = monthly_statement.build(caller.tenant, month)
            total = totals_of(caller.tenant, month)
            assert (total.spent_micro, total.held_micro, total.adjusted_micro, total.total_micro) == (
                statement.captured_micro,
                statement.held_micro,
                statement.adjusted_micro,
                statement.total_micro,
            )
    total = totals_of(alice.tenant)
    assert (total.spent_micro, total.held_micro, total.adjusted_micro) == (2 * 88_209 + 90_001, 88_209, -50_000)
    assert total.generations == 3
    assert totals_of(bob.tenant).total_micro == 1_000_000


def test_the_usage_of_the_month_says_the_same(alice: Caller, bought: None) -> None:
    answer = alice.http.get("/v1/usage", {"from": "2026-11-01", "to": "2026-11-30"}).json()
    total = totals_of(alice.tenant)
    assert answer["total"]["usd"] == amounts.format_usd(total.spent_micro)
    assert answer["total"]["held_usd"] == amounts.format_usd(total.held_micro)


def test_the_ledger_of_the_month_says_the_same(alice: Caller, bought: None) -> None:
    """The month is the tenant's: from midnight in New York, in EDT, to midnight in EST."""
    start, end = datetime(2026, 11, 1, 4, tzinfo=UTC), datetime(2026, 12, 1, 5, tzinfo=UTC)
    accepted = Generation.objects.filter(tenant=alice.tenant, created_at__gte=start, created_at__lt=end)
    entries = LedgerEntry.objects.filter(generation_id__in=accepted.values("pk"))
    sums = dict(entries.values_list("kind").annotate(Sum("amount_micro")))
    total = totals_of(alice.tenant)
    assert sums["capture"] == total.spent_micro
    assert sums["hold"] - sums["capture"] - sums["release"] == total.held_micro


@pytest.mark.parametrize("is_summed", [False, True])
def test_the_dashboard_says_the_same(
    alice: Caller, bob: Caller, bought: None, admin_client: Client, admin_user: Any, is_summed: bool
) -> None:
    """It does whether the sums of usage are written or not."""
    with time_machine.travel(datetime(2026, 12, 5, tzinfo=UTC), tick=False):
        if is_summed:
            Generation.objects.exclude(finished_at=None).update(finished_at=F("created_at"))
            usage_sums.store()
        admin_client.force_login(admin_user)
        rows = {row.name: row.cost for row in admin_client.get("/admin/").context["spending"].tenants}
    for caller in (alice, bob):
        cost, total, december = rows[caller.tenant.name], totals_of(caller.tenant), date(2026, 12, 1)
        assert (cost.last_month, cost.held) == (total.spent_micro, total.held_micro)
        assert cost.month == monthly_totals.read(december).get(caller.tenant.pk, MonthlyTotal()).spent_micro


def test_the_page_shows_all_tenants_with_the_month_before(
    alice: Caller, bob: Caller, bought: None, admin_client: Client
) -> None:
    response = admin_client.get(reverse("admin:tenants_ledgerentry_billing"), {"month": "2026-11"})
    rows = response.context["rows"]
    assert [row.tenant for row in rows] == [bob.tenant, alice.tenant]
    assert rows[1].before.total_micro == 88_209
    assert (rows[0].change, rows[1].change) == ("–", "+145%")
    assert response.context["all"].total.total_micro == 1_000_000 + 2 * 88_209 + 90_001 - 50_000
    page = response.content.decode()
    assert ">−0.05<" in page
    assert rows[0].statement_url in page
    assert "November 2026" in page


def test_a_tenant_without_a_bill_is_not_listed(alice: Caller, admin_client: Client) -> None:
    response = admin_client.get(reverse("admin:tenants_ledgerentry_billing"))
    assert response.context["rows"] == []
    assert "No bill" in response.content.decode()


def read_csv(response: Any) -> list[dict[str, str]]:
    assert response.status_code == 200
    return list(csv.DictReader(b"".join(response).decode().splitlines()))


def test_one_file_has_all_tenants(alice: Caller, bob: Caller, bought: None, admin_client: Client) -> None:
    rows = read_csv(admin_client.get(reverse("admin:tenants_ledgerentry_billing_csv"), {"month": "2026-11"}))
    assert {row["tenant"]: row["total_usd"] for row in rows} == {"alice": "0.216419", "bob": "1.000000"}
    [own] = [row for row in rows if row["tenant"] == "alice"]
    assert (own["month"], own["time_zone"], own["held_usd"]) == ("2026-11", "America/New_York", "0.088209")
    assert (own["adjusted_usd"], own["total_usd_of_month_before"]) == ("-0.050000", "0.088209")


def test_the_statement_and_its_file_have_the_rows_of_the_command(
    alice: Caller, bought: None, admin_client: Client
) -> None:
    address, month = reverse("admin:tenants_tenant_statement", args=[alice.tenant.pk]), {"month": "2026-11"}
    response = admin_client.get(address, month)
    statement = monthly_statement.build(alice.tenant, NOVEMBER)
    assert response.context["statement"].rows == statement.rows
    page = response.content.decode()
    assert "the statement is not final" in page
    assert "seedance-v1-lite-i2v" in page
    download = admin_client.get(reverse("admin:tenants_tenant_statement_csv", args=[alice.tenant.pk]), month)
    assert 'filename="bill-alice-2026-11.csv"' in download["Content-Disposition"]
    rows = read_csv(download)
    assert [row["usd"] for row in rows] == [row["usd"] for row in statement.rows]


@pytest.mark.parametrize("month", ["2026-13", "x", "1999-01", "2026-11-01"])
def test_a_text_that_is_no_month_is_not_found(alice: Caller, admin_client: Client, month: str) -> None:
    assert admin_client.get(reverse("admin:tenants_ledgerentry_billing"), {"month": month}).status_code == 404


def test_only_those_who_see_the_ledger_see_bills(alice: Caller) -> None:
    pages = [reverse(f"admin:tenants_ledgerentry_{name}") for name in ("billing", "billing_csv")]
    pages += [
        reverse(f"admin:tenants_tenant_{name}", args=[alice.tenant.pk]) for name in ("statement", "statement_csv")
    ]
    http = log_in_staff("view_tenant")
    assert {http.get(page).status_code for page in pages} == {404}
    assert {Client().get(page).status_code for page in pages} == {302}


def test_an_unknown_tenant_has_no_statement(admin_client: Client) -> None:
    assert admin_client.get(reverse("admin:tenants_tenant_statement", args=[4711])).status_code == 404


# -- the ledger -------------------------------------------------------------------------------------------------------


def ledger(http: Client, **query: Any) -> list[LedgerEntry]:
    response = http.get(reverse("admin:tenants_ledgerentry_changelist"), query)
    return list(response.context["cl"].result_list)


def test_the_ledger_is_listed_from_a_day_to_a_day(alice: Caller, bought: None, admin_client: Client) -> None:
    days = {"at_from": "2026-11-20", "at_to": "2026-11-21"}
    assert {(entry.kind, entry.amount_micro) for entry in ledger(admin_client, **days)} == {
        ("hold", 88_209),
        ("adjust", -50_000),
    }
    assert len(ledger(admin_client, at_to="2026-10-31")) == 0
    assert ledger(admin_client, at_from="yesterday") == []


def test_the_ledger_is_exported_under_its_filters(alice: Caller, bought: None, admin_client: Client) -> None:
    days = {"at_from": "2026-11-20", "at_to": "2026-11-21"}
    rows = read_csv(admin_client.get(reverse("admin:tenants_ledgerentry_export"), days))
    assert [(row["kind"], row["usd"], row["tenant"], row["mode"]) for row in rows] == [
        ("adjust", "-0.050000", "alice", "live"),
        ("hold", "0.088209", "alice", "live"),
    ]


def test_each_kind_of_entry_has_its_sign(alice: Caller, admin_client: Client) -> None:
    generation = make_generation(alice, price_micro=180_000)
    lifecycle.fail(generation, "code", "Why.")
    actions.adjust(OPS, alice.tenant, 2_000_000)
    page = admin_client.get(reverse("admin:tenants_ledgerentry_changelist")).content.decode()
    for text in ("+\u202f0.18", "−\u202f0.18", "+2.00"):
        assert text in page
