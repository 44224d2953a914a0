"""The outbox: who is told of which event, and how far the telling is. Nothing else writes a delivery's `status`.

    pending -> delivered    a 2xx came                          delivered, failed -> pending    sent again, by hand
    pending -> failed       its schedule is at its end, or its receiver wants no more

A delivery is written in the transaction of the move that it tells of. Each arrow is one UPDATE guarded by the state and
by the worker's turn; the row count is the verdict. An attempt is written with the arrow that follows from it.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from generations import ids, wakeups
from generations.models import Delivery, DeliveryAttempt, Generation, WebhookEndpoint
from tenants import times

log = structlog.stdlib.get_logger(__name__)

Status = Delivery.Status
OF_STATUS = {
    Generation.Status.RUNNING: "generation.running",
    Generation.Status.SUCCEEDED: "generation.succeeded",
    Generation.Status.FAILED: "generation.failed",
    Generation.Status.CANCELLED: "generation.cancelled",
}
RUNNING, DISABLED, TEST = OF_STATUS[Generation.Status.RUNNING], "webhook_endpoint.disabled", "webhook.test"
TYPES = (*OF_STATUS.values(), DISABLED)  # that an endpoint may name; a test goes to the one that is tested
BY_NAME_ONLY = (RUNNING,)  # an endpoint that names none is told of the rest
LONGEST_MESSAGE = 2000  # characters of an error's sentence: a body stays far below 20 KB

# Seconds from one attempt to the next: ten attempts in a little over three days. The Standard Webhooks spec's example.
MINUTE, HOUR = 60, 3600
SCHEDULE = (5, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR)
JITTER = 0.2  # of each pause, at most, is added: what failed together does not come back together


@dataclass(frozen=True)
class Tried:
    """What came of one attempt."""

    outcome: DeliveryAttempt.Outcome
    milliseconds: int
    status_code: int | None = None
    retry_after: float | None = None  # seconds


def publish(generation: Generation) -> None:
    """Runs in the transaction of its move. Where nobody listens it costs one query."""
    kind = OF_STATUS.get(Generation.Status(generation.status))
    if kind is None:
        return
    endpoints = listeners(generation.tenant_id, generation.test, kind)
    own = generation.webhook_url if generation.status in Generation.FINISHED else ""
    if not (endpoints or own):
        return
    sequence = generation.events.count()  # this move's own is written
    message = _message(f"evt_{generation.pk.hex}_{sequence}", kind, _facts(generation, sequence))
    rows = [_row(generation, message, endpoint=endpoint, generation=generation) for endpoint in endpoints]
    if own:
        message["format"] = generation.webhook_format
        if generation.webhook_format == Generation.WebhookFormat.NOVITA:
            message["body"] = ""  # it is made at each attempt: it holds a signed URL
        rows.append(_row(generation, message, generation=generation, url=own))
    _write(rows)


def listeners(tenant_id: int, test: bool, kind: str) -> list[WebhookEndpoint]:
    """The tenant's endpoints, of that world, that are told of that type."""
    rows = WebhookEndpoint.objects.filter(tenant=tenant_id, test=test, disabled_at=None, deleted_at=None)
    return [row for row in rows.order_by("id") if kind in row.events or not (row.events or kind in BY_NAME_ONLY)]


def tell(endpoints: Sequence[WebhookEndpoint], kind: str, facts: dict[str, Any]) -> list[Delivery]:
    """Of what is no generation's, in the transaction in which it happens."""
    message = _message(f"evt_{ids.new().hex}", kind, facts)
    rows = [_row(endpoint, message, endpoint=endpoint) for endpoint in endpoints]
    _write(rows)
    return rows


def _row(owner: Generation | WebhookEndpoint, message: dict[str, str], **receiver: Any) -> Delivery:
    now = timezone.now()
    return Delivery(tenant_id=owner.tenant_id, test=owner.test, created_at=now, due_at=now, **message, **receiver)


def _write(rows: list[Delivery]) -> None:
    """It rings, whoever moves: a sweep that ends its last steps has freed its slot, and no other may be awake."""
    if rows:
        Delivery.objects.bulk_create(rows)
        transaction.on_commit(wakeups.ring)


def _message(message_id: str, kind: str, facts: dict[str, Any]) -> dict[str, str]:
    """Return the columns of one event that every receiver of it gets alike."""
    payload = {"type": kind, "timestamp": times.rfc3339(timezone.now()), "data": facts}
    body = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    return {"message_id": message_id, "type": kind, "body": body}


