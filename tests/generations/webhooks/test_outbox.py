"""The outbox: what a move publishes, and to whom; the life of a delivery; and that none is lost with its worker."""

import json
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from generations import leases, lifecycle
from generations.models import Delivery, DeliveryAttempt, Generation, Slot
from generations.webhooks import deliveries, endpoints, fair_queue, outbox
from generations.webhooks.deliveries import AttemptResult
from tests.generations.test_lifecycle import VIDEO, put_in
from tests.support.factories import ACTOR, Caller, make_generation
from tests.support.webhooks import make_due, make_endpoint, make_failed
from tests.support.worker import clear_wakeups, count_wakeups

pytestmark = pytest.mark.django_db
Outcome = DeliveryAttempt.Outcome
WORKED = AttemptResult(Outcome.DELIVERED, 12, 204)
REFUSED = AttemptResult(Outcome.REFUSED, 12, 500)


def published(**which: Any) -> list[str]:
    return list(Delivery.objects.filter(**which).order_by("created_at", "id").values_list("type", flat=True))


def claimed() -> Delivery:
    [(_, delivery)] = fair_queue.claim([])
    return delivery


# What is published


def test_an_endpoint_that_names_no_type_is_told_of_ends(alice: Caller) -> None:
    make_endpoint(alice)
    put_in(alice, "succeeded")
    put_in(alice, "failed")
    assert lifecycle.cancel(make_generation(alice), "Not wanted.")
    assert published() == ["generation.succeeded", "generation.failed", "generation.cancelled"]


def test_an_endpoint_is_told_of_what_it_names_and_of_nothing_else(alice: Caller) -> None:
    make_endpoint(alice, events=["generation.running", "generation.failed"])
    put_in(alice, "succeeded")
    put_in(alice, "failed")
    assert published() == ["generation.running", "generation.failed"]


def test_every_endpoint_is_told_and_none_of_another_tenant_world_or_that_is_off(alice: Caller, bob: Caller) -> None:
    told = [make_endpoint(alice), make_endpoint(alice)]
    make_endpoint(bob)
    make_endpoint(alice, test=True)
    endpoints.disable(ACTOR, make_endpoint(alice))
    endpoints.delete(ACTOR, make_endpoint(alice))
    make_failed(alice)
    assert [row.endpoint for row in Delivery.objects.order_by("id")] == told
    assert len(set(Delivery.objects.values_list("message_id", flat=True))) == 1  # one event, the same for both


