"""Create endpoints and events, and send deliveries, for the tests of webhooks."""

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from generations import lifecycle
from generations.models import Delivery, Generation, WebhookEndpoint
from generations.webhooks import endpoints, fair_queue, send
from tests.support.factories import ACTOR, Caller, make_generation
from tests.support.receiver import Receiver

ENDPOINT_URL = "https://example.com/hook"  # never called


def make_endpoint(caller: Caller, url: str = ENDPOINT_URL, *, test: bool = False, **columns: Any) -> WebhookEndpoint:
    """Create an endpoint of the caller's tenant."""
    return endpoints.create(ACTOR, caller.tenant, url, test=test, **columns)[0]


def create_endpoint(caller: Caller, receiver: Receiver) -> tuple[WebhookEndpoint, str]:
    """Create an endpoint of the caller's tenant at the receiver. Return the endpoint and its secret."""
    return endpoints.create(ACTOR, caller.tenant, receiver.url, test=False)


def make_backlog(caller: Caller, count: int, **columns: Any) -> None:
    """Store that many deliveries which have been due for five minutes."""
    due_at = timezone.now() - timedelta(minutes=5)
    values = {
        "tenant": caller.tenant,
        "test": False,
        "type": "webhook.test",
        "body": "{}",
        "due_at": due_at,
        **columns,
    }
    Delivery.objects.bulk_create([Delivery(message_id=f"evt_{caller.tenant}_{n}", **values) for n in range(count)])


def make_failed(caller: Caller, **columns: Any) -> Generation:
    """Create a generation that fails in the same transaction, so that no worker run can see it before."""
    with transaction.atomic():
        generation = make_generation(caller, **columns)
        assert lifecycle.fail(generation, "upstream_failed", "No.")
    return generation


def attempt_all() -> list[Delivery]:
    """Attempt all due deliveries, one after the other. Return them as they are after their attempt.

    A worker run attempts them in parallel.
    """
    attempted = []
    while claimed := fair_queue.claim([]):
        for _, delivery in claimed:
            send.attempt(delivery)
            attempted.append(Delivery.objects.get(pk=delivery.pk))
    return attempted


def make_due(**filters: Any) -> None:
    """Make pending deliveries due, as if the time until their next attempt were over."""
    Delivery.objects.filter(status="pending", **filters).update(due_at=timezone.now() - timedelta(seconds=1))
