"""The effect of each answer on the delivery and on the endpoint."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from generations.models import Delivery, WebhookEndpoint
from generations.webhooks import endpoints, send
from tenants.models import AuditEntry
from tests.support.factories import Caller
from tests.support.receiver import Receiver
from tests.support.webhooks import attempt_all, create_endpoint, make_due, make_endpoint, make_failed

pytestmark = [pytest.mark.django_db, pytest.mark.one_database]


@pytest.mark.parametrize(
    ("answer", "outcome", "status"),
    [
        (200, "delivered", "delivered"),
        (204, "delivered", "delivered"),
        (299, "delivered", "delivered"),
        (400, "refused", "pending"),
        (404, "refused", "pending"),
        (500, "refused", "pending"),
        (429, "throttled", "pending"),
        (503, "throttled", "pending"),
        (410, "gone", "failed"),
    ],
)
def test_only_a_2xx_is_a_success(alice: Caller, receiver: Receiver, answer: int, outcome: str, status: str) -> None:
    create_endpoint(alice, receiver)
    make_failed(alice)
    receiver.answer = answer
    [attempted] = attempt_all()
    [attempt] = attempted.log.all()
    assert (attempt.outcome, attempt.status_code, attempted.status) == (outcome, answer, status)
    failing_since = WebhookEndpoint.objects.get().failing_since
    assert (failing_since is None) == (outcome in ("delivered", "gone"))


@pytest.mark.parametrize(
    ("status", "target"),
    [
        (301, "{}/elsewhere"),
        (302, "http://169.254.169.254/"),
        (303, "http://["),
        (307, "https://xn--a.example/"),
        (308, "{}/elsewhere"),
    ],
)
def test_a_redirect_is_a_failure_and_is_not_followed(
    alice: Caller, receiver: Receiver, status: int, target: str
) -> None:
    create_endpoint(alice, receiver)
    make_failed(alice)
    receiver.answer = status, {"Location": target.format(receiver.url)}
    [attempted] = attempt_all()
    assert [(attempt.outcome, attempt.status_code) for attempt in attempted.log.all()] == [("refused", status)]
    assert [post.path for post in receiver.posts] == ["/hook"]


def test_a_410_disables_the_endpoint_at_once_and_fails_pending_deliveries(alice: Caller, receiver: Receiver) -> None:
    endpoint, _ = create_endpoint(alice, receiver)
    for _ in range(3):
        make_failed(alice)
    receiver.answer = 410
    attempt_all()
    endpoint.refresh_from_db()
    assert endpoint.disabled_at
    assert endpoint.disabled_reason == "The receiver answered 410 Gone."
    assert set(Delivery.objects.values_list("status", flat=True)) == {"failed"}
    assert len(receiver.posts) <= 2  # of one claim
    entry = AuditEntry.objects.get(action="disable webhook endpoint")
    assert (entry.actor, entry.target) == ("service", str(endpoint.pk))


@pytest.mark.parametrize("unit", ["seconds", "a date"])
def test_a_retry_after_of_a_throttling_answer_is_honoured(alice: Caller, receiver: Receiver, unit: str) -> None:
    create_endpoint(alice, receiver)
    make_failed(alice)
    now = datetime.now(UTC)
    when = format_datetime(now + timedelta(seconds=600), usegmt=True)
    receiver.answer = 429, {"Retry-After": "600" if unit == "seconds" else when}
    with time_machine.travel(now, tick=False):
        [attempted] = attempt_all()
    assert attempted.due_at
    assert 599 <= (attempted.due_at - now).total_seconds() <= 600


@pytest.mark.parametrize(
    ("status", "value", "minimum", "maximum"),
    [
        (503, "99999999999999", 86_000, 86_400),  # a day is the maximum
        (503, "1", 4, 6),  # the schedule is the minimum
        (500, "600", 4, 6),  # only a busy receiver's Retry-After counts
        (429, "soon", 4, 6),
        (429, "-5", 4, 6),
        (429, "9" * 5000, 86_000, 86_400),
    ],
)
def test_a_retry_after_is_bounded(
    alice: Caller, receiver: Receiver, status: int, value: str, minimum: int, maximum: int
) -> None:
    create_endpoint(alice, receiver)
    make_failed(alice)
    receiver.answer = status, {"Retry-After": value}
    now = datetime.now(UTC)
    with time_machine.travel(now, tick=False):
        [attempted] = attempt_all()
    assert attempted.due_at
    assert minimum <= (attempted.due_at - now).total_seconds() <= maximum


def test_five_days_without_a_success_disable_an_endpoint_and_notify_the_tenant(
    alice: Caller, receiver: Receiver, caplog: Any
) -> None:
    failing, _ = create_endpoint(alice, receiver)
    other = make_endpoint(alice, events=["webhook_endpoint.disabled"])
    started_at = timezone.now()
    receiver.answer = 500
    make_failed(alice)
    attempt_all()
    with time_machine.travel(started_at + timedelta(days=4, hours=23), tick=False):
        make_due()
        attempt_all()
        failing.refresh_from_db()
        assert failing.disabled_at is None
        assert failing.failing_since
    with time_machine.travel(started_at + timedelta(days=5, minutes=1), tick=False):
        make_due()
        attempt_all()
    failing.refresh_from_db()
    assert failing.disabled_at
    assert failing.disabled_reason == endpoints.FAILED_REASON
    assert Delivery.objects.get(endpoint=failing).status == "failed"
    payload = json.loads(Delivery.objects.get(endpoint=other).body)
    assert payload["type"] == "webhook_endpoint.disabled"
    assert payload["data"] == {"endpoint_id": str(failing.pk), "reason": endpoints.FAILED_REASON, "test": False}
    assert "a webhook endpoint is disabled" in caplog.text
    assert str(failing.pk) in caplog.text
    assert "No delivery" in caplog.text
    assert AuditEntry.objects.get(action="disable webhook endpoint").actor == "service"


def test_a_success_ends_the_endpoints_failure(alice: Caller, receiver: Receiver) -> None:
    endpoint, _ = create_endpoint(alice, receiver)
    make_failed(alice)
    receiver.answer = 500
    attempt_all()
    receiver.answer = 200
    make_due()
    attempt_all()
    endpoint.refresh_from_db()
    assert endpoint.failing_since is None


def test_an_unexpected_error_is_retried_and_does_not_count_against_the_endpoint(
    alice: Caller, receiver: Receiver
) -> None:
    create_endpoint(alice, receiver)
    make_failed(alice)
    row = Delivery.objects.get()
    send.record_internal_error(row)
    row.refresh_from_db()
    assert (row.status, row.attempts, row.log.get().outcome) == ("pending", 1, "internal_error")
    assert WebhookEndpoint.objects.get().failing_since is None