def _facts(generation: Generation, sequence: int) -> dict[str, Any]:
    """Thin, and without a signed URL: whoever wants more reads the generation."""
    error = {"code": generation.error_code, "message": generation.error_message[:LONGEST_MESSAGE]}
    return {
        "id": str(generation.pk),
        "status": str(generation.status),
        "sequence": sequence,
        "external_id": generation.external_id,
        "test": generation.test,
        "error": error if generation.error_code else None,
    }


def is_any_due(before: datetime) -> bool:
    """Return whether a delivery wants attention by then."""
    return Delivery.objects.filter(due_at__lte=before).exists()


def pause(attempts: int, retry_after: float | None = None) -> float | None:
    """Seconds to the next attempt after so many, or as long as the receiver asks for; None: that was the last."""
    if attempts > len(SCHEDULE):
        return None
    seconds = SCHEDULE[attempts - 1] * (1 + random.uniform(0, JITTER))  # noqa: S311  no secret
    return max(seconds, retry_after or 0)


def mark_delivered(delivery: Delivery, tried: Tried) -> bool:
    return _settle(delivery, tried, Status.DELIVERED)


def mark_failed(delivery: Delivery, tried: Tried) -> bool:
    """Its receiver said that it wants no more."""
    return _settle(delivery, tried, Status.FAILED)


def reschedule(delivery: Delivery, tried: Tried) -> bool:
    """Until its next attempt; after the last one it has failed."""
    seconds = pause(delivery.attempts + 1, tried.retry_after)
    if seconds is None:
        return _settle(delivery, tried, Status.FAILED)
    return _settle(delivery, tried, Status.PENDING, due_at=timezone.now() + timedelta(seconds=seconds))


def _settle(delivery: Delivery, tried: Tried, status: Status, due_at: datetime | None = None) -> bool:
    """False where the turn has gone to another worker, or somebody else has ended it: then nothing is written."""
    now = timezone.now()
    facts = {"status": status, "due_at": due_at, "finished_at": None if due_at else now}
    with transaction.atomic():
        mine = Delivery.objects.filter(pk=delivery.pk, fencing_token=delivery.fencing_token, status=Status.PENDING)
        if not mine.update(attempts=F("attempts") + 1, **facts):
            return False
        DeliveryAttempt.objects.create(
            delivery=delivery,
            at=now - timedelta(milliseconds=tried.milliseconds),
            milliseconds=tried.milliseconds,
            status_code=tried.status_code,
            outcome=tried.outcome,
        )
    _tell(delivery, tried)
    return True


def _tell(delivery: Delivery, tried: Tried) -> None:
    """Neither the URL nor the address behind it: the first may hold a token, the second is nobody's business."""
    facts = {
        "action": str(tried.outcome),
        "status_code": tried.status_code,
        "tenant": delivery.tenant_id,
        "delivery": str(delivery.pk),
        "generation": str(delivery.generation_id) if delivery.generation_id else None,
        "type": delivery.type,
        "attempt": delivery.attempts + 1,
        "duration_ms": tried.milliseconds,
    }
    transaction.on_commit(lambda: log.info("webhook", **facts))


def redeliver(delivery: Delivery) -> None:
    """The same message again, its schedule begun anew. In a transaction."""
    now = timezone.now()
    begun = {
        "status": Status.PENDING,
        "due_at": now,
        "finished_at": None,
        "attempts": 0,
        "fencing_token": F("fencing_token") + 1,
    }
    Delivery.objects.filter(pk=delivery.pk).update(**begun)
    transaction.on_commit(wakeups.ring)


def end_pending(endpoint: WebhookEndpoint) -> None:
    """What is under way to it has failed: it was disabled, or deleted. In the transaction in which it was."""
    _end(Delivery.objects.filter(endpoint=endpoint))


def end_strays() -> int:
    """Published by a move that did not yet see that its endpoint was disabled. Once a sweep is often enough."""
    late = timezone.now() - timedelta(minutes=1)
    over = WebhookEndpoint.objects.filter(Q(disabled_at__isnull=False) | Q(deleted_at__isnull=False))
    return _end(Delivery.objects.filter(due_at__lte=late, endpoint__in=over.values("pk")))


def _end(rows: Any) -> int:
    return int(rows.filter(status=Status.PENDING).update(status=Status.FAILED, due_at=None, finished_at=timezone.now()))
