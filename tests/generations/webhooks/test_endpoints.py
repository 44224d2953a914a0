"""The verbs on endpoints: what they refuse, what they write, and that each has its line in the audit log."""

import base64
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone

from generations.models import Delivery, WebhookEndpoint
from generations.webhooks import encryption, endpoints, signing_secrets
from tenants.errors import NotPossible
from tenants.models import AuditEntry
from tests.support.factories import ACTOR, Caller
from tests.support.webhooks import SERVED, make_endpoint, make_failed

pytestmark = pytest.mark.django_db
Created = tuple[WebhookEndpoint, str]


@pytest.fixture
def made(alice: Caller) -> Created:
    return endpoints.create(ACTOR, alice.tenant, SERVED, test=False)


def last_note() -> AuditEntry:
    entry = AuditEntry.objects.order_by("id").last()
    assert entry
    return entry


def test_a_secret_has_32_random_bytes_and_is_kept_sealed(made: Created) -> None:
    endpoint, secret = made
    assert secret.startswith("whsec_")
    assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32
    assert secret not in endpoint.secret
    assert encryption.decrypt(endpoint.secret) == secret


@pytest.mark.parametrize(
    "wrong",
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
def test_what_is_wrong_is_refused_at_a_create_and_at_a_change(made: Created, alice: Caller, wrong: Any) -> None:
    with pytest.raises(NotPossible):
        endpoints.create(ACTOR, alice.tenant, **{"url": SERVED, "test": False, **wrong})
    with pytest.raises(NotPossible):
        endpoints.change(ACTOR, made[0], **wrong)
    assert WebhookEndpoint.objects.count() == 1
    assert AuditEntry.objects.filter(action__contains="webhook").count() == 1


def test_a_tenant_has_twenty_in_each_world_and_a_deleted_one_does_not_count(alice: Caller) -> None:
    all_of_them = [make_endpoint(alice) for _ in range(endpoints.MAX_ENDPOINTS)]
    with pytest.raises(NotPossible, match="20"):
        make_endpoint(alice)
    make_endpoint(alice, test=True)
    endpoints.disable(ACTOR, all_of_them[0])
    with pytest.raises(NotPossible):
        make_endpoint(alice)
    endpoints.delete(ACTOR, all_of_them[0])
    make_endpoint(alice)


def test_events_are_kept_once_each(alice: Caller) -> None:
    made = make_endpoint(alice, events=["generation.failed", "generation.succeeded", "generation.failed"])
    assert made.events == ["generation.succeeded", "generation.failed"]


ACTS: dict[str, Callable[[WebhookEndpoint], Any]] = {
    "change webhook endpoint": lambda one: endpoints.change(ACTOR, one, url="https://example.com/other"),
    "disable webhook endpoint": lambda one: endpoints.disable(ACTOR, one),
    "rotate webhook secret": lambda one: endpoints.rotate_secret(ACTOR, one),
    "delete webhook endpoint": lambda one: endpoints.delete(ACTOR, one),
}


@pytest.mark.parametrize("action", ACTS)
def test_an_act_has_its_line_and_both_are_there_or_neither(made: Created, action: str) -> None:
    before = WebhookEndpoint.objects.values().get()
    with transaction.atomic():
        ACTS[action](made[0])
        transaction.set_rollback(True)
    assert WebhookEndpoint.objects.values().get() == before
    assert last_note().action == "create webhook endpoint"
    ACTS[action](made[0])
    assert WebhookEndpoint.objects.values().get() != before
    entry = last_note()
    assert (entry.action, entry.actor, entry.target) == (action, "tests", str(made[0].pk))


def test_what_changes_nothing_is_no_act(made: Created) -> None:
    endpoints.change(ACTOR, made[0], url=SERVED, description="")
    endpoints.enable(ACTOR, made[0])
    assert last_note().action == "create webhook endpoint"
    endpoints.disable(ACTOR, made[0])
    endpoints.disable(ACTOR, made[0])
    assert AuditEntry.objects.filter(action="disable webhook endpoint").count() == 1


@pytest.mark.parametrize("by", [endpoints.disable, endpoints.delete])
def test_what_is_under_way_to_an_endpoint_that_goes_has_failed(made: Created, alice: Caller, by: Any) -> None:
    other = make_endpoint(alice)
    make_failed(alice)
    by(ACTOR, made[0])
    assert {row.endpoint_id: row.status for row in Delivery.objects.all()} == {
        made[0].pk: "failed",
        other.pk: "pending",
    }
    make_failed(alice)
    assert Delivery.objects.filter(endpoint=made[0]).count() == 1


def test_one_that_is_enabled_again_begins_anew(made: Created, alice: Caller) -> None:
    endpoints.record_failure(made[0])
    endpoints.disable(ACTOR, made[0], "Why.")
    back = endpoints.enable(ACTOR, made[0])
    assert (back.disabled_at, back.disabled_reason, back.failing_since) == (None, "", None)
    assert last_note().action == "enable webhook endpoint"
    make_failed(alice)
    assert Delivery.objects.get().status == "pending"


def test_a_tenant_that_disables_its_own_is_not_told_of_it(made: Created, alice: Caller) -> None:
    make_endpoint(alice)
    endpoints.disable(ACTOR, made[0])
    assert Delivery.objects.count() == 0


def test_nothing_is_sent_again_to_an_endpoint_that_is_gone(made: Created, alice: Caller) -> None:
    make_failed(alice)
    row = Delivery.objects.select_related("endpoint", "tenant").get()
    endpoints.disable(ACTOR, made[0])
    with pytest.raises(NotPossible, match="disabled"):
        endpoints.redeliver(ACTOR, row)
    endpoints.delete(ACTOR, made[0])
    with pytest.raises(NotPossible, match="deleted"):
        endpoints.redeliver(ACTOR, row)
    assert Delivery.objects.get().status == "failed"


def test_a_deleted_endpoint_keeps_no_secret(made: Created) -> None:
    endpoints.rotate_secret(ACTOR, made[0])
    endpoints.delete(ACTOR, made[0])
    row = WebhookEndpoint.objects.get()
    assert (row.secret, row.previous_secret, row.previous_until) == ("", "", None)


@pytest.mark.parametrize("overlap", [timedelta(seconds=-1), timedelta(days=7, seconds=1)])
def test_an_overlap_is_bounded(made: Created, alice: Caller, overlap: timedelta) -> None:
    with pytest.raises(NotPossible):
        endpoints.rotate_secret(ACTOR, made[0], overlap)
    with pytest.raises(NotPossible):
        endpoints.rotate_tenant_secret(ACTOR, alice.tenant, test=False, overlap=overlap)


def test_the_tenants_secret_is_one_in_each_world(alice: Caller) -> None:
    live, _ = endpoints.rotate_tenant_secret(ACTOR, alice.tenant, test=False)
    test, _ = endpoints.rotate_tenant_secret(ACTOR, alice.tenant, test=True)
    again, until = endpoints.rotate_tenant_secret(ACTOR, alice.tenant, test=False)
    assert len({live, test, again}) == 3
    assert until
    delivery = Delivery(tenant=alice.tenant, test=False)
    assert signing_secrets.for_delivery(delivery) == [again, live]
    assert last_note().action == "rotate tenant's webhook secret"


def test_tests_that_wait_are_ten_at_most(made: Created) -> None:
    for _ in range(endpoints.MAX_WAITING_TESTS):
        endpoints.send_test(made[0])
    with pytest.raises(NotPossible, match="10"):
        endpoints.send_test(made[0])


def test_the_first_failure_is_remembered_and_not_the_last(made: Created) -> None:
    assert not endpoints.record_failure(made[0])
    since = WebhookEndpoint.objects.get().failing_since
    assert not endpoints.record_failure(made[0])
    assert WebhookEndpoint.objects.get().failing_since == since
    WebhookEndpoint.objects.update(failing_since=timezone.now() - endpoints.DISABLE_AFTER)
    assert endpoints.record_failure(made[0])
    endpoints.record_success(made[0])
    assert WebhookEndpoint.objects.get().failing_since is None


@pytest.mark.django_db(transaction=True)
def test_of_many_creates_at_one_moment_no_more_than_twenty_are_made(alice: Caller) -> None:
    for _ in range(endpoints.MAX_ENDPOINTS - 2):
        make_endpoint(alice)
    done: list[str] = []
    ready = threading.Barrier(5)

    def create() -> None:
        ready.wait()
        try:
            make_endpoint(alice)
            done.append("made")
        except NotPossible:
            done.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=create) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == ["made"] * 2 + ["refused"] * 3
    assert WebhookEndpoint.objects.count() == endpoints.MAX_ENDPOINTS


