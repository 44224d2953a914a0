"""A form about a generation or a webhook acts once, however often it is sent."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection

from generations.models import Delivery, Generation, WebhookEndpoint
from generations.webhooks import endpoints
from tenants.models import AuditEntry
from tests.generations.admin.rows import LIST, page_url
from tests.generations.admin.test_action_pages import make_in_doubt
from tests.generations.admin.test_webhook_endpoints import address
from tests.generations.test_lifecycle import put_in
from tests.http_client import Client
from tests.support.factories import ACTOR, Caller, make_generation
from tests.support.panel import log_in
from tests.support.webhooks import make_endpoint, make_failed

REASON = {"reason": "asked for"}


def actions_of_admin() -> list[str]:
    """Return the audited actions of the panel's user, oldest first."""
    return [row.action for row in AuditEntry.objects.filter(actor="admin").order_by("pk")]


def test_a_generation_in_doubt_is_resubmitted_once(admin_client: Client, alice: Caller) -> None:
    generation = make_in_doubt(alice)
    page = page_url(generation, "resubmit")
    form = {**REASON, "attempt": "1", **admin_client.open_form(page)}
    for _ in range(2):
        assert admin_client.post(page, form).status_code == 302
    assert actions_of_admin() == ["doubt: resubmit"]


def test_a_delivery_is_sent_again_once(admin_client: Client, alice: Caller) -> None:
    make_endpoint(alice)
    make_failed(alice)
    [delivery] = Delivery.objects.all()
    page = address("delivery", "redeliver", delivery)
    form = {**REASON, **admin_client.open_form(page)}
    admin_client.post(page, form)
    Delivery.objects.update(attempts=3)
    admin_client.post(page, form)
    assert Delivery.objects.get().attempts == 3
    assert actions_of_admin() == ["redeliver webhook"]


def test_an_action_on_selected_rows_acts_once_on_each(admin_client: Client, alice: Caller) -> None:
    one, other = make_generation(alice), make_generation(alice)
    selected = {"action": "run_selected_now", "_selected_action": [str(one.pk)]}
    form = {**selected, **REASON, **admin_client.open_form(LIST, selected)}
    admin_client.post(LIST, form)
    both = {**form, "_selected_action": [str(one.pk), str(other.pk)]}
    text = admin_client.post(LIST, both, follow=True).content.decode()
    assert f"{one.pk}: this form was sent before" in text
    assert "done for 1 of 2" in text
    assert sorted(AuditEntry.objects.filter(actor="admin").values_list("target", flat=True)) == sorted(
        [str(one.pk), str(other.pk)]
    )


def test_an_endpoint_is_created_once_and_its_form_overwrites_nothing(admin_client: Client, alice: Caller) -> None:
    page = address("webhookendpoint", "make")
    form = {**REASON, "tenant": alice.tenant.pk, "url": "https://hooks.example.com/a", **admin_client.open_form(page)}
    assert "whsec_" in admin_client.post(page, form, follow=True).content.decode()
    assert admin_client.post(page, form).status_code == 302
    endpoint = WebhookEndpoint.objects.get()
    page = address("webhookendpoint", "change_endpoint", endpoint)
    form = {**REASON, "url": endpoint.url, "description": "mine", **admin_client.open_form(page)}
    endpoints.change(ACTOR, endpoint, description="theirs", events=["generation.failed"])
    text = admin_client.post(page, form).content.decode()
    assert "Description: yours is mine, stored is theirs." in text
    assert "Events: yours is empty, stored is generation.failed." in text
    assert WebhookEndpoint.objects.get().description == "theirs"


@pytest.mark.django_db(transaction=True)
def test_a_rerun_that_is_sent_twice_at_once_is_paid_once(
    admin_user: User, alice: Caller, bucket: Any, body: dict[str, Any]
) -> None:
    alice.http.post("/v1/generations", body, format="json")
    generation = Generation.objects.get()
    page = page_url(generation, "rerun")
    Generation.objects.update(status="cancelled", due_at=None, finished_at=generation.created_at)
    clients = [log_in(admin_user), log_in(admin_user)]
    form = {**REASON, "seed": "5", **clients[0].open_form(page)}
    together = threading.Barrier(2)

    def send(http: Client) -> int:
        """Send the form when the other thread does."""
        try:
            together.wait()
            return int(http.post(page, form).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(send, clients)) == [302, 302]
    assert Generation.objects.filter(rerun_of=generation.pk).count() == 1
    assert actions_of_admin() == ["generation: rerun"]


def test_a_failed_generation_is_not_failed_again(admin_client: Client, alice: Caller) -> None:
    generation, _ = put_in(alice, "running")
    page = page_url(generation, "fail")
    form = {**REASON, **admin_client.open_form(page)}
    for _ in range(2):
        assert admin_client.post(page, form).status_code == 302
    assert actions_of_admin() == ["generation: fail and release"]
