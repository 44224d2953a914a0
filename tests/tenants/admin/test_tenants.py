"""The panel's pages of tenants: each action does what its page says, with a reason and an audit entry."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tenants import actions
from tenants.models import AuditEntry, LedgerEntry, Tenant
from tests.http_client import Client
from tests.support.factories import ACTOR, Caller, make_generation
from tests.support.panel import log_in_staff
from tests.tenants.admin.forms import address, audit_entries, tenant_form


def test_a_tenant_is_created_with_limits(admin_client: Client) -> None:
    form = tenant_form(time_zone="Europe/Berlin", in_flight="4", usd_per_month="12.345678")
    response = admin_client.post(address("tenant_add"), form)
    tenant = Tenant.objects.get(name="alice")
    assert response["Location"] == address("tenant_change", tenant)
    assert (tenant.time_zone, tenant.in_flight, tenant.per_day) == ("Europe/Berlin", 4, None)
    assert tenant.usd_per_month_micro == 12_345_678
    assert audit_entries(tenant) == [("create tenant", "alice", "asked for")]
    assert not LogEntry.objects.exists()


def test_a_tenant_is_changed_and_an_emptied_limit_is_removed(admin_client: Client, alice: Caller) -> None:
    alice.limit(per_day=3, per_month=9)
    admin_client.post(address("tenant_change", alice.tenant), tenant_form(name="alice & co", per_month="10"))
    alice.tenant.refresh_from_db()
    assert (alice.tenant.name, alice.tenant.per_day, alice.tenant.per_month) == ("alice & co", None, 10)
    assert audit_entries(alice.tenant) == [("change tenant", "alice", "asked for")]
    changes = AuditEntry.objects.get(actor="admin").changes
    assert changes == {"name": ["alice", "alice & co"], "per_day": [3, None], "per_month": [9, 10]}


def test_the_form_shows_usd_and_saves_the_same_amount(admin_client: Client, alice: Caller) -> None:
    alice.limit(usd_per_month_micro=1_234_567)
    page = admin_client.get(address("tenant_change", alice.tenant)).content.decode()
    assert 'value="1.234567"' in page
    admin_client.post(address("tenant_change", alice.tenant), tenant_form(usd_per_month="1.234567", per_day="1"))
    assert AuditEntry.objects.get(actor="admin").changes == {"per_day": [None, 1]}


@pytest.mark.parametrize(
    "wrong",
    [
        {"reason": ""},
        {"reason": "  "},
        {"usd_per_month": "1.1234567"},
        {"usd_per_month": "-1"},
        {"usd_per_month": "NaN"},
        {"per_day": "-1"},
        {"per_day": str(2**31)},
        {"time_zone": "Mars/Olympus"},
        {"name": "bob"},
        {"name": "zero\u200bwidth"},  # refused by the action, not by the form
        {},  # only a reason
    ],
)
def test_a_wrong_value_is_an_error_of_the_form(
    admin_client: Client, alice: Caller, bob: Caller, wrong: dict[str, str]
) -> None:
    response = admin_client.post(address("tenant_change", alice.tenant), {**tenant_form(), **wrong})
    assert response.status_code == 200
    assert "errornote" in response.content.decode()
    assert audit_entries(alice.tenant) == []
    assert Tenant.objects.get(pk=alice.tenant.pk).limits == alice.tenant.limits


def test_a_taken_name_or_a_missing_reason_creates_no_tenant(admin_client: Client, alice: Caller) -> None:
    for wrong in ({}, {"name": "carol", "reason": ""}, {"name": "zero\u200bwidth"}):
        response = admin_client.post(address("tenant_add"), {**tenant_form(), **wrong})
        assert response.status_code == 200
    assert [tenant.name for tenant in Tenant.objects.all()] == ["alice"]


def test_the_form_shows_why_the_action_was_refused(admin_client: Client, alice: Caller) -> None:
    response = admin_client.post(address("tenant_change", alice.tenant), tenant_form(name="zero\u200bwidth"))
    assert "1 to 100 printable characters" in response.content.decode()


def test_the_form_of_a_tenant_does_not_edit_the_suspension(admin_client: Client, alice: Caller) -> None:
    forged = {**tenant_form(per_day="1"), "suspended_at_0": "2026-01-01", "suspended_at": "2026-01-01"}
    admin_client.post(address("tenant_change", alice.tenant), forged)
    assert Tenant.objects.get(pk=alice.tenant.pk).suspended_at is None


def test_a_tenant_is_suspended_and_resumed(admin_client: Client, alice: Caller) -> None:
    page = address("tenant_suspend", alice.tenant)
    assert admin_client.post(page, {"reason": "unpaid"})["Location"] == address("tenant_change", alice.tenant)
    assert Tenant.objects.get(pk=alice.tenant.pk).suspended_at
    assert "suspended already" in admin_client.post(page, {"reason": "again"}).content.decode()
    admin_client.post(address("tenant_resume", alice.tenant), {"reason": "paid"})
    assert not Tenant.objects.get(pk=alice.tenant.pk).suspended_at
    assert audit_entries(alice.tenant) == [("resume", "alice", "paid"), ("suspend", "alice", "unpaid")]


def test_no_tenant_is_deleted(admin_client: Client, alice: Caller) -> None:
    assert admin_client.post(address("tenant_delete", alice.tenant), {"post": "yes"}).status_code == 403


def test_a_bill_is_adjusted(admin_client: Client, alice: Caller) -> None:
    admin_client.post(address("tenant_adjust", alice.tenant), {"usd": "2.5", "reason": "by phone"})
    admin_client.post(address("tenant_adjust", alice.tenant), {"usd": "-1.000001", "reason": "goodwill"})
    assert sum(row.amount_micro for row in LedgerEntry.objects.filter(tenant=alice.tenant)) == 1_499_999
    assert audit_entries(alice.tenant) == [("adjust", "alice", "goodwill"), ("adjust", "alice", "by phone")]


@pytest.mark.parametrize("usd", ["", "0", "-1", "1.1234567", "1e30", "ten"])
def test_a_wrong_amount_is_an_error_of_the_form(admin_client: Client, alice: Caller, usd: str) -> None:
    response = admin_client.post(address("tenant_adjust", alice.tenant), {"usd": usd, "reason": "why"})
    assert response.status_code == 200
    assert "errornote" in response.content.decode()
    assert not LedgerEntry.objects.exists()
    assert audit_entries(alice.tenant) == []


def test_the_list_shows_the_usage_of_each_tenant(admin_client: Client, alice: Caller, bob: Caller) -> None:
    alice.limit(in_flight=5, usd_per_month_micro=1_000_000)
    price = make_generation(alice).price_micro
    actions.suspend(ACTOR, bob.tenant)
    page = admin_client.get(address("tenant_changelist")).content.decode()
    assert "1 / 5" in page
    assert "1 / no limit" in page
    assert f"0.{price:06d} / 1.000000" in page
    assert page.count("suspended") >= 1


def test_the_usage_of_a_test_key_does_not_count_for_the_tenant(
    admin_client: Client, alice: Caller, settings: Any
) -> None:
    settings.SANDBOX_BASE_URL = "http://127.0.0.1:9"
    alice.limit(in_flight=5)
    make_generation(alice.with_key(test=True))
    assert "0 / 5" in admin_client.get(address("tenant_changelist")).content.decode()
    assert "0 / 5" in admin_client.get(address("tenant_change", alice.tenant)).content.decode()


def test_the_list_takes_as_many_queries_for_many_tenants_as_for_few(
    admin_client: Client, alice: Caller, bob: Caller
) -> None:
    make_generation(alice)

    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert admin_client.get(address("tenant_changelist")).status_code == 200
        return len(captured)

    queries()  # the first request saves that the session was used
    for_two = queries()
    for number in range(18):
        actions.create_tenant(ACTOR, f"tenant {number}", time_zone="Asia/Tokyo" if number % 2 else "UTC")
    assert queries() == for_two


def test_a_tenants_page_leads_to_its_lists(admin_client: Client, alice: Caller) -> None:
    page = admin_client.get(address("tenant_change", alice.tenant))
    titles = ["Statement", "Generations", "Seed log", "Ledger", "Endpoints", "Deliveries", "API keys", "Limit warnings"]
    titles += ["Refused creates", "Audit entries"]
    assert [title for title, _ in page.context["links"]] == titles
    for _, link in page.context["links"]:
        assert admin_client.get(link).status_code == 200
    http = log_in_staff("view_tenant", "view_generation")
    links = http.get(address("tenant_change", alice.tenant)).context["links"]
    assert [title for title, _ in links] == ["Generations", "Limit warnings", "Refused creates"]
