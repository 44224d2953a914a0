"""Create endpoints and events, and send deliveries, for the tests of webhooks."""

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from generations import lifecycle
from generations.models import Delivery, Generation, WebhookEndpoint
from generations.webhooks import endpoints, fair_queue, send
from tests.support.factories import ACTOR, Caller, make_generation

ENDPOINT_URL = "https://example.com/hook"  # never called


def make_endpoint(caller: Caller, url: str = ENDPOINT_URL, *, test: bool = False, **columns: Any) -> WebhookEndpoint:
    """Create an endpoint of the caller's tenant."""
    return endpoints.create(ACTOR, caller.tenant, url, test=test, **columns)[0]


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
