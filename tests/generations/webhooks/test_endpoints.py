"""The actions on endpoints: the values that they refuse, the rows that they write, and their audit entries."""

import base64
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from generations.models import Delivery, WebhookEndpoint
from generations.webhooks import encryption, endpoints, signing_secrets
from tenants.errors import NotPossible
from tenants.models import AuditEntry
from tests.support.factories import ACTOR, Caller
from tests.support.webhooks import ENDPOINT_URL, make_endpoint, make_failed

pytestmark = pytest.mark.django_db
Created = tuple[WebhookEndpoint, str]  # an endpoint and its secret


@pytest.fixture
def created(alice: Caller) -> Created:
    """Create an endpoint. Return the endpoint and its secret."""
    return endpoints.create(ACTOR, alice.tenant, ENDPOINT_URL, test=False)


def last_entry() -> AuditEntry:
    """Return the newest audit entry."""
    entry = AuditEntry.objects.order_by("id").last()
    assert entry
    return entry


def test_a_secret_has_32_random_bytes_and_is_stored_encrypted(created: Created) -> None:
    endpoint, secret = created
    assert secret.startswith("whsec_")
    assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32
    assert secret not in endpoint.secret
    assert encryption.decrypt(endpoint.secret) == secret


@pytest.mark.parametrize(
    "values",
    [
        {"url": "http://example.com/hook"},
        {"url": "https://127.0.0.1/hook"},
        {"url": "https://user:password@example.com/"},
        {"url": ""},
        {"events": ["generation.exploded"]},
        {"events": ["webhook.test"]},
        {"description": "x" * 201},
        {"description": "two\nlines"},
    ],
)
def test_wrong_values_are_refused_at_a_create_and_at_a_change(created: Created, alice: Caller, values: Any) -> None:
    with pytest.raises(NotPossible):
        endpoints.create(ACTOR, alice.tenant, **{"url": ENDPOINT_URL, "test": False, **values})
    with pytest.raises(NotPossible):
        endpoints.change(ACTOR, created[0], **values)
    assert WebhookEndpoint.objects.count() == 1
    assert AuditEntry.objects.filter(action__contains="webhook").count() == 1


def test_a_tenant_has_twenty_endpoints_in_each_mode_and_deleted_ones_do_not_count(alice: Caller) -> None:
    existing = [make_endpoint(alice) for _ in range(endpoints.MAX_ENDPOINTS)]
    with pytest.raises(NotPossible, match="20"):
        make_endpoint(alice)
    make_endpoint(alice, test=True)
    endpoints.disable(ACTOR, existing[0])
    with pytest.raises(NotPossible):
        make_endpoint(alice)
    endpoints.delete(ACTOR, existing[0])
    make_endpoint(alice)


def test_each_event_type_is_stored_once(alice: Caller) -> None:
    endpoint = make_endpoint(alice, events=["generation.failed", "generation.succeeded", "generation.failed"])
    assert endpoint.events == ["generation.succeeded", "generation.failed"]


ACTIONS: dict[str, Callable[[WebhookEndpoint], Any]] = {
    "change webhook endpoint": lambda endpoint: endpoints.change(ACTOR, endpoint, url="https://example.com/other"),
    "disable webhook endpoint": lambda endpoint: endpoints.disable(ACTOR, endpoint),
    "rotate webhook secret": lambda endpoint: endpoints.rotate_secret(ACTOR, endpoint),
    "delete webhook endpoint": lambda endpoint: endpoints.delete(ACTOR, endpoint),
}


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_and_its_audit_entry_are_stored_together_or_not_at_all(created: Created, action: str) -> None:
    before = WebhookEndpoint.objects.values().get()
    with transaction.atomic():
        ACTIONS[action](created[0])
        transaction.set_rollback(True)
    assert WebhookEndpoint.objects.values().get() == before
    assert last_entry().action == "create webhook endpoint"
    ACTIONS[action](created[0])
    assert WebhookEndpoint.objects.values().get() != before
    entry = last_entry()
    assert (entry.action, entry.actor, entry.target) == (action, "tests", str(created[0].pk))


def test_an_action_that_changes_nothing_leaves_no_audit_entry(created: Created) -> None:
    endpoints.change(ACTOR, created[0], url=ENDPOINT_URL, description="")
    endpoints.enable(ACTOR, created[0])
    assert last_entry().action == "create webhook endpoint"
    endpoints.disable(ACTOR, created[0])
    endpoints.disable(ACTOR, created[0])
    assert AuditEntry.objects.filter(action="disable webhook endpoint").count() == 1


