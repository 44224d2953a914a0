"""Publish events: store one delivery for each receiver, in the transaction that makes the event happen.

An event and its deliveries are committed together, or not at all. The worker sends the deliveries afterwards.
"""

import json
from collections.abc import Sequence
from typing import Any

from django.db import transaction

from generations import ids, wakeups
from generations.models import Delivery, Generation, WebhookEndpoint
from tenants import masked_urls, times
from tenants.db import clock

TYPE_BY_STATUS = {
    Generation.Status.RUNNING: "generation.running",
    Generation.Status.SUCCEEDED: "generation.succeeded",
    Generation.Status.FAILED: "generation.failed",
    Generation.Status.CANCELLED: "generation.cancelled",
}
RUNNING = TYPE_BY_STATUS[Generation.Status.RUNNING]
DISABLED, LIMIT, TEST = "webhook_endpoint.disabled", "limit.threshold", "webhook.test"
EVENT_TYPES = (
    *TYPE_BY_STATUS.values(),
    DISABLED,
    LIMIT,
)  # what an endpoint may subscribe to; a test event needs no subscription
OPT_IN_TYPES = (RUNNING,)  # an endpoint that lists no types receives all but these
FORGOTTEN = "The generation was deleted, and its words with it."  # in the place of an error's message
MAX_MESSAGE_CHARS = 2000  # of an error message: a body stays far below 20 KB


def publish(generation: Generation) -> None:
    """Publish the event of a generation's new status.

    Call this function in the transaction of the transition. Without a receiver it costs one query.
    """
    event_type = TYPE_BY_STATUS.get(Generation.Status(generation.status))
    if event_type is None:
        return
    endpoints = subscribed_endpoints(generation.tenant_id, generation.test, event_type)
    own_webhook = generation.webhook_url if generation.status in Generation.FINISHED else ""
    if not (endpoints or own_webhook):
        return
    sequence = generation.events.count()  # the event of this transition is already stored
    message = _build_message(
        f"evt_{generation.pk.hex}_{sequence}", event_type, _render_generation(generation, sequence)
    )
    deliveries = [
        _build_delivery(generation, message, endpoint=endpoint, generation=generation) for endpoint in endpoints
    ]
    if own_webhook:
        message["format"] = generation.webhook_format
        if generation.webhook_format == Generation.WebhookFormat.NOVITA:
            message["body"] = ""  # rendered at each attempt, because it holds a signed URL
        deliveries.append(_build_delivery(generation, message, generation=generation, url=own_webhook))
    _store(deliveries)


def subscribed_endpoints(tenant_id: int, test: bool, event_type: str) -> list[WebhookEndpoint]:
    """Return the tenant's enabled endpoints of one mode that receive events of this type, oldest first."""
    endpoints = WebhookEndpoint.objects.filter(tenant=tenant_id, test=test, disabled_at=None, deleted_at=None)
    return [
        endpoint
        for endpoint in endpoints.order_by("id")
        if event_type in endpoint.events or not (endpoint.events or event_type in OPT_IN_TYPES)
    ]


def publish_to(endpoints: Sequence[WebhookEndpoint], event_type: str, data: dict[str, Any]) -> list[Delivery]:
    """Publish an event that belongs to no generation, to these endpoints. Return the stored deliveries.

    Call this function in the transaction in which the event happens.
    """
    message = _build_message(f"evt_{ids.new().hex}", event_type, data)
    deliveries = [_build_delivery(endpoint, message, endpoint=endpoint) for endpoint in endpoints]
    _store(deliveries)
    return deliveries


def forget_words(generation: Generation) -> None:
    """Take the caller's words out of the deliveries of a deleted generation, and the addresses of those that ended.

    A delivery that is still pending is sent without the words, to its address.
    """
    for delivery in Delivery.objects.filter(generation=generation):
        if delivery.body:
            payload = json.loads(delivery.body)
            payload["data"]["external_id"] = ""
            if payload["data"].get("error"):
                payload["data"]["error"]["message"] = FORGOTTEN
            delivery.body = _as_text(payload)
        if delivery.due_at is None:
            delivery.url = masked_urls.host_only(delivery.url)
        delivery.save(update_fields=["body", "url"])


def _build_delivery(owner: Generation | WebhookEndpoint, message: dict[str, str], **receiver: Any) -> Delivery:
    """Return an unsaved delivery that is due now, with the tenant and the mode of `owner`."""
    now = clock.now()
    return Delivery(tenant_id=owner.tenant_id, test=owner.test, created_at=now, due_at=now, **message, **receiver)


def _store(deliveries: list[Delivery]) -> None:
    """Insert the deliveries and wake a worker after the commit.

    The wake-up is sent even by a worker: a run that ends its last steps has freed its slot, and no other run may be
    awake.
    """
    if deliveries:
        Delivery.objects.bulk_create(deliveries)
        transaction.on_commit(wakeups.wake_worker)


def _build_message(message_id: str, event_type: str, data: dict[str, Any]) -> dict[str, str]:
    """Return the columns of one event that are the same for all receivers."""
    payload = {"type": event_type, "timestamp": times.rfc3339(clock.now()), "data": data}
    return {"message_id": message_id, "type": event_type, "body": _as_text(payload)}


def _as_text(payload: dict[str, Any]) -> str:
    """Return a payload as the body of a delivery."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":"))


def _render_generation(generation: Generation, sequence: int) -> dict[str, Any]:
    """Return the `data` of a generation's event: small and without signed URLs. A receiver reads the API for more."""
    error = {"code": generation.error_code, "message": generation.error_message[:MAX_MESSAGE_CHARS]}
    return {
        "id": str(generation.pk),
        "status": str(generation.status),
        "sequence": sequence,
        "external_id": generation.external_id,
        "test": generation.test,
        "video": _render_video(generation) if generation.has_video else None,
        "error": error if generation.error_code else None,
    }


def _render_video(generation: Generation) -> dict[str, Any]:
    """Return what an event says of a video: whether it is as requested, and what differs."""
    return {"as_requested": generation.video_as_requested, "differences": generation.video_differences}
