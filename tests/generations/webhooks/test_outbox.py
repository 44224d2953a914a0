"""The outbox: which events a transition publishes, with which body, and to which receivers."""

import json

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from generations import lifecycle
from generations.models import Delivery, Generation
from generations.webhooks import endpoints, outbox
from tests.generations.test_lifecycle import VIDEO, put_in
from tests.support import attempts
from tests.support.factories import ACTOR, Caller, make_generation
from tests.support.webhooks import make_endpoint, make_failed
from tests.support.worker import count_wakeups

pytestmark = pytest.mark.django_db


def published_types() -> list[str]:
    """Return the event types of all deliveries, oldest first."""
    return list(Delivery.objects.order_by("created_at", "id").values_list("type", flat=True))


def test_an_endpoint_without_event_types_receives_final_statuses_only(alice: Caller) -> None:
    make_endpoint(alice)
    put_in(alice, "succeeded")
    put_in(alice, "failed")
    assert lifecycle.cancel(make_generation(alice), "Not needed.")
    assert published_types() == ["generation.succeeded", "generation.failed", "generation.cancelled"]


def test_an_endpoint_receives_its_event_types_and_no_others(alice: Caller) -> None:
    make_endpoint(alice, events=["generation.running", "generation.failed"])
    put_in(alice, "succeeded")
    put_in(alice, "failed")
    assert published_types() == ["generation.running", "generation.failed"]


def test_each_enabled_endpoint_of_that_tenant_and_mode_receives_the_event(alice: Caller, bob: Caller) -> None:
    receivers = [make_endpoint(alice), make_endpoint(alice)]
    make_endpoint(bob)
    make_endpoint(alice, test=True)
    endpoints.disable(ACTOR, make_endpoint(alice))
    endpoints.delete(ACTOR, make_endpoint(alice))
    make_failed(alice)
    assert [row.endpoint for row in Delivery.objects.order_by("id")] == receivers
    assert len(set(Delivery.objects.values_list("message_id", flat=True))) == 1  # one event, the same for both


def test_the_body_is_small_and_numbered_and_holds_no_url(alice: Caller) -> None:
    make_endpoint(alice, events=["generation.running", "generation.succeeded", "generation.failed"])
    good, _ = put_in(alice, "succeeded")
    bad = make_generation(alice, external_id="order-7")
    lifecycle.fail(bad, "upstream_failed", "🌊" * 100_000)
    running, succeeded, failed = (json.loads(row.body) for row in Delivery.objects.order_by("created_at"))
    assert (running["type"], running["data"]["status"]) == ("generation.running", "running")
    assert [event["data"]["sequence"] for event in (running, succeeded)] == [3, 5]  # as GET …/events numbers them
    assert [event.status for event in good.events.all()][2::2] == ["running", "succeeded"]
    assert succeeded["data"] == {
        "id": str(good.pk),
        "status": "succeeded",
        "sequence": 5,
        "external_id": "",
        "test": False,
        "video": {"as_requested": True, "differences": []},
        "error": None,
    }
    assert failed["data"]["error"] == {"code": "upstream_failed", "message": "🌊" * outbox.MAX_MESSAGE_CHARS}
    assert failed["data"]["external_id"] == "order-7"
    assert failed["timestamp"].endswith("Z")
    assert all(len(row.body.encode()) < 20_000 and "http" not in row.body for row in Delivery.objects.all())
    assert [row.message_id for row in Delivery.objects.order_by("created_at")] == [
        f"evt_{good.pk.hex}_3",
        f"evt_{good.pk.hex}_5",
        f"evt_{bad.pk.hex}_2",
    ]


def test_a_generations_own_webhook_receives_only_the_final_status(alice: Caller) -> None:
    own = "https://example.com/own"
    g = make_generation(alice, webhook_url=own)
    attempt = attempts.start_submitting(g)
    assert attempt
    lifecycle.mark_running(g, attempt, "up", 2)
    attempts.start_copying(g, 7)
    lifecycle.mark_succeeded(g, VIDEO)
    [row] = Delivery.objects.all()
    assert (row.url, row.endpoint, row.type, row.format) == (own, None, "generation.succeeded", "standard")
    make_failed(alice, webhook_url=own, webhook_format="novita")
    assert Delivery.objects.get(format="novita").body == ""  # the body is rendered at each attempt, with a signed URL


def test_a_transition_that_is_rolled_back_publishes_nothing(alice: Caller) -> None:
    make_endpoint(alice)
    g = make_generation(alice)
    with transaction.atomic():
        assert lifecycle.fail(g, "code", "Why.")
        assert published_types() == ["generation.failed"]
        transaction.set_rollback(True)
    assert published_types() == []
    assert Generation.objects.get(pk=g.pk).status == "queued"


def test_a_transition_that_does_not_happen_publishes_nothing(alice: Caller) -> None:
    make_endpoint(alice)
    g = make_failed(alice)
    assert not lifecycle.fail(g, "code", "Why.")
    assert len(published_types()) == 1


def test_without_receivers_a_transition_costs_one_query_more(alice: Caller) -> None:
    g = make_generation(alice)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        lifecycle.fail(g, "code", "Why.")
    assert [query["sql"] for query in queries if "delivery" in query["sql"]] == []
    assert len([query for query in queries if "webhookendpoint" in query["sql"]]) == 1


@pytest.mark.django_db(transaction=True)
def test_a_cancel_in_the_web_process_wakes_a_worker(alice: Caller) -> None:
    make_endpoint(alice)
    assert alice.http.post(f"/v1/generations/{make_generation(alice).pk}/cancel").status_code == 200
    assert count_wakeups() == 1


def test_the_schema_refuses_a_second_delivery_of_an_event_to_a_receiver(alice: Caller) -> None:
    make_endpoint(alice)
    make_failed(alice, webhook_url="https://example.com/own")
    for row in Delivery.objects.all():
        row.pk = None
        row._state.adding = True
        with pytest.raises(IntegrityError), transaction.atomic():
            row.save(force_insert=True)
