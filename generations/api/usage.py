"""GET /v1/usage: the tenant's usage, as JSON or as CSV."""

from datetime import date
from typing import Any

import msgspec
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request

from generations.api.fields import Day, validate
from generations.reports import usage
from tenants import csv_export
from tenants.api import documents
from tenants.api.base import JSON, ApiView, key_of
from tenants.db import clock
from tenants.models import ApiKey, Tenant

MAX_DAYS = 366
CSV = "text/csv"


class UsageQuery(serializers.Serializer[Any]):
    """The parameters of the query. Days are those of the tenant's time zone; the first and the last are included."""

    to = Day(required=False, help_text="The last day. Default: today.")
    group_by = serializers.ChoiceField(usage.GROUPS, default="day")
    format = serializers.ChoiceField(["json", "csv"], default="json", help_text="`Accept: text/csv` asks for CSV too.")

    def get_fields(self) -> dict[str, Any]:
        first = Day(required=False, help_text="The first day. Default: the first day of the month of `to`.")
        return {"from": first, **super().get_fields()}  # `from` can be no name in Python


def read_span(query: dict[str, Any], tenant: Tenant) -> tuple[date, date]:
    """Return the first and the last day of a query. Raise ValidationError for a span that is not answered."""
    last = query.get("to") or clock.now().astimezone(tenant.zone).date()
    first = query.get("from") or last.replace(day=1)
    if not (first <= last and (last - first).days < MAX_DAYS):
        raise serializers.ValidationError({"from": f"Ask for 1 to {MAX_DAYS} days; `from` must not be after `to`."})
    return first, last


class UsageSums(serializers.Serializer[Any]):
    """Counts, seconds and amounts of a group of generations."""

    accepted = serializers.IntegerField()
    succeeded = serializers.IntegerField()
    failed = serializers.IntegerField()
    cancelled = serializers.IntegerField()
    live = serializers.IntegerField(help_text="Generations in progress.")
    seconds = serializers.IntegerField(help_text="Seconds of video delivered.")
    usd = serializers.CharField(help_text="Charged for generations that succeeded.")
    held_usd = serializers.CharField(help_text="Held for generations in progress.")
    success_rate = serializers.FloatField(
        allow_null=True, help_text="Share of succeeded among succeeded and failed; null: there are none."
    )


class UsageLine(UsageSums):
    """The sums of a day, of a key, of a resolution or of a model."""

    day = serializers.DateField(required=False)
    key = serializers.CharField(required=False, help_text="A key's prefix.")
    resolution = serializers.CharField(
        required=False, allow_null=True, help_text="null: the generations of models that have no resolution."
    )
    model = serializers.CharField(required=False, help_text="A model's id.")


class UsageSchema(serializers.Serializer[Any]):
    to = serializers.DateField()
    time_zone = serializers.CharField()
    group_by = serializers.ChoiceField(usage.GROUPS)
    test = serializers.BooleanField(help_text="A test key sees the usage of test keys.")
    rows = UsageLine(many=True)
    total = UsageSums()

    def get_fields(self) -> dict[str, Any]:
        return {"from": serializers.DateField(), **super().get_fields()}


class UsageView(ApiView):
    scopes = {"GET": ApiKey.Scope.USAGE}
    media_types = (JSON, CSV)

    def choose_media_type(self, request: Request) -> str:
        """Return the media type. `?format=csv` overrules the Accept header, since it can be part of a link."""
        return CSV if request.query_params.get("format") == "csv" else super().choose_media_type(request)

    @extend_schema(
        operation_id="usage",
        summary="Get usage by day, key, resolution or model",
        parameters=[UsageQuery, documents.IF_NONE_MATCH],
        responses={(200, "application/json"): UsageSchema, (200, "text/csv"): str, 304: None},
    )
    def get(self, request: Any) -> HttpResponseBase:
        key = key_of(request)
        query = validate(UsageQuery, request.query_params.dict())  # of a QueryDict, "" would be no value
        (first, last), group_by = read_span(query, key.tenant), query["group_by"]
        report = usage.for_tenant(key.tenant, first, last, group_by, test=key.test)
        if request.accepted_media_type == CSV:
            content = csv_export.render([group_by, *usage.COLUMNS], report.rows)
            return documents.answer_privately(request, content, f"{CSV}; charset=utf-8", vary="Accept")
        span = {"from": first.isoformat(), "to": last.isoformat(), "time_zone": key.tenant.time_zone}
        body = {**span, "group_by": group_by, "test": key.test, "rows": report.rows, "total": report.total}
        return documents.answer_privately(request, msgspec.json.encode(body), JSON, vary="Accept")
