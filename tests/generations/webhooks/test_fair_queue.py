"""The order of deliveries: a dead or slow receiver holds few threads, and none that another tenant needs."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from generations import ids
from generations.models import Delivery, WebhookEndpoint
from generations.webhooks import endpoints, fair_queue
from generations.webhooks.fair_queue import Candidate, Load
from tests.support.factories import Caller
from tests.support.webhooks import make_backlog, make_endpoint, make_failed

pytestmark = pytest.mark.django_db


def make_failing_endpoint(caller: Caller) -> WebhookEndpoint:
    """Create an endpoint with a failed delivery."""
    endpoint = make_endpoint(caller)
    endpoints.record_failure(endpoint)
    return endpoint


def claim_until_full() -> list[Candidate]:
    """Claim until nothing more fits. Return what is in flight when every receiver hangs."""
    in_flight: list[Candidate] = []
    while claimed := fair_queue.claim(in_flight):
        in_flight += [candidate for candidate, _ in claimed]
    return in_flight


def counts_by_tenant(in_flight: list[Candidate]) -> list[int]:
    """Return how many deliveries of each tenant are in flight, smallest number first."""
    return sorted(Counter(candidate.tenant_id for candidate in in_flight).values())


def test_two_deliveries_at_once_go_to_one_endpoint_and_four_to_one_tenant(alice: Caller) -> None:
    make_backlog(alice, 10, endpoint=make_endpoint(alice))
    assert len(claim_until_full()) == 2
    for _ in range(3):
        make_backlog(alice, 10, endpoint=make_endpoint(alice))
    in_flight = claim_until_full()
    assert len(in_flight) == 4
    assert set(Counter(candidate.receiver for candidate in in_flight).values()) <= {1, 2}


def test_the_oldest_delivery_comes_first(alice: Caller) -> None:
    make_backlog(alice, 3, endpoint=make_endpoint(alice))
    row = Delivery.objects.order_by("id").last()
    assert row
    Delivery.objects.filter(pk=row.pk).update(due_at=timezone.now() - timedelta(hours=1))
    assert fair_queue.claim([])[0][0].id == row.pk


def test_two_deliveries_go_to_a_host_of_own_webhooks_and_another_host_need_not_wait(alice: Caller) -> None:
    for n in range(5):
        make_failed(alice, webhook_url=f"https://a.example.com/{n}")
    make_failed(alice, webhook_url="https://b.example.com/")
    hosts = Counter(candidate.receiver for candidate in claim_until_full())
    assert hosts == {"a.example.com": 2, "b.example.com": 1}


def test_a_host_is_failing_while_a_delivery_to_it_waits_for_another_attempt(alice: Caller, bob: Caller) -> None:
    make_failed(alice, webhook_url="https://a.example.com/1")
    make_failed(alice, webhook_url="https://a.example.com/2")
    make_failed(alice, webhook_url="https://b.example.com/")
    make_failed(bob, webhook_url="https://a.example.com/")
    first = Delivery.objects.filter(tenant=alice.tenant).order_by("id")[0]
    Delivery.objects.filter(pk=first.pk).update(attempts=1, due_at=timezone.now() + timedelta(hours=1))
    failing = {(candidate.tenant_id, candidate.receiver): candidate.is_failing for candidate, _ in fair_queue.claim([])}
    assert failing == {
        (alice.tenant.pk, "a.example.com"): True,
        (alice.tenant.pk, "b.example.com"): False,
        (bob.tenant.pk, "a.example.com"): False,  # each tenant's hosts are counted apart
    }


def test_eight_hostile_tenants_with_many_due_leave_capacity_for_the_ninth(alice: Caller) -> None:
    for number in range(8):
        hostile = Caller(f"hostile {number}")
        for _ in range(2):
            make_backlog(hostile, 40, endpoint=make_endpoint(hostile))
    in_flight = claim_until_full()
    assert counts_by_tenant(in_flight) == [1] * 8  # no attempt has failed yet
    make_failed(alice, webhook_url="https://a.example.com/")
    [(candidate, _)] = fair_queue.claim(in_flight)
    assert candidate.tenant_id == alice.tenant.pk


def test_failing_receivers_get_half_of_the_threads_in_all(alice: Caller, settings: Any) -> None:
    for number in range(12):
        hostile = Caller(f"hostile {number}")
        make_backlog(hostile, 5, endpoint=make_failing_endpoint(hostile))
    in_flight = claim_until_full()
    assert counts_by_tenant(in_flight) == [1] * 8
    assert all(candidate.is_failing for candidate in in_flight)
    for _ in range(2):
        make_backlog(alice, 10, endpoint=make_endpoint(alice))
    more = []
    while claimed := fair_queue.claim(in_flight + more):
        more += [candidate for candidate, _ in claimed]
    assert counts_by_tenant(more) == [4]  # of the other half she may have as many as ever


def test_a_failing_endpoint_does_not_delay_the_tenants_other_endpoints(alice: Caller) -> None:
    for number in range(9):
        hostile = Caller(f"hostile {number}")
        make_backlog(hostile, 5, endpoint=make_failing_endpoint(hostile))
    make_backlog(alice, 5, endpoint=make_failing_endpoint(alice))
    working = make_endpoint(alice)
    make_backlog(alice, 1, endpoint=working)
    assert str(working.pk) in {candidate.receiver for candidate in claim_until_full()}


@pytest.mark.one_database
@pytest.mark.parametrize("threads", [2, 3, 16])
def test_the_load_never_exceeds_the_threads_and_always_has_capacity_for_a_new_tenant(
    threads: int, settings: Any
) -> None:
    settings.DELIVERY_THREADS = threads
    now = timezone.now()
    load = Load([])
    for number in range(100):
        for tenant in range(5):
            candidate = Candidate(ids.new(), tenant, str(number % 3), is_failing=True, due_at=now)
            if load.has_capacity_for(candidate):
                load.add(candidate)
    assert load.total == load.failing <= threads // 2
    assert load.has_capacity_for(Candidate(ids.new(), 99, "good", is_failing=False, due_at=now))


def test_a_delivery_is_claimed_by_one_of_many_worker_runs(alice: Caller) -> None:
    make_backlog(alice, 1, endpoint=make_endpoint(alice))
    with transaction.atomic():
        assert len(fair_queue.claim([])) == 1
    assert fair_queue.claim([]) == []
