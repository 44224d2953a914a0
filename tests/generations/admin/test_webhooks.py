"""The panel for webhooks: endpoints by tenant, their secrets shown once, and deliveries that can be sent again."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.urls import reverse

from generations.models import Delivery, WebhookEndpoint
from generations.webhooks import encryption
from tenants.models import AuditEntry
from tests.http_client import Client
from tests.support.factories import Caller
from tests.support.webhooks import make_endpoint, make_failed

pytestmark = pytest.mark.one_database
REASON = {"reason": "asked for by its team"}


def address(model: str, name: str, row: Any = None) -> str:
    return reverse(f"admin:generations_{model}_{name}", args=[row.pk] if row else [])


@pytest.fixture
def ops(db: None) -> Client:
    http = Client()
    http.force_login(User.objects.create_superuser("olga"))
    return http


def staff(*codenames: str) -> Client:
    user = User.objects.create_user("viewer", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    http = Client()
    http.force_login(user)
    return http


def done() -> list[tuple[str, str, str]]:
    rows = AuditEntry.objects.filter(actor="olga").order_by("pk")
    return [(row.action, row.target, row.reason) for row in rows]


def test_an_endpoint_is_made_and_its_secret_is_shown_once(alice: Caller, ops: Client) -> None:
    made = {**REASON, "tenant": alice.tenant.pk, "url": "https://hooks.example.com/a", "events": ["generation.failed"]}
    page = ops.post(address("webhookendpoint", "make"), made)
    endpoint = WebhookEndpoint.objects.get()
    [secret] = [part.partition("<")[0] for part in page.content.decode().split("whsec_")[1:]]
    assert encryption.decrypt(endpoint.secret) == f"whsec_{secret}"
    assert (endpoint.tenant, endpoint.events, endpoint.test) == (alice.tenant, ["generation.failed"], False)
    assert done() == [("create webhook endpoint", str(endpoint.pk), REASON["reason"])]
    for name in ("changelist", "change"):
        shown = ops.get(address("webhookendpoint", name, endpoint if name == "change" else None)).content
        assert b"whsec_" not in shown
        assert endpoint.secret.encode() not in shown


def test_an_address_inside_is_refused_in_the_form(alice: Caller, ops: Client) -> None:
    page = ops.post(
        address("webhookendpoint", "make"), {**REASON, "tenant": alice.tenant.pk, "url": "https://10.0.0.1/"}
    )
    assert b"can not be called" in page.content
    assert not WebhookEndpoint.objects.exists()


def test_an_endpoint_is_changed_rotated_disabled_enabled_and_deleted(alice: Caller, ops: Client) -> None:
    endpoint = make_endpoint(alice)
    old = endpoint.secret

    def run_action(name: str, **facts: Any) -> bytes:
        answer = ops.post(address("webhookendpoint", name, endpoint), {**REASON, **facts}, follow=True)
        assert answer.status_code == 200
        endpoint.refresh_from_db()
        return answer.content

    run_action(
        "change_endpoint", url="https://hooks.example.com/b", events=["generation.failed"], description="billing"
    )
    assert (endpoint.url, endpoint.description) == ("https://hooks.example.com/b", "billing")
    run_action("disable")
    assert endpoint.disabled_at
    assert "olga" in endpoint.disabled_reason
    run_action("enable")
    assert endpoint.disabled_at is None
    assert b"whsec_" in run_action("rotate", overlap=2)
    assert (endpoint.secret != old, endpoint.previous_secret) == (True, old)
    run_action("remove")
    assert endpoint.deleted_at
    assert [action for action, _, _ in done()] == [
        "change webhook endpoint",
        "disable webhook endpoint",
        "enable webhook endpoint",
        "rotate webhook secret",
        "delete webhook endpoint",
    ]


def test_a_delivery_is_sent_again_by_hand(alice: Caller, ops: Client) -> None:
    make_endpoint(alice)
    make_failed(alice)
    [delivery] = Delivery.objects.all()
    assert ops.get(address("delivery", "changelist")).status_code == 200
    assert b"evt_" in ops.get(address("delivery", "change", delivery)).content
    Delivery.objects.update(status="failed", due_at=None, finished_at=delivery.created_at, attempts=10)
    ops.post(address("delivery", "redeliver", delivery), REASON)
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts, delivery.due_at is not None) == ("pending", 0, True)
    assert done() == [("redeliver webhook", str(delivery.pk), REASON["reason"])]


@pytest.mark.parametrize("name", ["rotate", "disable", "enable", "remove"])
def test_who_may_only_look_changes_nothing(alice: Caller, name: str) -> None:
    http, endpoint = staff("view_webhookendpoint"), make_endpoint(alice)
    before = WebhookEndpoint.objects.values().get()
    assert http.get(address("webhookendpoint", "change", endpoint)).status_code == 200
    assert http.post(address("webhookendpoint", name, endpoint), {**REASON, "overlap": 1}).status_code == 403
    assert http.post(address("webhookendpoint", "make"), REASON).status_code == 403
    assert WebhookEndpoint.objects.values().get() == before
