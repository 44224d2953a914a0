"""The list of generations is filtered by indexes, and operators act on selected rows with one reason."""

import csv
import io
import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from generations import lifecycle
from generations.models import Generation
from tenants.models import AuditEntry
from tests.generations.admin.rows import LIST, SCRIPT, SEEDS, list_ids, page_url, put_in_or_cancel
from tests.generations.test_lifecycle import put_in
from tests.http_client import Client
from tests.support.factories import Caller, make_generation
from tests.support.panel import log_in_staff

pytestmark = pytest.mark.one_database


@pytest.mark.parametrize("model", ["generation", "seedrecord", "delivery"])
def test_no_list_reads_every_row_for_its_filters(admin_client: Client, model: str) -> None:
    with CaptureQueriesContext(connection) as captured:
        admin_client.get(reverse(f"admin:generations_{model}_changelist"))
    assert not [query for query in captured.captured_queries if "DISTINCT" in query["sql"] or "COUNT(" in query["sql"]]


def test_the_list_is_filtered(admin_client: Client, alice: Caller, bob: Caller) -> None:
    old, _ = put_in(alice, "running")
    later = timezone.now() + timedelta(hours=1)
    Generation.objects.filter(pk=old.pk).update(submitted_at=timezone.now() - timedelta(hours=2), due_at=later)
    retrying, _ = put_in(bob, "copying")
    Generation.objects.filter(pk=retrying.pk).update(consecutive_failures=2, due_at=later)
    rendered, _ = put_in(bob, "copying")
    Generation.objects.filter(pk=rendered.pk).update(due_at=timezone.now() - timedelta(seconds=12))
    failed, _ = put_in(bob, "failed")
    waiting = make_generation(bob)
    ids = {name: str(g.pk) for name, g in {"old": old, "retrying": retrying, "failed": failed, "due": waiting}.items()}
    ids["rendered"] = str(rendered.pk)
    assert list_ids(admin_client) == set(ids.values())
    assert list_ids(admin_client, attention="copy-waiting") == {ids["rendered"]}
    assert re.search(
        r"Copying: has waited \d+ s for a free thread", admin_client.get(page_url(rendered)).content.decode()
    )
    assert list_ids(admin_client, attention="stalled") == {ids["old"]}
    assert list_ids(admin_client, attention="uncopied") == {ids["retrying"]}
    assert list_ids(admin_client, attention="due") == {ids["due"], ids["rendered"]}
    assert list_ids(admin_client, attention="live") == set(ids.values()) - {ids["failed"]}
    assert list_ids(admin_client, status__exact="failed") == {ids["failed"]}
    assert list_ids(admin_client, tenant__id__exact=alice.tenant.pk) == {ids["old"]}
    assert list_ids(admin_client, resolution="480p") == set(ids.values())
    assert list_ids(admin_client, resolution="1080p") == set()
    assert list_ids(admin_client, within="hour") == set(ids.values())
    assert list_ids(admin_client, mode="test") == set()


@pytest.mark.parametrize(
    ("name", "status", "values", "state"),
    [
        ("cancel", "queued", {}, "cancelled"),
        ("run_now", "running", {}, "running"),
        ("retry_copy", "copying", {}, "copying"),
        ("fail", "running", {}, "failed"),
        ("delete_files", "failed", {}, "failed"),
        ("rerun", "failed", {"seed": "-1"}, "failed"),
    ],
)
def test_an_action_needs_a_reason_and_is_performed_once_confirmed(
    admin_client: Client, alice: Caller, bucket: Any, name: str, status: str, values: dict[str, str], state: str
) -> None:
    g, _ = put_in(alice, status)
    assert g.image is not None
    bucket.put_object(Bucket="seedance-tests", Key=g.image.key, Body=b"abc")
    before = Generation.objects.filter(pk=g.pk).values().get()
    assert admin_client.get(page_url(g, name)).status_code == 200
    assert "This field is required" in admin_client.post(page_url(g, name), values).content.decode()
    # A GET changes nothing, nor does a POST without a reason.
    assert Generation.objects.filter(pk=g.pk).values().get() == before
    response = admin_client.post(page_url(g, name), {**values, "reason": "asked for"})
    assert response.status_code == 302, response.context["form"].errors
    g.refresh_from_db()
    assert g.status == state
    entry = AuditEntry.objects.latest("pk")
    assert (entry.actor, entry.target, entry.reason) == ("admin", str(g.pk), "asked for")


