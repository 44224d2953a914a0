"""The panel's pages of the system: worker hosts with their times, and upstreams that are paused."""

from datetime import UTC, datetime

import pytest
from django.urls import reverse

from generations.models import Worker
from generations.upstream import circuit_breaker
from tests.http_client import Client

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
    circuit_breaker.pause("novita", "no balance")
    assert "no balance" in admin_client.get(address).content.decode()
