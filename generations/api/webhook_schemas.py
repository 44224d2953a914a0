"""The bodies of webhook requests and answers: endpoints, secrets and deliveries."""

import json
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from generations.api import pagination
from generations.api.fields import Choice, JsonBoolean, JsonInteger, SingleLine, Strict, Url
from generations.api.request_bodies import MAX_URL_CHARS
from generations.models import Delivery, DeliveryAttempt, WebhookEndpoint
from generations.webhooks import outbox
from generations.webhooks.signing_secrets import DEFAULT_OVERLAP, MAX_OVERLAP
from tenants import times

MAX_OVERLAP_HOURS = MAX_OVERLAP.days * 24
EVENTS = (
    "The event types that the endpoint receives. Without types, or with an empty list: all but `generation.running`."
)


class EndpointCreate(Strict):
    url = Url(max_length=MAX_URL_CHARS, help_text="An https URL of a public host.")
    events = serializers.ListField(
        child=Choice(outbox.EVENT_TYPES), default=list, max_length=len(outbox.EVENT_TYPES), help_text=EVENTS
    )
    description = SingleLine(default="", allow_blank=True, max_length=200)


class EndpointChange(Strict):
    """A field that is not given stays as it is."""

    url = Url(required=False, max_length=MAX_URL_CHARS, help_text="An https URL of a public host.")
    events = serializers.ListField(
        required=False, child=Choice(outbox.EVENT_TYPES), max_length=len(outbox.EVENT_TYPES), help_text=EVENTS
    )
    description = SingleLine(required=False, allow_blank=True, max_length=200)
    enabled = JsonBoolean(
        required=False, help_text="false: nothing more is sent to the endpoint, and pending deliveries fail."
    )


class Rotation(Strict):
    overlap_hours = JsonInteger(
        default=int(DEFAULT_OVERLAP.total_seconds() // 3600),
        min_value=0,
        max_value=MAX_OVERLAP_HOURS,
        help_text="How long the old secret signs too, in hours.",
    )


class Filters(pagination.Query):
    endpoint = serializers.UUIDField(required=False)
    generation = serializers.UUIDField(required=False)
    status = Choice(Delivery.Status.values, required=False)


class EndpointRow(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    url = serializers.CharField()
    description = serializers.CharField()
    events = serializers.ListField(
        child=serializers.CharField(), help_text="An empty list means all but `generation.running`."
    )
    enabled = serializers.BooleanField()
    disabled_at = serializers.DateTimeField(allow_null=True)
    disabled_reason = serializers.CharField(help_text="Not empty if the service or an operator disabled the endpoint.")
    failing_since = serializers.DateTimeField(allow_null=True, help_text="The first failure since the last success.")
    previous_secret_until = serializers.DateTimeField(
        allow_null=True, help_text="When the previous secret stops signing."
    )
    test = serializers.BooleanField()
    created_at = serializers.DateTimeField()


class NewEndpoint(EndpointRow):
    secret = serializers.CharField(help_text="Present in this answer alone.")


class EndpointList(serializers.Serializer[Any]):
    webhook_endpoints = EndpointRow(many=True)


class NewSecret(serializers.Serializer[Any]):
    secret = serializers.CharField(help_text="Present in this answer alone.")
    previous_secret_until = serializers.DateTimeField(
        allow_null=True, help_text="When the previous secret stops signing."
    )


class DeliveryRow(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    webhook_id = serializers.CharField(help_text="The header `webhook-id`, the same in each attempt.")
    type = serializers.CharField()
    status = serializers.ChoiceField(Delivery.Status.choices)
    webhook_endpoint = serializers.UUIDField(allow_null=True)
    generation = serializers.UUIDField(allow_null=True)
    url = serializers.CharField(
        allow_null=True, help_text="The generation's own webhook; null for a delivery to an endpoint."
    )
    attempt_count = serializers.IntegerField(
        help_text="Attempts of the present schedule. Redelivery starts a new schedule."
    )
    next_attempt_at = serializers.DateTimeField(allow_null=True)
    test = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)


class AttemptSchema(serializers.Serializer[Any]):
    created_at = serializers.DateTimeField()
    milliseconds = serializers.IntegerField()
    status_code = serializers.IntegerField(allow_null=True, help_text="null: there was no answer.")
    outcome = serializers.ChoiceField(DeliveryAttempt.Outcome.choices)


@extend_schema_field({"$ref": "#/components/schemas/WebhookPayload"})
class Payload(serializers.JSONField):
    """The body of a delivery, as it is sent."""


class OneDelivery(DeliveryRow):
    attempts = AttemptSchema(many=True)
    payload = Payload(allow_null=True, help_text="null: a body in Novita's format, which is made at each attempt.")


class DeliveryList(serializers.Serializer[Any]):
    webhook_deliveries = DeliveryRow(many=True)
    next_cursor = serializers.CharField(
        allow_null=True, help_text="The `cursor` of the next page; null: this is the last page."
    )


def render_endpoint(row: WebhookEndpoint) -> dict[str, Any]:
    """Return the endpoint as the body of an answer."""
    return {
        "id": str(row.pk),
        **{name: getattr(row, name) for name in ("url", "description", "events", "disabled_reason", "test")},
        "enabled": row.disabled_at is None,
        "disabled_at": times.rfc3339(row.disabled_at),
        "failing_since": times.rfc3339(row.failing_since),
        "previous_secret_until": times.rfc3339(row.previous_until),
        "created_at": times.rfc3339(row.created_at),
    }


def render_delivery(row: Delivery) -> dict[str, Any]:
    """Return the delivery as a row of the list."""
    return {
        "id": str(row.pk),
        "webhook_id": row.message_id,
        "type": row.type,
        "status": row.status,
        "webhook_endpoint": str(row.endpoint_id) if row.endpoint_id else None,
        "generation": str(row.generation_id) if row.generation_id else None,
        "url": row.url or None,
        "attempt_count": row.attempts,
        "next_attempt_at": times.rfc3339(row.due_at),
        "test": row.test,
        "created_at": times.rfc3339(row.created_at),
        "finished_at": times.rfc3339(row.finished_at),
    }


def render_with_attempts(row: Delivery) -> dict[str, Any]:
    """Return the delivery with its attempts and its payload."""
    attempts = [_render_attempt(attempt) for attempt in row.log.all()]
    return {**render_delivery(row), "attempts": attempts, "payload": json.loads(row.body) if row.body else None}


def _render_attempt(attempt: DeliveryAttempt) -> dict[str, Any]:
    names = ("milliseconds", "status_code", "outcome")
    return {"created_at": times.rfc3339(attempt.at), **{name: getattr(attempt, name) for name in names}}
