"""GET /v1/limits: the limits of the calling key and of its tenant. Reading counts towards no limit."""

from typing import Any

import msgspec
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers

from tenants import times
from tenants.api import documents
from tenants.api.base import JSON, ApiView, key_of
from tenants.db import clock
from tenants.limits import counters, windows
from tenants.limits.windows import Kind, LimitUsage
from tenants.models import ApiKey

AMOUNT = "A count or seconds; for usd_per_month, USD as a string with six decimals."


@extend_schema_field({"type": ["integer", "string"]})
class Amount(serializers.JSONField):
    """A count or seconds as a number, or USD as a string."""


class LimitSchema(serializers.Serializer[Any]):
    name = serializers.ChoiceField(Kind.choices)
    scope = serializers.ChoiceField(
        ["tenant", "key"], help_text="`tenant`: a limit of all keys together. `key`: a limit of this key alone."
    )
    limit = Amount(allow_null=True, help_text=f"null: no limit. {AMOUNT}")
    used = Amount(help_text=AMOUNT)
    remaining = Amount(allow_null=True, help_text=AMOUNT)
    resets_at = serializers.DateTimeField(allow_null=True, help_text="null: freed when generations finish.")


class LimitsSchema(serializers.Serializer[Any]):
    tenant = serializers.CharField()
    time_zone = serializers.CharField(help_text="The time zone in which days and months begin.")
    suspended = serializers.BooleanField(help_text="New generations are refused.")
    test = serializers.BooleanField(help_text="true for a test key, for which only its own limits count.")
    limits = LimitSchema(many=True)


class LimitsView(ApiView):
    scopes = {"GET": ApiKey.Scope.USAGE}

    @extend_schema(
        operation_id="limits",
        summary="Get limits and current usage",
        parameters=[documents.IF_NONE_MATCH],
        responses={200: LimitsSchema, 304: None},
    )
    def get(self, request: Any) -> HttpResponseBase:
        key = key_of(request)
        usages = [usage for usage in counters.usage_for_key(key, clock.now()) if is_shown(key, usage)]
        body = {
            "tenant": key.tenant.name,
            "time_zone": key.tenant.time_zone,
            "suspended": key.tenant.suspended_at is not None,
            "test": key.test,
            "limits": [render(usage) for usage in usages],
        }
        return documents.answer_privately(request, msgspec.json.encode(body), JSON)


def is_shown(key: ApiKey, usage: LimitUsage) -> bool:
    """Return whether an answer names the limit: each of the tenant, and those that the key has of its own."""
    return not usage.is_of_key or usage.limit is not None or key.test


def render(usage: LimitUsage) -> dict[str, Any]:
    """Return the usage of a limit as an object of the answer."""
    return {
        "name": usage.kind.value,
        "scope": "key" if usage.is_of_key else "tenant",
        "limit": windows.format_amount(usage.kind, usage.limit),
        "used": windows.format_amount(usage.kind, usage.used),
        "remaining": windows.format_amount(usage.kind, usage.remaining),
        "resets_at": times.rfc3339(usage.resets_at, "seconds"),
    }
