"""The dashboard shows problems at a glance, takes few queries, and shows each role its part."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from generations.models import Generation, Worker
from generations.reports import hourly_statistics, worker_hosts
from generations.upstream import circuit_breaker
from tenants import actions, audit
from tenants.models import Window
from tests.generations.test_lifecycle import put_in
from tests.http_client import Client
from tests.support.factories import Caller, make_generation
from tests.support.panel import log_in_staff

pytestmark = pytest.mark.one_database


def tiles(http: Client) -> dict[str, tuple[str, str]]:
    """Return figure and level of each tile, by the tile's name."""
    return {tile.name: (str(tile.figure), tile.level) for tile in http.get("/admin/").context["tiles"]}


def test_a_service_without_problems_has_no_warning(admin_client: Client, alice: Caller) -> None:
    worker_hosts.record_heartbeat()
    put_in(alice, "succeeded")
    hourly_statistics.update_storage_use()
    figures = tiles(admin_client)
    assert figures["Upstream novita"] == ("OK", "good")
    assert figures["Worker"][1] == "good"
    assert figures["Storage used"][0] == "12\xa0bytes"
    for name in ("In progress", "In doubt", "Stalled", "Copy retrying", "Due now"):
        assert figures[name] == ("0", "")


def test_problems_are_coloured(admin_client: Client, alice: Caller) -> None:
    put_in(alice, "in_doubt")
    slow, _ = put_in(alice, "running")
    Generation.objects.filter(pk=slow.pk).update(submitted_at=timezone.now() - timedelta(hours=2))
    stuck = make_generation(alice)
    Generation.objects.filter(pk=stuck.pk).update(due_at=timezone.now() - timedelta(minutes=6))
    circuit_breaker.pause("novita", "BILLING_BALANCE_NOT_ENOUGH: top up, please")
    figures = tiles(admin_client)
    assert figures["Worker"] == ("none", "bad")
    assert figures["In doubt"] == ("1", "warn")
    assert figures["Stalled"] == ("1", "warn")
    assert figures["Longest wait"][1] == "bad"
    assert figures["Upstream novita"][1] == "bad"
    assert "top up, please" in admin_client.get("/admin/").content.decode()


def test_each_account_has_a_tile_that_is_yellow_while_another_takes_its_work(
    admin_client: Client, db: None, settings: Any
) -> None:
    settings.ARK_API_KEY = "the-key-of-ark"
    assert {name: tile for name, tile in tiles(admin_client).items() if name.startswith("Upstream")} == {
        "Upstream ark": ("OK", "good"),
        "Upstream novita": ("OK", "good"),
    }
    circuit_breaker.pause("ark", "AccountOverdueError", retry_after=60)
    figures = tiles(admin_client)
    assert (figures["Upstream ark"][1], figures["Upstream novita"]) == ("warn", ("OK", "good"))
    circuit_breaker.pause("novita", "no balance", retry_after=60)
    figures = tiles(admin_client)
    assert (figures["Upstream ark"][1], figures["Upstream novita"][1]) == ("bad", "bad")


def test_a_service_without_an_upstreams_key_says_so(admin_client: Client, db: None, settings: Any) -> None:
    settings.NOVITA_API_KEY = ""
    assert tiles(admin_client)["Upstream"] == ("none", "bad")


def test_a_worker_without_a_heartbeat_is_named(admin_client: Client, db: None) -> None:
    worker_hosts.record_heartbeat()
    Worker.objects.create(host="worker-2", heartbeat_at=timezone.now() - timedelta(minutes=10))
    Worker.objects.create(host="worker-3", heartbeat_at=timezone.now() - timedelta(days=3))  # the host was removed
    [tile] = [tile for tile in admin_client.get("/admin/").context["tiles"] if tile.name == "Worker"]
    assert (tile.note, tile.level) == ("worker-2: no heartbeat", "warn")


def test_it_counts_by_period_and_lists_the_tenants_by_spending(
    admin_client: Client, alice: Caller, bob: Caller
) -> None:
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
    with django_assert_max_num_queries(27):
        admin_client.get("/admin/")


@pytest.mark.parametrize(
    ("permission", "work", "money"),
    [("view_generation", True, False), ("view_tenant", False, True), (None, False, False)],
)
def test_each_role_sees_its_part(db: None, permission: str | None, work: bool, money: bool) -> None:
    context = log_in_staff(*filter(None, [permission])).get("/admin/").context
    assert ("tiles" in context, "spending" in context) == (work, money)


def test_a_tenants_page_has_a_chart_of_days(admin_client: Client, alice: Caller) -> None:
    make_generation(alice)
    put_in(alice, "failed")  # a failed generation is not counted
    page = admin_client.get(f"/admin/tenants/tenant/{alice.tenant.pk}/change/")
    [values] = [values for _, values in page.context["days"].series.values()]
    assert (len(values), values[-1], sum(values)) == (31, 1, 1)
    assert 'id="chart-days"' in page.content.decode()


def test_the_message_of_a_hostile_upstream_is_text(admin_client: Client) -> None:
    circuit_breaker.pause("novita", "<script>alert(1)</script>")
    assert "<script>alert(1)" not in admin_client.get("/admin/").content.decode()


def test_it_shows_spent_and_held_usd_apart(admin_client: Client, alice: Caller, settings: Any) -> None:
    settings.SANDBOX_BASE_URL = "http://127.0.0.1:9"
    put_in(alice, "succeeded")
    put_in(alice, "succeeded")
    put_in(alice, "failed")
    put_in(alice, "running")
    make_generation(alice.with_key(test=True))
    last_month = make_generation(alice)
    Generation.objects.filter(pk=last_month.pk).update(created_at=timezone.now() - timedelta(days=32))
    Window.objects.filter(kind="usd_per_month", api_key=None).update(used=3 * 88_209)  # as if held last month
    page = admin_client.get("/admin/")
    [row] = page.context["spending"]
    assert (row.spent, row.held, row.bar.used) == ("0.176418", "0.088209", "0.264627")
    cells = [f'<td class="panel-number">{text}</td>' for text in ("0.176418", "0.088209", "no limit")]
    assert re.search(r"\s*".join(cells), page.content.decode())


def test_an_adjustment_counts_as_spent(admin_client: Client, alice: Caller) -> None:
    actions.adjust(audit.Actor(name="olga", reason="by phone"), alice.tenant, 500_000)
    make_generation(alice)
    [row] = admin_client.get("/admin/").context["spending"]
    assert (row.spent, row.held) == ("0.500000", "0.088209")
