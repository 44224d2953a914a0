"""The panel's pages of webhooks: a secret is shown once, and a delivery can be sent again."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from generations.models import Delivery, WebhookEndpoint
from generations.webhooks import encryption, endpoints
from tenants.models import AuditEntry
from tests.http_client import Client
from tests.support.factories import ACTOR, Caller
from tests.support.panel import log_in, log_in_staff
from tests.support.webhooks import make_endpoint, make_failed

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
    page = operator.post(address("webhookendpoint", "make"), form, follow=True)
    endpoint = WebhookEndpoint.objects.get()
    [secret] = [part.partition("<")[0] for part in page.content.decode().split("whsec_")[1:]]
    assert encryption.decrypt(endpoint.secret) == f"whsec_{secret}"
    assert (endpoint.tenant, endpoint.events, endpoint.test) == (alice.tenant, ["generation.failed"], False)
    assert audit_entries() == [("create webhook endpoint", str(endpoint.pk), REASON["reason"])]
    for name in ("changelist", "change"):
        listing = operator.get(address("webhookendpoint", name, endpoint if name == "change" else None)).content
        assert b"whsec_" not in listing
        assert endpoint.secret.encode() not in listing


def test_all_failed_deliveries_of_an_endpoint_are_sent_again(alice: Caller, operator: Client) -> None:
    endpoint, other = make_endpoint(alice), make_endpoint(alice, "https://example.com/other")
    for _ in range(3):
        make_failed(alice)
    Delivery.objects.update(status="failed", due_at=None, finished_at=timezone.now(), attempts=10)
    page = address("webhookendpoint", "redeliver_failed", endpoint)
    assert b"3 failed deliveries are sent again" in operator.post(page, REASON, follow=True).content
    assert set(Delivery.objects.filter(endpoint=endpoint).values_list("status", "attempts")) == {("pending", 0)}
    assert set(Delivery.objects.filter(endpoint=other).values_list("status", "attempts")) == {("failed", 10)}
    assert audit_entries() == [("redeliver failed webhooks", str(endpoint.pk), REASON["reason"])]
    endpoints.disable(ACTOR, endpoint, "unpaid")
    assert b"disabled" in operator.post(page, REASON).content


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


TOKEN = "a-token-of-the-receiver"
URL_WITH_TOKEN = f"https://hooks.example.com/{TOKEN}/end?token={TOKEN}"
HOST = "https://hooks.example.com/…"
VIEWS = ("view_webhookendpoint", "view_delivery", "view_generation", "view_auditentry")


@pytest.fixture
def rows(alice: Caller) -> dict[str, Any]:
    """Return an endpoint, a delivery to it, and a generation with images and a webhook, all with tokens in URLs."""
    endpoint = make_endpoint(alice, URL_WITH_TOKEN)
    endpoints.change(ACTOR, endpoint, url=f"{URL_WITH_TOKEN}2")
    urls = dict.fromkeys(("webhook_url", "image_url", "last_image_url"), URL_WITH_TOKEN)
    generation = make_failed(alice, **urls)
    return {"webhookendpoint": endpoint, "delivery": Delivery.objects.get(endpoint=endpoint), "generation": generation}


def test_lists_show_a_url_by_its_host_and_pages_show_it_to_those_who_may_act(
    rows: dict[str, Any], operator: Client
) -> None:
    for model, row in rows.items():
        listing = operator.get(address(model, "changelist")).content.decode()
        assert TOKEN not in listing
        assert (HOST in listing) == (model != "generation")
        assert f"{URL_WITH_TOKEN}".replace("&", "&amp;") in operator.get(address(model, "change", row)).content.decode()
    page = operator.get(address("generation", "change", rows["generation"])).content.decode()
    assert "webhook_host" not in page


def test_no_page_shows_a_viewer_more_of_a_url_than_its_host(rows: dict[str, Any]) -> None:
    viewer = log_in_staff(*VIEWS)
    for model, row in rows.items():
        pages = [
            viewer.get(address(model, name, row if name == "change" else None)) for name in ("changelist", "change")
        ]
        assert [page.status_code for page in pages] == [200, 200]
        assert not [page for page in pages if TOKEN in page.content.decode()], model
        assert HOST in pages[1].content.decode()


def test_a_viewer_guesses_no_url_by_searching(rows: dict[str, Any], operator: Client) -> None:
    def found(http: Client) -> int:
        return len(http.get(address("webhookendpoint", "changelist"), {"q": TOKEN}).context["cl"].result_list)

    assert (found(operator), found(log_in_staff(*VIEWS))) == (1, 0)


def test_the_audit_log_has_no_more_of_a_url_than_its_host(rows: dict[str, Any], operator: Client) -> None:
    assert TOKEN not in str([entry.changes for entry in AuditEntry.objects.all()])
    assert HOST in str(AuditEntry.objects.get(action="create webhook endpoint").changes)
    old = AuditEntry(actor="olga", action="create webhook endpoint", target="x", changes={"url": URL_WITH_TOKEN})
    old.save()  # as an earlier release wrote it
    listing = reverse("admin:tenants_auditentry_changelist")
    for path in (listing, reverse("admin:tenants_auditentry_change", args=[old.pk])):
        page = operator.get(path).content.decode()
        assert TOKEN not in page
        assert HOST in page


def test_what_is_said_of_an_endpoint_names_its_host(rows: dict[str, Any], operator: Client) -> None:
    page = operator.post(address("webhookendpoint", "disable", rows["webhookendpoint"]), REASON, follow=True)
    assert f"done for {HOST}" in page.content.decode()


def test_a_hostile_url_is_text(alice: Caller, operator: Client) -> None:
    endpoint = make_endpoint(alice)
    hostile = f'https://example.com/"><script>alert(1)</script>{"a" * 100}'
    WebhookEndpoint.objects.update(url=hostile)
    for path in (address("webhookendpoint", "changelist"), address("webhookendpoint", "change", endpoint)):
        assert "<script>alert(1)" not in operator.get(path).content.decode()
