"""The list of generations counts its failures by error code, under its filters, and each count leads to its rows."""

from typing import Any
from uuid import UUID

import pytest
from django.contrib.messages import get_messages
from django.db import connection
from django.test.utils import CaptureQueriesContext

from generations import lifecycle
from generations.admin import filters
from generations.models import Generation
from tests.generations.admin.rows import LIST, list_ids, put_in_or_cancel
from tests.http_client import Client
from tests.support.factories import Caller, make_generation

OTHER_MODEL = {"model": "kling-v3.0-std-t2v", "duration": 3, "parameters": {"audio": True}}
OLD = "01900000-0000-7000-8000-000000000000"  # of June 2024


def fail(caller: Caller, code: str, **facts: Any) -> Generation:
    """Return a generation that failed with the code."""
    g = make_generation(caller, **facts)
    assert lifecycle.fail(g, code, "It failed.")
    return g


def choices(http: Client, **query: Any) -> dict[str, str]:
    """Return the choices of the error code as the list shows them, each with its query."""
    answer = http.get(LIST, query)
    cl = answer.context["cl"]
    [spec] = [spec for spec in cl.filter_specs if isinstance(spec, filters.ErrorCodeFilter)]
    shown = {choice["display"]: choice["query_string"] for choice in spec.choices(cl)}
    assert all(f'title="{name}"' in answer.content.decode() for name in shown)
    return shown


def test_failures_are_counted_by_code_and_each_leads_to_its_rows(admin_client: Client, alice: Caller) -> None:
    refused = {str(fail(alice, "upstream_refused").pk) for _ in range(2)}
    fail(alice, "deadline_exceeded")
    for status in ("queued", "succeeded", "cancelled"):
        put_in_or_cancel(alice, status)
    shown = choices(admin_client)
    assert list(shown) == ["All", "upstream_refused (2)", "deadline_exceeded (1)"]
    assert list_ids(admin_client, LIST + shown["upstream_refused (2)"]) == refused
    chosen = choices(admin_client, error_code__exact="upstream_refused")
    assert list(chosen) == list(shown)  # the other codes stay in sight
    assert chosen["All"] == "?"


def test_the_lists_own_filters_hold_for_the_counts(admin_client: Client, alice: Caller, bob: Caller) -> None:
    fail(alice, "upstream_refused", external_id="order-7")
    fail(alice, "upstream_refused", **OTHER_MODEL)
    fail(bob, "deadline_exceeded")
    fail(bob, "upstream_failed", id=UUID(OLD))
    every = ["All", "deadline_exceeded (1)", "upstream_failed (1)", "upstream_refused (2)"]
    assert sorted(choices(admin_client)) == sorted(every)
    for query, expected in (
        ({"tenant__id__exact": alice.tenant.pk}, ["upstream_refused (2)"]),
        ({"model": OTHER_MODEL["model"]}, ["upstream_refused (1)"]),
        ({"created_at_from": "2024-06-01", "created_at_to": "2024-07-30"}, ["upstream_failed (1)"]),
        ({"within": "day", "tenant__id__exact": bob.tenant.pk}, ["deadline_exceeded (1)"]),
        ({"q": "order-7"}, ["upstream_refused (1)"]),
        ({"status__exact": "succeeded"}, []),
        ({"mode": "test"}, []),
    ):
        shown = choices(admin_client, **query)
        assert list(shown)[1:] == expected, query
        for name, link in list(shown.items())[1:]:
            assert f"({len(list_ids(admin_client, LIST + link))})" in name


def test_a_chosen_code_without_rows_stays_a_choice(admin_client: Client, alice: Caller) -> None:
    fail(alice, "upstream_refused")
    assert list(choices(admin_client, error_code__exact="no_such_code")) == [
        "All",
        "upstream_refused (1)",
        "no_such_code (0)",
    ]
    assert list_ids(admin_client, error_code__exact="no_such_code") == set()


def test_no_more_are_counted_than_are_cheap_and_the_list_says_so(
    admin_client: Client, alice: Caller, bob: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filters, "MAX_COUNTED", 2)
    fail(alice, "upstream_refused")
    fail(alice, "upstream_refused")
    assert list(choices(admin_client)) == ["All", "upstream_refused (2)"]
    fail(alice, "upstream_refused")
    fail(bob, "deadline_exceeded")
    with CaptureQueriesContext(connection) as queries:
        shown = choices(admin_client)
    assert list(shown) == ["All: counted among 2 failures, there are more", "upstream_refused (2)"]
    counted = [query["sql"] for query in queries if 'SELECT "generations_generation"."error_code"' in query["sql"]]
    assert counted
    assert all("LIMIT 2" in sql for sql in counted)
    assert list(choices(admin_client, tenant__id__exact=bob.tenant.pk)) == ["All", "deadline_exceeded (1)"]


def test_a_text_that_is_no_day_is_named_once(admin_client: Client, alice: Caller) -> None:
    fail(alice, "upstream_refused")
    answer = admin_client.get(LIST, {"created_at_from": "yesterday"})
    assert answer.content.decode().count("is no day such as") == 1
    assert "is no day such as" not in admin_client.get(LIST).content.decode()
    assert not list(get_messages(answer.wsgi_request))
