"""Deliveries in worker runs: runs end in time, wake the next run, and survive slow receivers, errors and kills."""

import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from generations import leases, lifecycle, wakeups
from generations.models import Delivery, DeliveryAttempt
from generations.webhooks import endpoints, fair_queue, send
from generations.worker import loop
from tests.support.factories import ACTOR, Caller, make_generation
from tests.support.patience import PATIENCE
from tests.support.receiver import Receiver, run_receiver
from tests.support.webhooks import make_backlog, make_due, make_endpoint, make_failed
from tests.support.worker import clear_wakeups, count_wakeups

pytestmark = pytest.mark.django_db


def start_worker_run() -> threading.Thread:
    """Start a worker run in a thread of its own."""
    thread = threading.Thread(target=lambda: (loop.run(), connection.close()))
    thread.start()
    return thread


@pytest.mark.django_db(transaction=True)
def test_a_worker_run_sends_the_due_deliveries_and_ends(alice: Caller, receiver: Receiver) -> None:
    _, secret = endpoints.create(ACTOR, alice.tenant, receiver.url, test=False)
    for _ in range(6):
        make_failed(alice)
    clear_wakeups()
    assert loop.run() == 6
    assert {post.verify(secret)["type"] for post in receiver.posts} == {"generation.failed"}
    assert len({post.id for post in receiver.posts}) == 6
    assert set(Delivery.objects.values_list("status", flat=True)) == {"delivered"}
    assert count_wakeups() == 0


@pytest.mark.django_db(transaction=True)
def test_a_worker_run_whose_time_is_over_wakes_another_for_deliveries_due_soon(
    alice: Caller, receiver: Receiver, monkeypatch: Any
) -> None:
    monkeypatch.setattr(leases, "RUN_SECONDS", 0.0)
    make_endpoint(alice, receiver.url)
    receiver.answer = 500
    make_failed(alice)
    clear_wakeups()
    assert loop.run() == 1
    assert count_wakeups() == 1  # the next attempt is due in five seconds


@pytest.mark.django_db(transaction=True)
def test_a_retry_that_is_due_much_later_is_left_to_the_schedule(alice: Caller) -> None:
    make_endpoint(alice)
    make_failed(alice)
    Delivery.objects.update(due_at=timezone.now() + timedelta(minutes=5))
    clear_wakeups()
    assert loop.run() == 0
    assert count_wakeups() == 0


@pytest.mark.django_db(transaction=True)
def test_hanging_receivers_delay_neither_another_tenants_delivery_nor_a_step(
    alice: Caller, settings: Any, monkeypatch: Any
) -> None:
    finished = threading.Event()
    with run_receiver(settings) as dead, run_receiver(settings) as good:
        dead.answer = lambda handler: finished.wait(2 * PATIENCE)
        for number in range(4):
            hostile = Caller(f"hostile {number}")
            make_backlog(hostile, 50, endpoint=make_endpoint(hostile, dead.url))
        thread = start_worker_run()
        try:
            assert dead.wait_for(4)
            make_endpoint(alice, good.url)
            started_at = time.monotonic()
            make_failed(alice)
            assert good.wait_for(1)
            assert good.posts[0].at - started_at < leases.DELIVERY_CALL_SECONDS
        finally:
            wakeups.free_slots_of_this_host()
            finished.set()
            thread.join(PATIENCE)
    assert not thread.is_alive()


@pytest.mark.django_db(transaction=True)
def test_a_worker_run_that_is_asked_to_stop_waits_for_a_delivery_no_longer_than_the_deadline(
    alice: Caller, receiver: Receiver, monkeypatch: Any
) -> None:
    monkeypatch.setattr(leases, "DELIVERY_CALL_SECONDS", 0.4)
    finished = threading.Event()
    receiver.answer = lambda handler: finished.wait(2 * PATIENCE)
    make_endpoint(alice, receiver.url)
    make_failed(alice)
    thread = start_worker_run()
    assert receiver.wait_for(1)
    wakeups.free_slots_of_this_host()
    thread.join(PATIENCE)
    finished.set()
    assert not thread.is_alive()
    assert DeliveryAttempt.objects.get().outcome == "unreachable"


@pytest.mark.django_db(transaction=True)
def test_an_error_in_a_delivery_is_logged_and_harms_no_other_delivery(
    alice: Caller, receiver: Receiver, monkeypatch: Any, caplog: Any
) -> None:
    """The service can not have written such a row."""
    make_endpoint(alice, receiver.url)
    bad, _ = make_failed(alice), make_failed(alice)
    Delivery.objects.filter(generation=bad).update(format="novita", generation=None)
    monkeypatch.setattr(leases, "RUN_SECONDS", 0.2)
    loop.run()
    assert "a delivery failed" in caplog.text
    assert len(receiver.posts) == 1
    assert Delivery.objects.get(generation=None).log.get().outcome == "internal_error"


@pytest.mark.django_db(transaction=True)
def test_a_delivery_of_a_killed_worker_is_sent_again_under_the_same_id(
    alice: Caller, receiver: Receiver, settings: Any
) -> None:
    """The worker dies after the POST and before the record: the delivery is due again after the lease."""
    make_endpoint(alice, receiver.url)
    lifecycle.fail(make_generation(alice), "code", "Why.")
    settings.FAILPOINT = "delivery_sent:raise"
    [(_, delivery)] = fair_queue.claim([])
    with pytest.raises(Exception, match="delivery_sent"):
        send.attempt(delivery)
    settings.FAILPOINT = ""
    assert DeliveryAttempt.objects.count() == 0
    assert fair_queue.claim([]) == []
    make_due()
    loop.run()
    assert len(receiver.posts) == 2
    assert len({(post.id, post.body) for post in receiver.posts}) == 1
    assert Delivery.objects.get().status == "delivered"
