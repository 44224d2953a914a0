"""/v1/webhook-deliveries: the log of deliveries, and redelivery."""

from collections.abc import Iterator
from typing import Any

import pytest

from generations.models import Delivery, Slot
from generations.webhooks import endpoints
from tenants.models import AuditEntry
from tests.support.factories import ACTOR, Caller
from tests.support.receiver import Receiver, run_receiver
from tests.support.webhooks import attempt_all, make_endpoint, make_failed
from tests.support.worker import clear_wakeups, count_wakeups

pytestmark = pytest.mark.django_db
PATH = "/v1/webhook-deliveries"


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    with run_receiver(settings) as receiver:
        yield receiver


def list_ids(caller: Caller, **query: Any) -> list[str]:
    answer = caller.http.get(PATH, query)
    assert answer.status_code == 200, answer.content
    return [row["id"] for row in answer.json()["webhook_deliveries"]]


def test_a_delivery_has_its_attempts_and_its_payload(alice: Caller, receiver: Receiver) -> None:
    endpoint = make_endpoint(alice, receiver.url)
    g = make_failed(alice)
    receiver.answer = 503
    attempt_all()
    payload = alice.http.get(f"{PATH}/{Delivery.objects.get().pk}").json()
    [attempt] = payload.pop("attempts")
    assert (attempt["outcome"], attempt["status_code"]) == ("throttled", 503)
    assert attempt["milliseconds"] >= 0
    assert payload.pop("payload")["data"]["id"] == str(g.pk)
    assert payload.pop("next_attempt_at") > payload["created_at"]
    assert payload == {
        "id": payload["id"],
        "webhook_id": f"evt_{g.pk.hex}_2",
        "type": "generation.failed",
        "status": "pending",
        "webhook_endpoint": str(endpoint.pk),
        "generation": str(g.pk),
        "url": None,
        "attempt_count": 1,
        "test": False,
        "created_at": payload["created_at"],
        "finished_at": None,
    }


def test_a_delivery_to_a_generations_own_webhook_has_its_url(alice: Caller) -> None:
    make_failed(alice, webhook_url="https://example.com/own", webhook_format="novita")
    payload = alice.http.get(f"{PATH}/{Delivery.objects.get().pk}").json()
    assert (payload["url"], payload["webhook_endpoint"], payload["payload"]) == ("https://example.com/own", None, None)


def test_the_list_is_newest_first_by_pages(alice: Caller) -> None:
    make_endpoint(alice)
    for _ in range(5):
        make_failed(alice)
    newest = [str(row.pk) for row in Delivery.objects.order_by("-created_at", "-pk")]
    assert list_ids(alice) == newest
    first = alice.http.get(PATH, {"limit": 2})
    assert [row["id"] for row in first.json()["webhook_deliveries"]] == newest[:2]
    assert 'rel="next"' in first["Link"]
    assert list_ids(alice, cursor=first.json()["next_cursor"], limit=3) == newest[2:]


def test_the_list_is_filtered(alice: Caller, bob: Caller) -> None:
    endpoint, disabled = make_endpoint(alice), make_endpoint(alice)
    theirs = make_endpoint(bob)
    g, other = make_failed(alice), make_failed(alice)
    make_failed(bob)
    endpoints.disable(ACTOR, disabled)
    assert len(list_ids(alice)) == 4
    assert len(list_ids(alice, endpoint=endpoint.pk)) == len(list_ids(alice, generation=g.pk)) == 2
    assert len(list_ids(alice, status="failed", generation=other.pk)) == 1
    assert len(list_ids(alice, status="pending")) == 2
    assert list_ids(alice, status="delivered") == []
    assert list_ids(alice, endpoint=theirs.pk) == []


@pytest.mark.parametrize("query", [{"status": "lost"}, {"endpoint": "x"}, {"generation": ""}, {"type": "x"}])
def test_a_wrong_filter_is_an_error(alice: Caller, query: Any) -> None:
    answer = alice.http.get(PATH, query)
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == list(query)


@pytest.mark.django_db(transaction=True)
def test_a_redelivery_is_accepted_and_wakes_a_worker(alice: Caller, receiver: Receiver) -> None:
    _, secret = endpoints.create(ACTOR, alice.tenant, receiver.url, test=False)
    make_failed(alice)
    attempt_all()
    clear_wakeups()
    row = Delivery.objects.get()
    assert row.status == "delivered"

    Slot.objects.all().delete()
    answer = alice.http.post(f"{PATH}/{row.pk}/redeliver")
    assert answer.status_code == 202
    assert (answer.json()["status"], answer.json()["attempt_count"]) == ("pending", 0)
    assert count_wakeups() == 1
    attempt_all()
    assert receiver.posts[0].id == receiver.posts[1].id
    assert receiver.posts[0].verify(secret) == receiver.posts[1].verify(secret)
    assert len(alice.http.get(f"{PATH}/{row.pk}").json()["attempts"]) == 2
    entry = AuditEntry.objects.get(action="redeliver webhook")
    assert (entry.actor, entry.target) == (f"key:{alice.key.prefix}", str(row.pk))


def test_nothing_is_redelivered_to_a_deleted_endpoint(alice: Caller) -> None:
    endpoint = make_endpoint(alice)
    make_failed(alice)
    endpoints.delete(ACTOR, endpoint)
    row = Delivery.objects.get()
    assert list_ids(alice) == [str(row.pk)]  # it stays in the log
    answer = alice.http.post(f"{PATH}/{row.pk}/redeliver")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_possible")


def test_a_test_key_sees_deliveries_of_tests_alone(alice: Caller, settings: Any) -> None:
    settings.SANDBOX_BASE_URL = "http://127.0.0.1:1"
    make_endpoint(alice)
    make_failed(alice)
    tests = alice.with_key(test=True)
    assert list_ids(tests) == []
    assert tests.http.get(f"{PATH}/{Delivery.objects.get().pk}").status_code == 404
    make_endpoint(tests, test=True)
    make_failed(tests)
    assert len(list_ids(tests)) == len(list_ids(alice)) == 1