def test_a_list_action_names_the_rows_that_it_could_not_change(admin_client: Client, alice: Caller) -> None:
    waiting, running = make_generation(alice), put_in(alice, "running")[0]
    selected = {"action": "cancel_selected", "_selected_action": [str(waiting.pk), str(running.pk)]}
    confirmation = admin_client.post(LIST, selected).content.decode()
    assert str(waiting.pk) in confirmation
    assert Generation.objects.filter(status="cancelled").count() == 0
    page = admin_client.post(LIST, {**selected, "reason": "a flood"}, follow=True).content.decode()
    assert "Cancel: done for 1 of 2." in page
    assert f"{running.pk}: The generation is running now." in page
    assert [row.reason for row in AuditEntry.objects.filter(action="generation: cancel")] == ["a flood"]
    assert Generation.objects.get(pk=waiting.pk).status == "cancelled"


def test_a_viewer_is_offered_no_action(alice: Caller) -> None:
    g = make_generation(alice)
    http = log_in_staff("view_generation")
    text = http.get(page_url(g)).content.decode()
    assert f"{g.pk}/cancel" not in text
    assert "Ledger" not in text
    assert http.post(page_url(g, "cancel"), {"reason": "I want to"}).status_code == 403
    http.post(LIST, {"action": "cancel_selected", "_selected_action": [str(g.pk)], "reason": "I want to"})
    assert http.get(reverse("admin:generations_generation_add")).status_code == 403
    assert http.post(page_url(g, "delete"), {"post": "yes"}).status_code == 403
    assert Generation.objects.get().status == "queued"


def test_what_a_caller_wrote_is_text_everywhere(admin_client: Client, alice: Caller) -> None:
    g = make_generation(
        alice, prompt=SCRIPT, external_id=SCRIPT, metadata={SCRIPT: SCRIPT}, image_url=f"https://a.example/{SCRIPT}"
    )
    lifecycle.fail(g, "upstream_failed", SCRIPT)
    for address in (page_url(g), LIST, SEEDS, f"{LIST}?q={SCRIPT}"):
        text = admin_client.get(address).content.decode()
        assert SCRIPT not in text
    assert "&lt;script&gt;" in admin_client.get(page_url(g)).content.decode()


@pytest.mark.parametrize(
    ("status", "charge"),
    [
        ("queued", "held $0.088209"),
        ("in_doubt", "held $0.088209"),
        ("succeeded", "charged $0.088209"),
        ("failed", "charged $0.00"),
        ("cancelled", "charged $0.00"),
    ],
)
def test_the_list_shows_what_a_generation_cost(admin_client: Client, alice: Caller, status: str, charge: str) -> None:
    put_in_or_cancel(alice, status)
    text = admin_client.get(LIST).content.decode()
    assert f">{charge}<" in text
    assert ("0.088209" in text) == ("0.088209" in charge)


def test_the_export_says_that_what_was_released_is_charged_0(admin_client: Client, alice: Caller) -> None:
    for status in ("queued", "succeeded", "failed", "cancelled"):
        put_in_or_cancel(alice, status)
    answer = admin_client.get(reverse("admin:generations_generation_export"))
    rows = csv.DictReader(io.StringIO(answer.getvalue().decode("utf-8-sig")))
    assert {row["status"]: (row["price_usd"], row["charged_usd"]) for row in rows} == {
        "queued": ("0.088209", "0.000000"),
        "succeeded": ("0.088209", "0.088209"),
        "failed": ("0.088209", "0.000000"),
        "cancelled": ("0.088209", "0.000000"),
    }


def test_the_list_shows_that_a_test_generation_costs_nothing(
    admin_client: Client, alice: Caller, settings: Any
) -> None:
    settings.SANDBOX_BASE_URL = "http://127.0.0.1:9"
    make_generation(alice.with_key(test=True))
    text = admin_client.get(LIST, {"mode": "test"}).content.decode()
    assert ">charged $0.00, test mode<" in text
    assert "0.088209" not in text


def test_filters_have_plain_headings_and_choices(admin_client: Client) -> None:
    page = admin_client.get(LIST).content.decode()
    headings = re.findall(r"<h3[^>]*>\s*(.*?)\s*</h3>", page)
    assert {"Mode", "Needs attention", "Status", "Resolution", "Created in the last"} <= set(headings)
    choices = set(re.findall(r'title="([^"]*)" class="block px-3', page))
    assert {"Live", "Test", "All", "In progress", "Due now", "Stalled", "Copy retrying", "In doubt"} <= choices
    assert "In Doubt" not in page
