"""The states of a delivery: the schedule of attempts, the guard by the fencing token, redelivery, and strays."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from generations import leases
from generations.models import Delivery, DeliveryAttempt, Slot, WebhookEndpoint
from generations.webhooks import deliveries, endpoints, fair_queue
from generations.webhooks.deliveries import AttemptResult
from tests.support.factories import ACTOR, Caller
from tests.support.webhooks import make_due, make_endpoint, make_failed
from tests.support.worker import clear_wakeups, count_wakeups

pytestmark = pytest.mark.django_db
Outcome = DeliveryAttempt.Outcome
DELIVERED = AttemptResult(Outcome.DELIVERED, 12, 204)
REFUSED = AttemptResult(Outcome.REFUSED, 12, 500)


def claim_one() -> Delivery:
    """Claim the only due delivery."""
    [(_, delivery)] = fair_queue.claim([])
    return delivery


def test_the_schedule_has_ten_attempts_with_jitter_within_bounds() -> None:
    assert len(deliveries.SCHEDULE) == 9
    for attempts, seconds in enumerate(deliveries.SCHEDULE, 1):
        delays = [deliveries.retry_delay_seconds(attempts) or 0 for _ in range(200)]
        assert seconds <= min(delays) < max(delays) <= seconds * 1.2
        assert max(delays) - min(delays) > seconds * 0.1
    assert deliveries.retry_delay_seconds(10) is None
    assert deliveries.retry_delay_seconds(10, 60) is None
    assert deliveries.retry_delay_seconds(1, 600) == 600
    assert 300 <= (deliveries.retry_delay_seconds(2, 1) or 0) <= 360  # a shorter Retry-After changes nothing


def test_a_delivery_that_always_fails_fails_after_ten_attempts(alice: Caller) -> None:
    make_endpoint(alice)
    make_failed(alice)
    with time_machine.travel(timezone.now(), tick=False) as clock:
        attempted_at = timezone.now()
        pauses = []
        while due := Delivery.objects.get().due_at:
            clock.move_to(due)
            pauses.append((due - attempted_at).total_seconds())
            attempted_at = due
            assert deliveries.reschedule(claim_one(), REFUSED)
    row = Delivery.objects.get()
    assert (row.status, row.attempts, row.due_at) == ("failed", 10, None)
    assert row.finished_at
    assert row.log.count() == 10
    assert [round(seconds) // base for seconds, base in zip(pauses[1:], deliveries.SCHEDULE, strict=True)] == [1] * 9


def test_a_success_ends_the_delivery_and_each_attempt_is_recorded(alice: Caller) -> None:
    make_endpoint(alice)
    make_failed(alice)
    assert deliveries.reschedule(claim_one(), REFUSED)
    make_due()
    assert deliveries.mark_delivered(claim_one(), DELIVERED)
    row = Delivery.objects.get()
    assert (row.status, row.due_at, row.attempts) == ("delivered", None, 2)
    log = [(attempt.outcome, attempt.status_code, attempt.milliseconds) for attempt in row.log.all()]
    assert log == [("refused", 500, 12), ("delivered", 204, 12)]
    assert fair_queue.claim([]) == []


def test_a_dead_worker_loses_no_delivery_and_a_late_one_writes_nothing(alice: Caller) -> None:
    make_endpoint(alice)
    make_failed(alice)
    first = claim_one()
    assert fair_queue.claim([]) == []  # the first worker owns the delivery while the lease lasts
    with time_machine.travel(timezone.now() + leases.DELIVERY_LEASE + timedelta(seconds=1), tick=False):
        second = claim_one()
        assert (second.message_id, second.body) == (first.message_id, first.body)
        assert not deliveries.mark_delivered(first, DELIVERED)
        assert not deliveries.reschedule(first, REFUSED)
        assert DeliveryAttempt.objects.count() == 0
        assert deliveries.mark_delivered(second, DELIVERED)
    assert DeliveryAttempt.objects.count() == 1


def test_a_lease_is_longer_than_an_attempt() -> None:
    assert leases.DELIVERY_LEASE.total_seconds() > 2 * leases.DELIVERY_CALL_SECONDS


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("status", ["delivered", "failed", "pending"])
def test_a_redelivery_sends_the_same_message_with_a_new_schedule(alice: Caller, status: str) -> None:
    make_endpoint(alice)
    g = make_failed(alice)
    clear_wakeups()
    first = claim_one()
    if status == "delivered":
        deliveries.mark_delivered(first, DELIVERED)
    else:
        deliveries.reschedule(first, REFUSED)
    if status == "failed":
        deliveries.fail_pending(first.endpoint)
    Slot.objects.all().delete()
    endpoints.redeliver(ACTOR, Delivery.objects.select_related("endpoint", "tenant").get())
    assert count_wakeups() == 1
    second = claim_one()
    assert (second.message_id, second.attempts, second.status) == (f"evt_{g.pk.hex}_2", 0, "pending")
    assert not deliveries.mark_delivered(first, DELIVERED)  # the claim before the redelivery
    assert deliveries.mark_delivered(second, DELIVERED)
    assert second.log.count() == 2


def test_a_stray_delivery_to_a_disabled_endpoint_fails(alice: Caller) -> None:
    """A transition that did not see yet that the endpoint was disabled may commit afterwards."""
    enabled, disabled = make_endpoint(alice), make_endpoint(alice)
    make_failed(alice)
    WebhookEndpoint.objects.filter(pk=disabled.pk).update(disabled_at=timezone.now())
    [(candidate, _)] = fair_queue.claim([])
    assert candidate.receiver == str(enabled.pk)
    assert deliveries.fail_strays() == 0
    with time_machine.travel(timezone.now() + timedelta(minutes=2), tick=False):
        assert deliveries.fail_strays() == 1
    assert Delivery.objects.get(endpoint=disabled).status == "failed"
    assert Delivery.objects.get(endpoint=enabled).status == "pending"