@pytest.mark.parametrize("end", [endpoints.disable, endpoints.delete])
def test_pending_deliveries_to_a_disabled_or_deleted_endpoint_fail(created: Created, alice: Caller, end: Any) -> None:
    other = make_endpoint(alice)
    make_failed(alice)
    end(ACTOR, created[0])
    assert {row.endpoint_id: row.status for row in Delivery.objects.all()} == {
        created[0].pk: "failed",
        other.pk: "pending",
    }
    make_failed(alice)
    assert Delivery.objects.filter(endpoint=created[0]).count() == 1


def test_an_endpoint_that_is_enabled_again_has_no_failures(created: Created, alice: Caller) -> None:
    endpoints.record_failure(created[0])
    endpoints.disable(ACTOR, created[0], "Why.")
    enabled = endpoints.enable(ACTOR, created[0])
    assert (enabled.disabled_at, enabled.disabled_reason, enabled.failing_since) == (None, "", None)
    assert last_entry().action == "enable webhook endpoint"
    make_failed(alice)
    assert Delivery.objects.get().status == "pending"


def test_an_endpoint_that_the_tenant_disables_causes_no_event(created: Created, alice: Caller) -> None:
    make_endpoint(alice)
    endpoints.disable(ACTOR, created[0])
    assert Delivery.objects.count() == 0


def test_nothing_is_redelivered_to_a_disabled_or_deleted_endpoint(created: Created, alice: Caller) -> None:
    make_failed(alice)
    row = Delivery.objects.select_related("endpoint", "tenant").get()
    endpoints.disable(ACTOR, created[0])
    with pytest.raises(NotPossible, match="disabled"):
        endpoints.redeliver(ACTOR, row)
    endpoints.delete(ACTOR, created[0])
    with pytest.raises(NotPossible, match="deleted"):
        endpoints.redeliver(ACTOR, row)
    assert Delivery.objects.get().status == "failed"


def test_a_deleted_endpoint_has_no_secret(created: Created) -> None:
    endpoints.rotate_secret(ACTOR, created[0])
    endpoints.delete(ACTOR, created[0])
    row = WebhookEndpoint.objects.get()
    assert (row.secret, row.previous_secret, row.previous_until) == ("", "", None)


@pytest.mark.parametrize("overlap", [timedelta(seconds=-1), timedelta(days=7, seconds=1)])
def test_an_overlap_is_bounded(created: Created, alice: Caller, overlap: timedelta) -> None:
    with pytest.raises(NotPossible):
        endpoints.rotate_secret(ACTOR, created[0], overlap)
    with pytest.raises(NotPossible):
        endpoints.rotate_tenant_secret(ACTOR, alice.tenant, test=False, overlap=overlap)


def test_a_tenant_has_one_secret_in_each_mode(alice: Caller) -> None:
    live, _ = endpoints.rotate_tenant_secret(ACTOR, alice.tenant, test=False)
    test, _ = endpoints.rotate_tenant_secret(ACTOR, alice.tenant, test=True)
    newest, until = endpoints.rotate_tenant_secret(ACTOR, alice.tenant, test=False)
    assert len({live, test, newest}) == 3
    assert until
    delivery = Delivery(tenant=alice.tenant, test=False)
    assert signing_secrets.for_delivery(delivery) == [newest, live]
    assert last_entry().action == "rotate tenant's webhook secret"


def test_at_most_ten_test_events_wait(created: Created) -> None:
    for _ in range(endpoints.MAX_WAITING_TESTS):
        endpoints.send_test(created[0])
    with pytest.raises(NotPossible, match="10"):
        endpoints.send_test(created[0])


def test_the_time_of_the_first_failure_is_stored_and_not_of_the_last(created: Created) -> None:
    assert not endpoints.record_failure(created[0])
    since = WebhookEndpoint.objects.get().failing_since
    assert not endpoints.record_failure(created[0])
    assert WebhookEndpoint.objects.get().failing_since == since
    WebhookEndpoint.objects.update(failing_since=timezone.now() - endpoints.DISABLE_AFTER)
    assert endpoints.record_failure(created[0])
    endpoints.record_success(created[0])
    assert WebhookEndpoint.objects.get().failing_since is None


@pytest.mark.django_db(transaction=True)
def test_of_many_creates_at_the_same_time_no_more_than_twenty_succeed(alice: Caller) -> None:
    for _ in range(endpoints.MAX_ENDPOINTS - 2):
        make_endpoint(alice)
    outcomes: list[str] = []
    ready = threading.Barrier(5)

    def create() -> None:
        """Create an endpoint at the same time as the other threads, and note the outcome."""
        ready.wait()
        try:
            make_endpoint(alice)
            outcomes.append("created")
        except NotPossible:
            outcomes.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=create) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["created"] * 2 + ["refused"] * 3
    assert WebhookEndpoint.objects.count() == endpoints.MAX_ENDPOINTS
