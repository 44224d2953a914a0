"""GET /v1/usage: what the tenant used, as JSON or as CSV."""

from typing import Any

from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request

from generations.api.fields import Day, validated
from generations.reports import usage
from tenants import csv_export
from tenants.api.base import JSON, ApiView, key_of, respond
from tenants.models import ApiKey

MOST_DAYS = 366
CSV = "text/csv"


class Asked(serializers.Serializer[Any]):
    """The query's parameters. Days are the tenant's own, both of them within what is asked for."""

    to = Day(required=False, help_text="The last day; today, if not given.")
    group_by = serializers.ChoiceField(usage.GROUPS, default="day")
    format = serializers.ChoiceField(["json", "csv"], default="json", help_text="Or by `Accept: text/csv`.")

    def get_fields(self) -> dict[str, Any]:
        first = Day(required=False, help_text="The first day; that of the month, if not given.")
        return {"from": first, **super().get_fields()}  # `from` is no name that Python allows

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        last = attrs.setdefault("to", self.context["today"])
        first = attrs.setdefault("from", last.replace(day=1))
        if not (first <= last and (last - first).days < MOST_DAYS):
            raise serializers.ValidationError({"from": f"From 1 to {MOST_DAYS} days are wanted, the first one first."})
        return attrs


class UsageSums(serializers.Serializer[Any]):
    accepted = serializers.IntegerField()
    succeeded = serializers.IntegerField()
    failed = serializers.IntegerField()
    cancelled = serializers.IntegerField()
    live = serializers.IntegerField(help_text="Not ended yet.")
    seconds = serializers.IntegerField(help_text="Of video delivered.")
    usd = serializers.CharField(help_text="Spent: the price of what succeeded.")
    held_usd = serializers.CharField(help_text="Held for what has not ended yet.")
    success_rate = serializers.FloatField(allow_null=True, help_text="Succeeded of succeeded and failed; null: none.")


class UsageLine(UsageSums):
    day = serializers.DateField(required=False)
    key = serializers.CharField(required=False, help_text="A key's prefix.")
    resolution = serializers.CharField(required=False)


class UsageShape(serializers.Serializer[Any]):
    to = serializers.DateField()
    time_zone = serializers.CharField()
    group_by = serializers.ChoiceField(usage.GROUPS)
    test = serializers.BooleanField(help_text="A test key sees the use of test keys.")
    rows = UsageLine(many=True)
    total = UsageSums()

    def get_fields(self) -> dict[str, Any]:
        return {"from": serializers.DateField(), **super().get_fields()}


class UsageView(ApiView):
    scopes = {"GET": ApiKey.Scope.USAGE}
    media_types = (JSON, CSV)

    def choose_media_type(self, request: Request) -> str:
        """`?format=csv` counts more than the Accept header: it can be written into an address."""
        return CSV if request.query_params.get("format") == "csv" else super().choose_media_type(request)

    @extend_schema(
        operation_id="usage",
        summary="Counts, seconds and USD by day, key or resolution",
        parameters=[Asked],
        responses={(200, "application/json"): UsageShape, (200, "text/csv"): str},
    )
    def get(self, request: Request) -> HttpResponse:
        key = key_of(request)
        today = timezone.now().astimezone(key.tenant.zone).date()
        asked = validated(Asked, request.query_params.dict(), today=today)  # as what it is: "" is a wrong day
        first, last, group_by = (asked[name] for name in ("from", "to", "group_by"))
        found = usage.for_tenant(key.tenant, first, last, group_by, test=key.test)
        if request.accepted_media_type == CSV:
            content = csv_export.render([group_by, *usage.COLUMNS], found.rows)
            return HttpResponse(content.encode(), content_type=f"{CSV}; charset=utf-8")
        span = {"from": first.isoformat(), "to": last.isoformat(), "time_zone": key.tenant.time_zone}
        return respond({**span, "group_by": group_by, "test": key.test, "rows": found.rows, "total": found.total})