def test_after_a_change_of_the_key_all_secrets_are_sealed_by_the_new_one(
    made: Created, alice: Caller, settings: Any
) -> None:
    new, _ = endpoints.rotate_secret(ACTOR, made[0])
    own, _ = endpoints.rotate_tenant_secret(ACTOR, alice.tenant, test=False)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another", [settings.SECRET_KEY]
    call_command("reseal")
    settings.SECRET_KEY_FALLBACKS = []
    endpoint = WebhookEndpoint.objects.get()
    assert signing_secrets.for_delivery(Delivery(endpoint=endpoint)) == [new, made[1]]
    assert signing_secrets.for_delivery(Delivery(tenant=alice.tenant, test=False))[0] == own


def test_a_secret_that_no_key_opens_is_named_and_keeps_no_other_from_it(
    made: Created, alice: Caller, settings: Any
) -> None:
    old, settings.SECRET_KEY = settings.SECRET_KEY, "another"
    other = make_endpoint(alice)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "third", ["another"]
    with pytest.raises(CommandError, match=str(made[0].pk)):
        call_command("reseal")
    settings.SECRET_KEY_FALLBACKS = []
    other.refresh_from_db()
    assert len(signing_secrets.for_delivery(Delivery(endpoint=other))) == 1
    settings.SECRET_KEY_FALLBACKS = [old]
    assert signing_secrets.for_delivery(Delivery(endpoint=made[0])) == [made[1]]
