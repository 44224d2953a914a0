"""The page of refused creates: who was refused by which limit, in a period, of all tenants or of one."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tenants.admin import refusals as page
from tenants.db import clock
from tenants.limits import refusals
from tests.http_client import Client
from tests.support.factories import Caller
from tests.support.panel import log_in_staff

NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)


def address(**query: Any) -> str:
    return reverse("admin:tenants_refusalcount_changelist", query=query)


def count(caller: Caller, limit_name: str, times: int, hours_ago: float = 0) -> None:
    with time_machine.travel(NOW - timedelta(hours=hours_ago), tick=False):
        for _ in range(times):
            refusals.count(caller.key, limit_name)


def rows(http: Client, **query: Any) -> list[tuple[str, str, int]]:
    """Return what the page lists: name, limit and number."""
    with time_machine.travel(NOW, tick=False):
        answer = http.get(address(**query))
    assert answer.status_code == 200
    return [(row.name, row.limit, row.refused) for row in answer.context["rows"]]


@pytest.fixture
def viewer(db: None) -> Client:
    """Return a client of a user who may view tenants."""
    with time_machine.travel(NOW, tick=False):
        return log_in_staff("view_tenant")


def test_tenants_are_listed_by_limit_with_most_refusals_first(viewer: Client, alice: Caller, bob: Caller) -> None:
    count(alice, "per_day", 2)
    count(alice.with_key(), "per_day", 3, hours_ago=40)
    count(alice, "usd_per_month", 1)
    count(bob, "suspended", 4)
    count(bob, "requests_per_minute", 7, hours_ago=60)
    expected = [("alice", "per day", 5), ("bob", "suspended", 4), ("alice", "USD per month", 1)]
    assert rows(viewer) == expected
    assert rows(viewer, period="no period") == expected
    assert rows(viewer, period="24 hours") == [("bob", "suspended", 4), ("alice", "per day", 2), expected[2]]
    assert rows(viewer, period="7 days")[0] == ("bob", "requests per minute", 7)


def test_a_tenants_refusals_are_listed_by_key_and_lead_to_it(viewer: Client, alice: Caller, bob: Caller) -> None:
    other = alice.with_key()
    count(alice, "per_day", 2)
    count(other, "per_day", 3)
    count(bob, "per_day", 9)
    query = {"tenant__id__exact": alice.tenant.pk, "period": "24 hours"}
    assert rows(viewer, **query) == [(other.key.prefix, "per day", 3), (alice.key.prefix, "per day", 2)]
    with time_machine.travel(NOW, tick=False):
        text = viewer.get(address(**query)).content.decode()
        all_tenants = viewer.get(address(period="24 hours")).content.decode()
    tenant_page = reverse("admin:tenants_tenant_change", args=[alice.tenant.pk])
    assert f'href="{tenant_page}"' in text
    assert f'href="{tenant_page}"' in all_tenants
    assert re.search(rf'<input type="hidden" name="tenant__id__exact" value="{alice.tenant.pk}">', text)
    assert address(**query).replace("&", "&amp;") in all_tenants
    assert reverse("admin:tenants_apikey_change", args=[other.key.pk]) not in text  # not for this user


def test_a_key_is_a_link_for_those_who_may_view_keys(alice: Caller) -> None:
    refusals.count(alice.key, "per_day")
    text = log_in_staff("view_tenant", "view_apikey").get(address(tenant__id__exact=alice.tenant.pk)).content.decode()
    assert f'href="{reverse("admin:tenants_apikey_change", args=[alice.key.pk])}"' in text


@pytest.mark.parametrize("tenant", ["0", "x", "9" * 30, "-1"])
def test_an_unknown_tenant_is_not_found(viewer: Client, tenant: str) -> None:
    with time_machine.travel(NOW, tick=False):
        assert viewer.get(address(tenant__id__exact=tenant)).status_code == 404


def test_who_may_not_view_tenants_sees_no_refusals(db: None) -> None:
    assert log_in_staff("view_generation").get(address()).status_code == 403


def test_the_page_reads_the_counts_by_one_query_and_says_what_it_leaves_out(
    admin_client: Client, alice: Caller, bob: Caller, monkeypatch: Any
) -> None:
    monkeypatch.setattr(page, "MAX_LISTED_ROWS", 1)
    for caller in (alice, bob, bob):
        refusals.count(caller.key, "per_day")
    with CaptureQueriesContext(
        connection,
    ) as queries:
        answer = admin_client.get(address())
    assert len([1 for query in queries if "refusalcount" in query["sql"]]) == 1
    assert [row.name for row in answer.context["rows"]] == ["bob"]
    assert "Only the 1 rows with most refusals are listed." in answer.content.decode()
    assert clock.now() - answer.context["rows"][0].last < timedelta(hours=1)
