"""Endpoints, events and turns for the tests of webhooks."""

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from generations import lifecycle
from generations.models import Delivery, Generation, WebhookEndpoint
from generations.webhooks import endpoints, fair_queue, send
from tests.support.factories import ACTOR, Caller, make_generation

SERVED = "https://example.com/hook"  # never called


def make_endpoint(caller: Caller, url: str = SERVED, *, test: bool = False, **facts: Any) -> WebhookEndpoint:
    return endpoints.create(ACTOR, caller.tenant, url, test=test, **facts)[0]


def make_failed(caller: Caller, **facts: Any) -> Generation:
    """A generation that has just failed, before a sweep could see it."""
    with transaction.atomic():
        generation = make_generation(caller, **facts)
        assert lifecycle.fail(generation, "upstream_failed", "No.")
    return generation


def attempt_all() -> list[Delivery]:
    """All that is due and may be sent, one after the other, as the sweep does at once."""
    done = []
    while claimed := fair_queue.claim([]):
        for _, delivery in claimed:
            send.attempt(delivery)
            done.append(Delivery.objects.get(pk=delivery.pk))
    return done


def make_due(**which: Any) -> None:
    """As if the time until its next attempt were over."""
    Delivery.objects.filter(status="pending", **which).update(due_at=timezone.now() - timedelta(seconds=1))
