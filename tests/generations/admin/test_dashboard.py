"""The panel's first page: what is well and what is not, by few queries, for each role its part."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.utils import timezone

from generations.models import Generation, Worker
from generations.reports import hourly_statistics, worker_hosts
from generations.upstream import circuit_breaker
from tests.generations.test_lifecycle import put_in
from tests.http_client import Client
from tests.support.factories import Caller, make_generation

pytestmark = pytest.mark.one_database


def tiles(http: Client) -> dict[str, tuple[str, str]]:
    """Each one's figure and level, by name."""
    return {tile.name: (str(tile.figure), tile.level) for tile in http.get("/admin/").context["tiles"]}


def test_all_is_well(admin_client: Client, alice: Caller) -> None:
    worker_hosts.record_heartbeat()
    put_in(alice, "succeeded")
    hourly_statistics.update_storage_use()
    shown = tiles(admin_client)
    assert shown["Upstream"] == ("OK", "good")
    assert shown["Worker"][1] == "good"
    assert shown["Storage used"][0] == "12\xa0bytes"
    for name in ("In progress", "In doubt", "Stalled", "Copy retrying", "Due now"):
        assert shown[name] == ("0", "")


def test_what_is_not_well_stands_out(admin_client: Client, alice: Caller) -> None:
    put_in(alice, "in_doubt")
    slow, _ = put_in(alice, "running")
    Generation.objects.filter(pk=slow.pk).update(submitted_at=timezone.now() - timedelta(hours=2))
    stuck = make_generation(alice)
    Generation.objects.filter(pk=stuck.pk).update(due_at=timezone.now() - timedelta(minutes=6))
    circuit_breaker.pause("BILLING_BALANCE_NOT_ENOUGH: top up, please", test=False)
    shown = tiles(admin_client)
    assert shown["Worker"] == ("none", "bad")
    assert shown["In doubt"] == ("1", "warn")
    assert shown["Stalled"] == ("1", "warn")
    assert shown["Longest wait"][1] == "bad"
    assert shown["Upstream live"][1] == "bad"
    assert "top up, please" in admin_client.get("/admin/").content.decode()


def test_a_worker_that_fell_silent_is_named(admin_client: Client, db: None) -> None:
    worker_hosts.record_heartbeat()
    Worker.objects.create(host="worker-2", heartbeat_at=timezone.now() - timedelta(minutes=10))
    Worker.objects.create(host="worker-3", heartbeat_at=timezone.now() - timedelta(days=3))  # it was taken away
    [tile] = [tile for tile in admin_client.get("/admin/").context["tiles"] if tile.name == "Worker"]
    assert (tile.note, tile.level) == ("worker-2: no heartbeat", "warn")


def test_it_counts_by_period_and_shows_who_spends(admin_client: Client, alice: Caller, bob: Caller) -> None:
    alice.limit(usd_per_month_micro=200_000)
    put_in(alice, "succeeded")
    put_in(alice, "failed")
    put_in(bob, "succeeded")
    page = admin_client.get("/admin/")
    for _, counts in page.context["periods"]:
        assert (counts.accepted, counts.succeeded, counts.failed) == (3, 2, 1)
        assert counts.success_percent == "66.7%"
    assert [(row.tenant.name, row.bar.percent) for row in page.context["spending"]] == [("alice", 44), ("bob", 0)]
    assert [chart.id for chart in page.context["charts"]] == ["finished", "durations", "days"]
    assert all(len(chart.rows) == len(chart.labels) for chart in page.context["charts"])


def test_it_takes_few_queries(admin_client: Client, alice: Caller, django_assert_max_num_queries: Any) -> None:
    for _ in range(3):
        put_in(alice, "succeeded")
    with django_assert_max_num_queries(25):
        admin_client.get("/admin/")


@pytest.mark.parametrize(
    ("permission", "work", "money"),
    [("view_generation", True, False), ("view_tenant", False, True), (None, False, False)],
)
def test_each_role_is_shown_its_part(db: None, permission: str | None, work: bool, money: bool) -> None:
    user = User.objects.create_user("staff", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename=permission))
    http = Client()
    http.force_login(user)
    context = http.get("/admin/").context
    assert ("tiles" in context, "spending" in context) == (work, money)


def test_a_tenants_page_has_its_days(admin_client: Client, alice: Caller) -> None:
    make_generation(alice)
    put_in(alice, "failed")  # given back
    page = admin_client.get(f"/admin/tenants/tenant/{alice.tenant.pk}/change/")
    [values] = [values for _, values in page.context["days"].series.values()]
    assert (len(values), values[-1], sum(values)) == (31, 1, 1)
    assert 'id="chart-days"' in page.content.decode()


def test_a_hostile_upstreams_words_are_text(admin_client: Client) -> None:
    circuit_breaker.pause("<script>alert(1)</script>", test=False)
    assert "<script>alert(1)" not in admin_client.get("/admin/").content.decode()
