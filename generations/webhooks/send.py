"""One attempt of a claimed delivery: signed by the Standard Webhooks spec, posted, and its outcome recorded.

Of an answer its status is all that is kept. Nothing outside is called within a transaction.
"""

import json
import time
from datetime import UTC, datetime
from typing import assert_never

import structlog
from django.db import transaction
from standardwebhooks import Webhook

from generations import leases
from generations.models import Delivery, DeliveryAttempt, Generation
from generations.outbound import fetch
from generations.outbound.errors import FetchFailed, FetchRefused
from generations.telemetry import metrics, tracing
from generations.telemetry.failpoints import failpoint
from generations.webhooks import deliveries, endpoints, novita_payload, signing_secrets
from generations.webhooks.deliveries import Tried
from generations.webhooks.encryption import KeyLost
from tenants.actions import Actor

log = structlog.stdlib.get_logger(__name__)

Outcome = DeliveryAttempt.Outcome
THROTTLED = (429, 502, 503, 504)  # busy, or not there: a Retry-After is honoured


def attempt(delivery: Delivery) -> None:
    began, generation = time.monotonic(), delivery.generation
    # Below its generation's create, where it tells of one.
    span = (
        tracing.start_generation_span("webhook", generation)
        if generation
        else tracing.start_span("webhook", tenant=delivery.tenant_id)
    )
    with span as opened:
        outcome, answer = _posted(delivery)
        opened.set_attributes(type=delivery.type, outcome=str(outcome))
    milliseconds = int((time.monotonic() - began) * 1000)
    failpoint("delivery_sent")
    wait = answer.retry_after if answer and outcome == Outcome.THROTTLED else None
    _record(delivery, Tried(outcome, milliseconds, answer.status if answer else None, wait))
    metrics.DELIVERIES.labels(str(outcome)).inc()
    failpoint("delivery_recorded")


def recover(delivery: Delivery) -> None:
    """After an error that nobody expected, which is ours: its schedule goes on."""
    _record(delivery, Tried(Outcome.INTERNAL_ERROR, 0))


def _posted(delivery: Delivery) -> tuple[Outcome, fetch.Answer | None]:
    body = _body(delivery)
    try:
        headers = signed(delivery, body)
    except KeyLost:
        log.error("a webhook's secret can not be opened", delivery=str(delivery.pk), tenant=delivery.tenant_id)
        return Outcome.INTERNAL_ERROR, None
    url = delivery.endpoint.url if delivery.endpoint else delivery.url
    try:
        answer = fetch.post(url, body.encode(), headers, deadline=leases.DELIVERY_CALL_SECONDS)
    except FetchRefused:
        return Outcome.BLOCKED, None
    except FetchFailed:
        return Outcome.UNREACHABLE, None
    return _outcome(answer.status), answer


def _outcome(status: int) -> Outcome:
    if 200 <= status < 300:
        return Outcome.DELIVERED
    if status == 410:
        return Outcome.GONE
    return Outcome.THROTTLED if status in THROTTLED else Outcome.REFUSED


def signed(delivery: Delivery, body: str) -> dict[str, str]:
    """The headers. Raises KeyLost."""
    now = datetime.now(UTC)
    secrets = signing_secrets.secrets_of(delivery)
    return {
        "Content-Type": "application/json",
        "webhook-id": delivery.message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(delivery.message_id, now, body) for secret in secrets),
    }


def _body(delivery: Delivery) -> str:
    if delivery.format != Generation.WebhookFormat.NOVITA:
        return delivery.body
    assert delivery.generation is not None  # only a generation's own webhook is in that format
    return json.dumps({"event_type": "ASYNC_TASK_RESULT", "payload": novita_payload.render(delivery.generation)})


def _record(delivery: Delivery, tried: Tried) -> None:
    """The endpoint before the delivery, as who disables it does: nobody waits for somebody who waits for him."""
    with transaction.atomic():
        match tried.outcome:
            case Outcome.DELIVERED:
                if delivery.endpoint:
                    endpoints.mark_working(delivery.endpoint)
                deliveries.mark_delivered(delivery, tried)
            case Outcome.GONE:
                _gone(delivery, tried)
            case Outcome.INTERNAL_ERROR:
                deliveries.reschedule(delivery, tried)
            case Outcome.REFUSED | Outcome.THROTTLED | Outcome.UNREACHABLE | Outcome.BLOCKED:
                _failed(delivery, tried)
            case _:
                assert_never(tried.outcome)


def _gone(delivery: Delivery, tried: Tried) -> None:
    endpoint = delivery.endpoint and endpoints.lock(delivery.endpoint)
    if deliveries.mark_failed(delivery, tried) and endpoint:
        endpoints.disable(Actor(endpoints.SERVICE), endpoint, endpoints.GONE)


def _failed(delivery: Delivery, tried: Tried) -> None:
    endpoint = delivery.endpoint
    is_hopeless = endpoint is not None and endpoints.record_failure(endpoint)
    if deliveries.reschedule(delivery, tried) and endpoint and is_hopeless:
        endpoints.disable(Actor(endpoints.SERVICE), endpoint, endpoints.FAILED)