def test_the_body_is_thin_numbered_and_holds_no_url(alice: Caller) -> None:
    make_endpoint(alice, events=["generation.running", "generation.succeeded", "generation.failed"])
    good, _ = put_in(alice, "succeeded")
    bad = make_generation(alice, external_id="order-7")
    lifecycle.fail(bad, "upstream_failed", "🌊" * 100_000)
    running, succeeded, failed = (json.loads(row.body) for row in Delivery.objects.order_by("created_at"))
    assert (running["type"], running["data"]["status"]) == ("generation.running", "running")
    assert [one["data"]["sequence"] for one in (running, succeeded)] == [3, 5]  # as GET …/events numbers them
    assert [event.status for event in good.events.all()][2::2] == ["running", "succeeded"]
    assert succeeded["data"] == {
        "id": str(good.pk),
        "status": "succeeded",
        "sequence": 5,
        "external_id": "",
        "test": False,
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


def test_a_generations_own_webhook_is_told_of_its_end_alone(alice: Caller) -> None:
    own = "https://example.com/own"
    g = make_generation(alice, webhook_url=own)
    attempt = lifecycle.start_submitting(g)
    assert attempt
    lifecycle.mark_running(g, attempt, "up", 2)
    lifecycle.start_copying(g, 7)
    lifecycle.mark_succeeded(g, VIDEO)
    [row] = Delivery.objects.all()
    assert (row.url, row.endpoint, row.type, row.format) == (own, None, "generation.succeeded", "standard")
    make_failed(alice, webhook_url=own, webhook_format="novita")
    assert Delivery.objects.get(format="novita").body == ""  # it will hold a signed URL, made at each attempt


def test_a_move_that_is_rolled_back_tells_nobody(alice: Caller) -> None:
    make_endpoint(alice)
    g = make_generation(alice)
    with transaction.atomic():
        assert lifecycle.fail(g, "code", "Why.")
        assert published() == ["generation.failed"]
        transaction.set_rollback(True)
    assert published() == []
    assert Generation.objects.get(pk=g.pk).status == "queued"


def test_a_move_that_does_not_happen_tells_nobody(alice: Caller) -> None:
    make_endpoint(alice)
    g = make_failed(alice)
    assert not lifecycle.fail(g, "code", "Why.")
    assert len(published()) == 1


def test_where_nobody_listens_a_move_costs_one_query_more(alice: Caller) -> None:
    g = make_generation(alice)
    with CaptureQueriesContext(
        connection,
    ) as asked:
        lifecycle.fail(g, "code", "Why.")
    assert [one["sql"] for one in asked if "delivery" in one["sql"]] == []
    assert len([one for one in asked if "webhookendpoint" in one["sql"]]) == 1


@pytest.mark.django_db(transaction=True)
def test_a_cancel_in_the_web_process_rings(alice: Caller) -> None:
    make_endpoint(alice)
    assert alice.http.post(f"/v1/generations/{make_generation(alice).pk}/cancel").status_code == 200
    assert count_wakeups() == 1


def test_the_schema_has_an_endpoint_told_once_of_an_event(alice: Caller) -> None:
    make_endpoint(alice)
    make_failed(alice, webhook_url="https://example.com/own")
    for row in Delivery.objects.all():
        row.pk = None
        row._state.adding = True
        with pytest.raises(IntegrityError), transaction.atomic():
            row.save(force_insert=True)


# The life of a delivery


def test_the_schedule_has_ten_attempts_with_jitter_within_bounds() -> None:
    assert len(deliveries.SCHEDULE) == 9
    for attempts, seconds in enumerate(deliveries.SCHEDULE, 1):
        drawn = [deliveries.retry_delay_seconds(attempts) or 0 for _ in range(200)]
        assert seconds <= min(drawn) < max(drawn) <= seconds * 1.2
        assert max(drawn) - min(drawn) > seconds * 0.1
    assert deliveries.retry_delay_seconds(10) is None
    assert deliveries.retry_delay_seconds(10, 60) is None
    assert deliveries.retry_delay_seconds(1, 600) == 600
    assert 300 <= (deliveries.retry_delay_seconds(2, 1) or 0) <= 360  # asked to come sooner, it comes as it would have


def test_a_delivery_that_always_fails_is_tried_ten_times_and_has_failed(alice: Caller) -> None:
    make_endpoint(alice)
    make_failed(alice)
    with time_machine.travel(timezone.now(), tick=False) as clock:
        starts = timezone.now()
        pauses = []
        while due := Delivery.objects.get().due_at:
            clock.move_to(due)
            pauses.append((due - starts).total_seconds())
            starts = due
            assert deliveries.reschedule(claimed(), REFUSED)
    row = Delivery.objects.get()
    assert (row.status, row.attempts, row.due_at) == ("failed", 10, None)
    assert row.finished_at
    assert row.log.count() == 10
    assert [round(seconds) // base for seconds, base in zip(pauses[1:], deliveries.SCHEDULE, strict=True)] == [1] * 9


def test_a_success_ends_it_and_its_attempt_is_on_record(alice: Caller) -> None:
    make_endpoint(alice)
    make_failed(alice)
    assert deliveries.reschedule(claimed(), REFUSED)
    make_due()
    assert deliveries.mark_delivered(claimed(), WORKED)
    row = Delivery.objects.get()
    assert (row.status, row.due_at, row.attempts) == ("delivered", None, 2)
    log = [(one.outcome, one.status_code, one.milliseconds) for one in row.log.all()]
    assert log == [("refused", 500, 12), ("delivered", 204, 12)]
    assert fair_queue.claim([]) == []


def test_a_worker_that_is_gone_loses_nothing_and_one_that_is_late_writes_nothing(alice: Caller) -> None:
    make_endpoint(alice)
    make_failed(alice)
    first = claimed()
    assert fair_queue.claim([]) == []  # it is the first one's, while the lease lasts
    with time_machine.travel(timezone.now() + leases.DELIVERY_LEASE + timedelta(seconds=1), tick=False):
        second = claimed()
        assert (second.message_id, second.body) == (first.message_id, first.body)
        assert not deliveries.mark_delivered(first, WORKED)
        assert not deliveries.reschedule(first, REFUSED)
        assert DeliveryAttempt.objects.count() == 0
        assert deliveries.mark_delivered(second, WORKED)
    assert DeliveryAttempt.objects.count() == 1


def test_a_lease_is_longer_than_an_attempt() -> None:
    assert leases.DELIVERY_LEASE.total_seconds() > 2 * leases.DELIVERY_CALL_SECONDS


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("status", ["delivered", "failed", "pending"])
def test_sending_it_again_is_the_same_message_with_its_schedule_begun_anew(alice: Caller, status: str) -> None:
    make_endpoint(alice)
    g = make_failed(alice)
    clear_wakeups()
    one = claimed()
    if status == "delivered":
        deliveries.mark_delivered(one, WORKED)
    else:
        deliveries.reschedule(one, REFUSED)
    if status == "failed":
        deliveries.fail_pending(one.endpoint)
    Slot.objects.all().delete()
    endpoints.redeliver(ACTOR, Delivery.objects.select_related("endpoint", "tenant").get())
    assert count_wakeups() == 1
    again = claimed()
    assert (again.message_id, again.attempts, again.status) == (f"evt_{g.pk.hex}_2", 0, "pending")
    assert not deliveries.mark_delivered(one, WORKED)  # from before it
    assert deliveries.mark_delivered(again, WORKED)
    assert again.log.count() == 2


def test_a_stray_of_an_endpoint_that_is_gone_ends(alice: Caller) -> None:
    """A move that had not seen yet that the endpoint was disabled may commit after it."""
    kept, gone = make_endpoint(alice), make_endpoint(alice)
    make_failed(alice)
    type(gone).objects.filter(pk=gone.pk).update(disabled_at=timezone.now())
    [(candidate, _)] = fair_queue.claim([])
    assert candidate.receiver == str(kept.pk)
    assert deliveries.fail_strays() == 0
    with time_machine.travel(timezone.now() + timedelta(minutes=2), tick=False):
        assert deliveries.fail_strays() == 1
    assert Delivery.objects.get(endpoint=gone).status == "failed"
    assert Delivery.objects.get(endpoint=kept).status == "pending"
