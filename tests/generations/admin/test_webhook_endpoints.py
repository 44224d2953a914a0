"""The panel's pages of webhooks: a secret is shown once, and a delivery can be sent again."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from generations.models import Delivery, WebhookEndpoint
from generations.webhooks import encryption
from tenants.models import AuditEntry
from tests.http_client import Client
from tests.support.factories import Caller
from tests.support.panel import log_in, log_in_staff
from tests.support.webhooks import ENDPOINT_URL, make_endpoint, make_failed

pytestmark = pytest.mark.one_database
REASON = {"reason": "asked for by its team"}


def address(model: str, name: str, row: Any = None) -> str:
    """Return the address of a page about the model."""
    return reverse(f"admin:generations_{model}_{name}", args=[row.pk] if row else [])


@pytest.fixture
def operator(db: None) -> Client:
    """Return an HTTP client in which the superuser olga is logged in."""
    return log_in(User.objects.create_superuser("olga"))


def audit_entries() -> list[tuple[str, str, str]]:
    """Return action, target and reason of what olga did, oldest first."""
    rows = AuditEntry.objects.filter(actor="olga").order_by("pk")
    return [(row.action, row.target, row.reason) for row in rows]


def test_a_new_endpoint_shows_its_secret_once(alice: Caller, operator: Client) -> None:
    form = {**REASON, "tenant": alice.tenant.pk, "url": "https://hooks.example.com/a", "events": ["generation.failed"]}
    page = operator.post(address("webhookendpoint", "make"), form)
    endpoint = WebhookEndpoint.objects.get()
    [secret] = [part.partition("<")[0] for part in page.content.decode().split("whsec_")[1:]]
    assert encryption.decrypt(endpoint.secret) == f"whsec_{secret}"
    assert (endpoint.tenant, endpoint.events, endpoint.test) == (alice.tenant, ["generation.failed"], False)
    assert audit_entries() == [("create webhook endpoint", str(endpoint.pk), REASON["reason"])]
    for name in ("changelist", "change"):
        listing = operator.get(address("webhookendpoint", name, endpoint if name == "change" else None)).content
        assert b"whsec_" not in listing
        assert endpoint.secret.encode() not in listing


def test_a_private_address_is_refused_in_the_form(alice: Caller, operator: Client) -> None:
    page = operator.post(
        address("webhookendpoint", "make"), {**REASON, "tenant": alice.tenant.pk, "url": "https://10.0.0.1/"}
    )
    assert b"can not be called" in page.content
    assert not WebhookEndpoint.objects.exists()


def test_an_endpoint_is_changed_rotated_disabled_enabled_and_deleted(alice: Caller, operator: Client) -> None:
    endpoint = make_endpoint(alice)
    old = endpoint.secret

    def run_action(name: str, **facts: Any) -> bytes:
        response = operator.post(address("webhookendpoint", name, endpoint), {**REASON, **facts}, follow=True)
        assert response.status_code == 200
        endpoint.refresh_from_db()
        return response.content

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
    assert [action for action, _, _ in audit_entries()] == [
        "change webhook endpoint",
        "disable webhook endpoint",
        "enable webhook endpoint",
        "rotate webhook secret",
        "delete webhook endpoint",
    ]


@pytest.mark.parametrize("name", ["rotate", "disable", "enable", "remove"])
def test_a_viewer_changes_nothing(alice: Caller, name: str) -> None:
    http, endpoint = log_in_staff("view_webhookendpoint"), make_endpoint(alice)
    before = WebhookEndpoint.objects.values().get()
    assert http.get(address("webhookendpoint", "change", endpoint)).status_code == 200
    assert http.post(address("webhookendpoint", name, endpoint), {**REASON, "overlap": 1}).status_code == 403
    assert http.post(address("webhookendpoint", "make"), REASON).status_code == 403
    assert WebhookEndpoint.objects.values().get() == before


LONG_URL = f"https://hooks.example.com/{'a' * 200}/end"
CUT_URL = f'<span title="{LONG_URL}">{LONG_URL[:60]}…</span>'


def test_a_long_url_is_cut_in_lists_and_whole_on_its_page(alice: Caller, operator: Client) -> None:
    endpoint = make_endpoint(alice, LONG_URL)
    g = make_failed(alice)
    [delivery] = Delivery.objects.all()
    for model, row in (("webhookendpoint", endpoint), ("delivery", delivery)):
        listing = operator.get(address(model, "changelist")).content.decode()
        assert CUT_URL in listing
        assert listing.count("/end") == 1  # in the title attribute
        page = operator.get(address(model, "change", row)).content.decode()
        assert CUT_URL not in page
        assert f">{LONG_URL}<" in page
    assert CUT_URL in operator.get(address("generation", "change", g)).content.decode()


def test_a_short_url_is_whole_in_lists(alice: Caller, operator: Client) -> None:
    make_endpoint(alice)
    listing = operator.get(address("webhookendpoint", "changelist")).content.decode()
    assert f">{ENDPOINT_URL}<" in listing


def test_a_hostile_url_is_text(alice: Caller, operator: Client) -> None:
    endpoint = make_endpoint(alice)
    hostile = f'https://example.com/"><script>alert(1)</script>{"a" * 100}'
    WebhookEndpoint.objects.update(url=hostile)
    for path in (address("webhookendpoint", "changelist"), address("webhookendpoint", "change", endpoint)):
        assert "<script>alert(1)" not in operator.get(path).content.decode()
