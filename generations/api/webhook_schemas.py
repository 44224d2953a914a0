"""What the webhooks' addresses take, and how endpoints and deliveries look."""

import json
from typing import Any

from rest_framework import serializers

from generations.api import pagination
from generations.api.fields import Flag, Name, OneOf, Url, Whole
from generations.api.request_bodies import LONGEST_URL, Strict
from generations.models import Delivery, DeliveryAttempt, WebhookEndpoint
from generations.webhooks import outbox
from generations.webhooks.endpoints import DEFAULT_OVERLAP, MAX_OVERLAP
from tenants import times

LONGEST_OVERLAP_HOURS = MAX_OVERLAP.days * 24
EVENTS = "The types that it is told of; none, or an empty list: all but `generation.running`."


class EndpointCreate(Strict):
    url = Url(max_length=LONGEST_URL, help_text="https, and a public host.")
    events = serializers.ListField(
        child=OneOf(outbox.EVENT_TYPES), default=list, max_length=len(outbox.EVENT_TYPES), help_text=EVENTS
    )
    description = Name(default="", allow_blank=True, max_length=200)


class EndpointChange(Strict):
    """What is not given stays as it is."""

    url = Url(required=False, max_length=LONGEST_URL, help_text="https, and a public host.")
    events = serializers.ListField(
        required=False, child=OneOf(outbox.EVENT_TYPES), max_length=len(outbox.EVENT_TYPES), help_text=EVENTS
    )
    description = Name(required=False, allow_blank=True, max_length=200)
    enabled = Flag(required=False, help_text="false: nothing is sent to it, and what was under way has failed.")


class Rotation(Strict):
    overlap_hours = Whole(
        default=int(DEFAULT_OVERLAP.total_seconds() // 3600),
        min_value=0,
        max_value=LONGEST_OVERLAP_HOURS,
        help_text="For how long the old secret signs too.",
    )


class Filters(pagination.Query):
    endpoint = serializers.UUIDField(required=False)
    generation = serializers.UUIDField(required=False)
    status = OneOf(Delivery.Status.values, required=False)


class EndpointRow(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    url = serializers.CharField()
    description = serializers.CharField()
    events = serializers.ListField(child=serializers.CharField(), help_text="Empty: all but `generation.running`.")
    enabled = serializers.BooleanField()
    disabled_at = serializers.DateTimeField(allow_null=True)
    disabled_reason = serializers.CharField(help_text="Where the service or its operators did it.")
    failing_since = serializers.DateTimeField(allow_null=True, help_text="Its first failure since the last success.")
    previous_secret_until = serializers.DateTimeField(
        allow_null=True, help_text="Until when the secret before the present one signs too."
    )
    test = serializers.BooleanField()
    created_at = serializers.DateTimeField()


class NewEndpoint(EndpointRow):
    secret = serializers.CharField(help_text="Shown this once.")


class EndpointList(serializers.Serializer[Any]):
    webhook_endpoints = EndpointRow(many=True)


class NewSecret(serializers.Serializer[Any]):
    secret = serializers.CharField(help_text="Shown this once.")
    previous_secret_until = serializers.DateTimeField(allow_null=True, help_text="Until when the old one signs too.")


class DeliveryRow(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    webhook_id = serializers.CharField(help_text="The header `webhook-id`: the same at each attempt.")
    type = serializers.CharField()
    status = serializers.ChoiceField(Delivery.Status.choices)
    webhook_endpoint = serializers.UUIDField(allow_null=True)
    generation = serializers.UUIDField(allow_null=True)
    url = serializers.CharField(allow_null=True, help_text="Where it is no endpoint's: the generation's own.")
    attempt_count = serializers.IntegerField(help_text="Of its schedule; sending it again begins it anew.")
    next_attempt_at = serializers.DateTimeField(allow_null=True)
    test = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)


class AttemptShape(serializers.Serializer[Any]):
    created_at = serializers.DateTimeField()
    milliseconds = serializers.IntegerField()
    status_code = serializers.IntegerField(allow_null=True, help_text="null: no answer came.")
    outcome = serializers.ChoiceField(DeliveryAttempt.Outcome.choices)


class OneDelivery(DeliveryRow):
    attempts = AttemptShape(many=True)
    payload = serializers.DictField(
        allow_null=True, help_text="null: it is in Novita's form, and made at each attempt."
    )


class DeliveryList(serializers.Serializer[Any]):
    webhook_deliveries = DeliveryRow(many=True)
    next_cursor = serializers.CharField(allow_null=True, help_text="`cursor` of the next page; null: this is the last.")


def endpoint(row: WebhookEndpoint) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        **{name: getattr(row, name) for name in ("url", "description", "events", "disabled_reason", "test")},
        "enabled": row.disabled_at is None,
        "disabled_at": times.rfc3339(row.disabled_at),
        "failing_since": times.rfc3339(row.failing_since),
        "previous_secret_until": times.rfc3339(row.previous_until),
        "created_at": times.rfc3339(row.created_at),
    }


def delivery(row: Delivery) -> dict[str, Any]:
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


def whole_delivery(row: Delivery) -> dict[str, Any]:
    names = ("milliseconds", "status_code", "outcome")
    tries = [{"created_at": times.rfc3339(one.at), **{n: getattr(one, n) for n in names}} for one in row.log.all()]
    return {**delivery(row), "attempts": tries, "payload": json.loads(row.body) if row.body else None}
