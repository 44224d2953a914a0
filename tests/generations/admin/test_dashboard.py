"""The dashboard shows problems at a glance, takes few queries, and shows each role its part."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.utils import timezone

from generations.admin import spending
from generations.models import Generation, Worker
from generations.reports import hourly_statistics, usage_sums, worker_hosts
from generations.upstream import circuit_breaker
from tenants import actions
from tests.generations.test_lifecycle import put_in
from tests.http_client import Client
from tests.support.factories import ACTOR, Caller, make_generation
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
    assert [(row.name, row.bar.percent) for row in page.context["spending"].tenants] == [("alice", 44), ("bob", 0)]
    assert [chart.id for chart in page.context["charts"]] == ["accepted", "finished", "durations"]
    assert all(len(chart.rows) == len(chart.labels) for chart in page.context["charts"])


def test_it_takes_few_queries(admin_client: Client, alice: Caller, django_assert_max_num_queries: Any) -> None:
    for _ in range(3):
        put_in(alice, "succeeded")
    with django_assert_max_num_queries(36):
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


def costs_of(row: Any) -> tuple[int, int, int, int]:
    """Return the micro-USD of a row: today, this month, held, and last month."""
    return row.cost.today, row.cost.month, row.cost.held, row.cost.last_month


def test_it_shows_spent_and_held_usd_apart(admin_client: Client, alice: Caller, bob: Caller, settings: Any) -> None:
    settings.SANDBOX_BASE_URL = "http://127.0.0.1:9"
    with time_machine.travel(datetime(2026, 11, 20, 12, tzinfo=UTC), tick=False) as travel:
        put_in(alice, "succeeded")
        travel.move_to(datetime(2026, 12, 1, 12, tzinfo=UTC))
        put_in(alice, "succeeded")
        travel.move_to(datetime(2026, 12, 2, 12, tzinfo=UTC))
        for status in ("succeeded", "succeeded", "failed", "running"):
            put_in(alice, status)
        make_generation(alice.with_key(test=True))
        put_in(bob, "succeeded")
        admin_client.force_login(User.objects.get(username="admin"))  # the session of before has ended
        for _ in range(2):  # before and after the sums have all
            spending = admin_client.get("/admin/").context["spending"]
            assert [costs_of(row) for row in spending.tenants] == [
                (2 * 88_209, 3 * 88_209, 88_209, 88_209),
                (88_209, 88_209, 0, 0),
            ]
            assert [(row.name, *costs_of(row)) for row in spending.models] == [
                ("seedance-v1-lite-i2v", 3 * 88_209, 4 * 88_209, 88_209, 88_209)
            ]
            travel.shift(timedelta(minutes=10))
            usage_sums.store()
        page = admin_client.get("/admin/").content.decode()
        cells = [f'<td class="panel-number">{text}</td>' for text in ("0.176418", "0.264627", "0.088209", "0.088209")]
        assert "".join(cells) in page


def test_today_and_the_month_are_those_of_each_tenant(admin_client: Client, alice: Caller) -> None:
    actions.change_tenant(ACTOR, alice.tenant, time_zone="Pacific/Auckland")
    alice.tenant.refresh_from_db()
    with time_machine.travel(datetime(2026, 11, 30, 10, 30, tzinfo=UTC), tick=False) as travel:  # 23:30 on the 30th
        put_in(alice, "succeeded")
        travel.shift(timedelta(hours=1))  # 1 December in Auckland
        put_in(alice, "succeeded")
        admin_client.force_login(User.objects.get(username="admin"))
        [row] = admin_client.get("/admin/").context["spending"].tenants
        assert costs_of(row) == (88_209, 88_209, 0, 88_209)


def test_a_big_spender_without_a_limit_is_listed(
    admin_client: Client, alice: Caller, bob: Caller, monkeypatch: Any
) -> None:
    monkeypatch.setattr(spending, "MAX_LISTED_TENANTS", 1)
    bob.limit(usd_per_month_micro=100_000)
    put_in(alice, "succeeded")
    put_in(alice, "succeeded")
    put_in(bob, "succeeded")
    shown = admin_client.get("/admin/").context["spending"]
    assert [row.name for row in shown.tenants] == ["alice", "bob"]  # bob has used 88 % of the limit
    bob.limit(usd_per_month_micro=None)
    shown = admin_client.get("/admin/").context["spending"]
    assert ([row.name for row in shown.tenants], shown.unlisted) == (["alice"], 1)
    assert shown.total.month == 3 * 88_209


@pytest.mark.parametrize(
    ("period", "shown", "bars"), [("24 hours", "24 hours", 6), ("30 days", "30 days", 6), ("nonsense", "48 hours", 6)]
)
def test_the_charts_are_of_the_chosen_period_and_begin_with_the_data(
    admin_client: Client, alice: Caller, period: str, shown: str, bars: int
) -> None:
    put_in(alice, "succeeded")
    context = admin_client.get("/admin/", {"period": period}).context
    assert context["period"] == shown
    assert {len(chart.labels) for chart in context["charts"]} == {bars}
    [accepted] = [chart for chart in context["charts"] if chart.id == "accepted"]
    [[*_, last]] = [values for _, values in accepted.series.values()]
    assert last == 1


def test_it_says_at_once_whether_the_service_works(admin_client: Client, alice: Caller) -> None:
    worker_hosts.record_heartbeat()
    verdict = admin_client.get("/admin/").context["verdict"]
    assert (verdict.name, verdict.level) == ("Working", "good")
    put_in(alice, "in_doubt")
    context = admin_client.get("/admin/").context
    assert (context["verdict"].level, context["verdict"].note) == ("warn", "In doubt")
    assert context["tiles"][0].name == "In doubt"
    circuit_breaker.pause("novita", "no balance")
    assert admin_client.get("/admin/").context["verdict"].level == "bad"


def test_failures_are_counted_by_code_and_lead_to_their_rows(admin_client: Client, alice: Caller) -> None:
    for _ in range(2):
        put_in(alice, "failed")
    put_in(alice, "succeeded")
    [(code, count, url)] = admin_client.get("/admin/").context["failures"]
    assert count == 2
    rows = admin_client.get(url).context["cl"].result_list
    assert {row.error_code for row in rows} == {code}
    assert len(rows) == 2
