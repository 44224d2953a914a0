"""The panel's pages of deliveries: an operator reads the log and redelivers a message."""

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from generations.models import Delivery
from tenants.models import AuditEntry
from tests.support.factories import Caller
from tests.support.panel import log_in
from tests.support.webhooks import make_endpoint, make_failed

pytestmark = pytest.mark.one_database


def test_an_operator_redelivers_a_delivery(alice: Caller) -> None:
    operator = log_in(User.objects.create_superuser("olga"))
    make_endpoint(alice)
    make_failed(alice)
    [delivery] = Delivery.objects.all()
    assert operator.get(reverse("admin:generations_delivery_changelist")).status_code == 200
    page = operator.get(reverse("admin:generations_delivery_change", args=[delivery.pk]))
    assert b"evt_" in page.content
    Delivery.objects.update(status="failed", due_at=None, finished_at=delivery.created_at, attempts=10)
    redeliver = reverse("admin:generations_delivery_redeliver", args=[delivery.pk])
    operator.post(redeliver, {"reason": "asked for by its team"})
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts, delivery.due_at is not None) == ("pending", 0, True)
    entry = AuditEntry.objects.get(actor="olga")
    assert (entry.action, entry.target, entry.reason) == (
        "redeliver webhook",
        str(delivery.pk),
        "asked for by its team",
    )
