"""The list of tenants: what each used this month and what is held, in the order of the month's USD."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import time_machine
from django.contrib.admin.views.main import ORDER_VAR
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tenants.admin import usage_bars
from tenants.db import clock
from tenants.db.engine import engine
from tenants.models import Tenant, Window
from tests.http_client import Client
from tests.support.factories import Caller, make_generation
from tests.support.panel import log_in_staff

LIST = reverse("admin:tenants_tenant_changelist")
MONTH = "this_month"


def listed(http: Client, order: str = "-") -> list[Any]:
    """Return the tenants that the list shows, in the order of this month's USD: the highest first with "-"."""
    columns = http.get(LIST).context["cl"].list_display
    return list(http.get(LIST, {ORDER_VAR: f"{order}{columns.index(MONTH)}"}).context["cl"].result_list)


def test_tenants_are_sorted_by_the_usd_of_this_month(admin_client: Client, alice: Caller, bob: Caller) -> None:
    """Bob has no limit, and is seen first all the same."""
    alice.limit(usd_per_month_micro=1_000_000_000)
    Caller("carol")
    make_generation(alice)
    for _ in range(3):
        make_generation(bob)
    assert [tenant.name for tenant in listed(admin_client)] == ["bob", "alice", "carol"]
    assert [tenant.name for tenant in listed(admin_client, "")] == ["carol", "alice", "bob"]
    [bob_row, *_] = listed(admin_client)
    assert str(bob_row.bars["usd_per_month"]) == f"{bob_row.bars['usd_per_month'].used} / no limit"
    assert bob_row.month_micro == bob_row.bars["usd_per_month"].usage.used > 0


def test_what_is_held_is_shown_apart(admin_client: Client, alice: Caller) -> None:
    held = make_generation(alice).price_micro
    [row] = listed(admin_client)
    assert (row.held_micro, row.month_micro) == (held, held)
    assert f"0.{held:06d}" in admin_client.get(LIST).content.decode()


def test_the_month_is_that_of_each_tenants_calendar(admin_client: Client, alice: Caller, bob: Caller) -> None:
    """At this moment it is December in Tokyo, and November in UTC."""
    Tenant.objects.filter(pk=alice.tenant.pk).update(time_zone="Asia/Tokyo")
    now = datetime(2026, 11, 30, 20, tzinfo=UTC)
    for tenant, starts_at, used in (
        (alice.tenant, datetime(2026, 11, 30, 15, tzinfo=UTC), 1),  # midnight in Tokyo
        (alice.tenant, datetime(2026, 11, 1, tzinfo=UTC), 100),
        (bob.tenant, datetime(2026, 11, 1, tzinfo=UTC), 10),
        (bob.tenant, datetime(2026, 10, 1, tzinfo=UTC), 1000),
    ):
        Window.objects.create(tenant=tenant, kind="usd_per_month", starts_at=starts_at, used=used)
    Window.objects.create(
        tenant=bob.tenant, api_key=bob.key, kind="usd_per_month", starts_at=datetime(2026, 11, 1, tzinfo=UTC), used=500
    )
    with time_machine.travel(now, tick=False):
        http = log_in_staff("view_tenant")
        assert [(tenant.name, tenant.month_micro) for tenant in listed(http)] == [("bob", 10), ("alice", 1)]


def test_a_page_takes_the_same_queries_for_many_tenants(admin_client: Client, alice: Caller) -> None:
    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            admin_client.get(LIST)
        return len(queries)

    count()  # reads the content types, once in a process
    few = count()
    Tenant.objects.bulk_create(Tenant(name=f"tenant {number}") for number in range(50))
    assert count() == few


def test_the_month_is_read_by_the_index_of_its_window(alice: Caller) -> None:
    """The counter of each tenant is one row: the history of windows is not read."""
    for month in range(1, 40):
        starts_at = clock.now() - timedelta(days=31 * month)
        Window.objects.create(tenant=alice.tenant, kind="usd_per_month", starts_at=starts_at, used=1)
    if connection.vendor == "postgresql":
        engine.run("SET LOCAL enable_seqscan = off", [])  # which a small table is read by
    plan = usage_bars.with_month(Tenant.objects.all(), clock.now()).order_by("-month_micro").explain()
    assert re.search(r"SEARCH U0 USING INDEX|Index Scan using \w+ on tenants_window", plan)
    assert re.search(r"starts_at=\?|Index Cond: .*starts_at = ", plan)


def test_the_dashboard_leads_to_the_tenants_by_spend(admin_client: Client, alice: Caller, bob: Caller) -> None:
    make_generation(bob)
    text = admin_client.get("/admin/").content.decode()
    [link] = re.findall(r'href="([^"]+)">All tenants by USD of this month<', text)
    assert [tenant.name for tenant in admin_client.get(link).context["cl"].result_list] == ["bob", "alice"]
