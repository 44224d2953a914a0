"""The states of a delivery, and the schedule of attempts. Only this module changes the `status` of a stored delivery.

    pending -> delivered    the receiver answered 2xx           delivered, failed -> pending    redelivered by request
    pending -> failed       the schedule has ended, or the receiver accepts no more deliveries

Each transition is one UPDATE, guarded by the state and by the worker's fencing token; the row count is the verdict.
The record of an attempt is written in the transaction of the transition that follows from the attempt.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import F, Q, QuerySet

from generations import wakeups
from generations.models import Delivery, DeliveryAttempt, WebhookEndpoint
from tenants.db import clock

log = structlog.stdlib.get_logger(__name__)

Status = Delivery.Status

# Seconds from one attempt to the next: ten attempts in a little over three days. The Standard Webhooks spec's example.
MINUTE, HOUR = 60, 3600
SCHEDULE = (5, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR)
MAX_JITTER = 0.2  # as a share of each pause: deliveries that failed together are not retried together


@dataclass(frozen=True)
class AttemptResult:
    """The result of one attempt. `status_code` is None if the receiver did not answer."""

    outcome: DeliveryAttempt.Outcome
    milliseconds: int
    status_code: int | None = None
    retry_after: float | None = None  # seconds


def is_any_due(before: datetime) -> bool:
    """Return whether any delivery is due before that time."""
    return Delivery.objects.filter(due_at__lte=before).exists()


def retry_delay_seconds(attempts: int, retry_after: float | None = None) -> float | None:
    """Return the seconds until the next attempt, after so many attempts. Return None if the last attempt was made.

    A receiver's `retry_after`, in seconds, can make the delay longer but never shorter.
    """
    if attempts > len(SCHEDULE):
        return None
    seconds = SCHEDULE[attempts - 1] * (1 + random.uniform(0, MAX_JITTER))  # noqa: S311  no secret
    return max(seconds, retry_after or 0)


def mark_delivered(delivery: Delivery, result: AttemptResult) -> bool:
    """Record the attempt and end the delivery as delivered. Return False if another worker owns the delivery."""
    return _record_attempt(delivery, result, Status.DELIVERED)


def mark_failed(delivery: Delivery, result: AttemptResult) -> bool:
    """Record the attempt and end the delivery as failed. Return False if another worker owns the delivery.

    The caller uses this function if the receiver accepts no more deliveries.
    """
    return _record_attempt(delivery, result, Status.FAILED)


def reschedule(delivery: Delivery, result: AttemptResult) -> bool:
    """Record the attempt and schedule the next one, or mark the delivery as failed after the last attempt.

    Return False if another worker owns the delivery.
    """
    seconds = retry_delay_seconds(delivery.attempts + 1, result.retry_after)
    if seconds is None:
        return _record_attempt(delivery, result, Status.FAILED)
    return _record_attempt(delivery, result, Status.PENDING, due_at=clock.now() + timedelta(seconds=seconds))


def _record_attempt(delivery: Delivery, result: AttemptResult, status: Status, due_at: datetime | None = None) -> bool:
    """Store the attempt and the delivery's new status in one transaction.

    Write nothing and return False if another worker has claimed the delivery, or if the delivery has ended.
    """
    now = clock.now()
    columns = {"status": status, "due_at": due_at, "finished_at": None if due_at else now}
    with transaction.atomic():
        row = Delivery.objects.filter(pk=delivery.pk, fencing_token=delivery.fencing_token, status=Status.PENDING)
        if not row.update(attempts=F("attempts") + 1, **columns):
            return False
        DeliveryAttempt.objects.create(
            delivery=delivery,
            at=now - timedelta(milliseconds=result.milliseconds),
            milliseconds=result.milliseconds,
            status_code=result.status_code,
            outcome=result.outcome,
        )
    _log_attempt(delivery, result)
    return True


def _log_attempt(delivery: Delivery, result: AttemptResult) -> None:
    """Log the attempt after the commit.

    The entry names neither the URL, which may hold a token, nor the address behind the URL, which is private.
    """
    fields = {
        "action": str(result.outcome),
        "status_code": result.status_code,
        "tenant": delivery.tenant_id,
        "delivery": str(delivery.pk),
        "generation": str(delivery.generation_id) if delivery.generation_id else None,
        "type": delivery.type,
        "attempt": delivery.attempts + 1,
        "duration_ms": result.milliseconds,
    }
    transaction.on_commit(lambda: log.info("webhook", **fields))


def give_back(claimed: Sequence[Delivery]) -> None:
    """Make claimed deliveries due now for another worker, and refuse what this one still records of them."""
    for delivery in claimed:
        row = Delivery.objects.filter(pk=delivery.pk, fencing_token=delivery.fencing_token, status=Status.PENDING)
        row.update(due_at=clock.now(), fencing_token=F("fencing_token") + 1)


def redeliver(delivery: Delivery) -> None:
    """Make the delivery due now, with the same message and a new schedule. Call this function in a transaction.

    A worker that is sending the delivery loses the right to record the result.
    """
    _start_again(Delivery.objects.filter(pk=delivery.pk))


def redeliver_failed(endpoint: WebhookEndpoint) -> int:
    """Make all failed deliveries of the endpoint due now, as `redeliver` does. Return their number."""
    return _start_again(Delivery.objects.filter(endpoint=endpoint, status=Status.FAILED))


def _start_again(rows: QuerySet[Delivery]) -> int:
    """Start a new schedule for the rows. Return their number."""
    count = rows.update(
        status=Status.PENDING,
        due_at=clock.now(),
        finished_at=None,
        attempts=0,
        fencing_token=F("fencing_token") + 1,
    )
    transaction.on_commit(wakeups.wake_worker)
    return count


def fail_pending(endpoint: WebhookEndpoint) -> None:
    """Mark the endpoint's pending deliveries as failed.

    Call this function in the transaction that disables or deletes the endpoint.
    """
    _fail(Delivery.objects.filter(endpoint=endpoint))


def fail_strays() -> int:
    """Mark pending deliveries of disabled and deleted endpoints as failed. Return how many.

    Such a delivery is stored by a transition that did not yet see that the endpoint was disabled. One call in each
    worker run is often enough.
    """
    due_before = clock.now() - timedelta(minutes=1)
    endpoints = WebhookEndpoint.objects.filter(Q(disabled_at__isnull=False) | Q(deleted_at__isnull=False))
    return _fail(Delivery.objects.filter(due_at__lte=due_before, endpoint__in=endpoints.values("pk")))


def _fail(rows: QuerySet[Delivery]) -> int:
    """Mark those of the rows that are pending as failed. Return how many."""
    return rows.filter(status=Status.PENDING).update(status=Status.FAILED, due_at=None, finished_at=clock.now())
