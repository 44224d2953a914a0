"""The panel's pages of the system: worker hosts with their times, and upstreams that are paused."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.urls import reverse

from generations.admin import account_entries
from generations.models import ManualPause, Worker
from generations.upstream import circuit_breaker
from tests.http_client import Client
from tests.tenants.admin.test_guards import text_of

pytestmark = pytest.mark.one_database


def test_times_are_written_as_iso_8601_to_the_second(admin_client: Client) -> None:
    Worker.objects.create(host="worker-1", started_at=datetime(2026, 1, 2, 15, 4, 5, tzinfo=UTC))
    page = admin_client.get(reverse("admin:generations_worker_changelist")).content.decode()
    assert "2026-01-02 15:04:05" in page


def test_an_empty_list_of_paused_upstreams_says_that_submits_go_out(admin_client: Client) -> None:
    address = reverse("admin:generations_pause_changelist")
    page = admin_client.get(address).content.decode()
    assert "Upstream status" in page
    assert "If the list is empty, submits go out." in page
    circuit_breaker.pause("novita", "no balance", retry_after=60)
    assert "no balance" in admin_client.get(address).content.decode()


def test_the_upstream_status_names_each_account_and_what_it_takes(admin_client: Client, settings: Any) -> None:
    settings.ARK_API_KEY = "the-key-of-ark"
    address = reverse("admin:generations_pause_changelist")
    text = " ".join(text_of(admin_client.get(address)).split())
    assert "Account ark : takes submits" in text.replace("ark:", "ark :")
    circuit_breaker.pause("novita", "no balance", retry_after=60)
    ManualPause.objects.create(scope="account", target="ark", actor="olga", reason="a test")
    states = {entry.name: (entry.state, entry.reason) for entry in account_entries.entries()}
    assert states == {
        "ark": ("paused by operators", "olga: a test"),
        "novita": ("paused", "no balance"),
    }
    settings.ARK_API_KEY = ""
    settings.SANDBOX_BASE_URL = "http://127.0.0.1:9"
    ManualPause.objects.all().delete()
    ManualPause.objects.create(scope="account", target="live", actor="olga", reason="a test")
    states = {entry.name: (entry.state, entry.reason) for entry in account_entries.entries()}
    assert states == {
        "ark": ("no key", ""),
        "novita": ("paused by operators", "olga: a test"),
        "sandbox": ("takes submits", ""),
    }
