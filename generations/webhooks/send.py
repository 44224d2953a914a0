"""Attempt a claimed delivery: sign the body by the Standard Webhooks spec, post the body and record the outcome.

Of the receiver's answer only the status is stored. No transaction is open while a receiver is called.
"""

import json
import time
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
from generations.webhooks.deliveries import AttemptResult
from generations.webhooks.encryption import KeyLost
from tenants.audit import Actor
from tenants.db import clock

log = structlog.stdlib.get_logger(__name__)

Outcome = DeliveryAttempt.Outcome
THROTTLED = (429, 502, 503, 504)  # the receiver is busy or absent: a Retry-After header is honoured


def attempt(delivery: Delivery) -> None:
    """Post the claimed delivery to the receiver once, and record the result."""
    started_at, generation = time.monotonic(), delivery.generation
    # The span lies below the create of the generation, if the event belongs to one.
    context = (
        tracing.start_generation_span("webhook", generation)
        if generation
        else tracing.start_span("webhook", tenant=delivery.tenant_id)
    )
    with context as span:
        outcome, answer = _post(delivery)
        span.set_attributes(type=delivery.type, outcome=str(outcome))
    milliseconds = int((time.monotonic() - started_at) * 1000)
    failpoint("delivery_sent")
    retry_after = answer.retry_after if answer and outcome == Outcome.THROTTLED else None
    _record(delivery, AttemptResult(outcome, milliseconds, answer.status if answer else None, retry_after))
    metrics.DELIVERIES.labels(str(outcome)).inc()
    failpoint("delivery_recorded")


def record_internal_error(delivery: Delivery) -> None:
    """Record an attempt that ended by an unexpected error of this service. The delivery's schedule continues."""
    _record(delivery, AttemptResult(Outcome.INTERNAL_ERROR, 0))


def _post(delivery: Delivery) -> tuple[Outcome, fetch.Answer | None]:
    """Sign and post the delivery. Return the outcome, and the receiver's answer or None."""
    body = _render_body(delivery)
    try:
        headers = sign_headers(delivery, body)
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
    return _classify(answer.status), answer


def _classify(status: int) -> Outcome:
    """Return the outcome that an HTTP status stands for."""
    if 200 <= status < 300:
        return Outcome.DELIVERED
    if status == 410:
        return Outcome.GONE
    return Outcome.THROTTLED if status in THROTTLED else Outcome.REFUSED


def sign_headers(delivery: Delivery, body: str) -> dict[str, str]:
    """Return the headers of the POST, with one signature for each current secret. Raise KeyLost."""
    now = clock.now()
    secrets = signing_secrets.for_delivery(delivery)
    return {
        "Content-Type": "application/json",
        "webhook-id": delivery.message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(delivery.message_id, now, body) for secret in secrets),
    }


def _render_body(delivery: Delivery) -> str:
    """Return the stored body, or render it in Novita's format with a new signed URL."""
    if delivery.format != Generation.WebhookFormat.NOVITA:
        return delivery.body
    assert delivery.generation is not None  # only a generation's own webhook has that format
    return json.dumps({"event_type": "ASYNC_TASK_RESULT", "payload": novita_payload.render(delivery.generation)})


def _record(delivery: Delivery, result: AttemptResult) -> None:
    """Record the result on the endpoint and on the delivery, in one transaction.

    The endpoint is locked before the delivery, as `endpoints.disable` does, so that no two transactions deadlock.
    """
    with transaction.atomic():
        match result.outcome:
            case Outcome.DELIVERED:
                if delivery.endpoint:
                    endpoints.record_success(delivery.endpoint)
                deliveries.mark_delivered(delivery, result)
            case Outcome.GONE:
                _record_gone(delivery, result)
            case Outcome.INTERNAL_ERROR:
                deliveries.reschedule(delivery, result)
            case Outcome.REFUSED | Outcome.THROTTLED | Outcome.UNREACHABLE | Outcome.BLOCKED:
                _record_failure(delivery, result)
            case _:
                assert_never(result.outcome)


def _record_gone(delivery: Delivery, result: AttemptResult) -> None:
    """End the delivery as failed and disable the endpoint."""
    endpoint = delivery.endpoint and endpoints.lock(delivery.endpoint)
    if deliveries.mark_failed(delivery, result) and endpoint:
        endpoints.disable(Actor(endpoints.SERVICE), endpoint, endpoints.GONE_REASON)


def _record_failure(delivery: Delivery, result: AttemptResult) -> None:
    """Reschedule the delivery. Disable the endpoint if no delivery has succeeded there for too long."""
    endpoint = delivery.endpoint
    has_failed_for_days = endpoint is not None and endpoints.record_failure(endpoint)
    if deliveries.reschedule(delivery, result) and endpoint and has_failed_for_days:
        endpoints.disable(Actor(endpoints.SERVICE), endpoint, endpoints.FAILED_REASON)
