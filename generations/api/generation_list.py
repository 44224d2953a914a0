"""GET /v1/generations and its filters: each has an index in the list's order, so a page costs the same anywhere."""

import re
from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.request import Request

from generations.api import fields, pagination, tenant_scope
from generations.api.fields import LONGEST_NAME, LONGEST_VALUE, MOST_NAMES, Digits, Metadata, Moment, Name, OneOf, Text
from generations.catalog import video_models
from generations.models import Generation, Label
from tenants.api.base import key_of
from tenants.models import ApiKey

LABEL = re.compile(r"metadata\[(.+)\]", re.DOTALL)
PLAIN = ("status", "model", "seed", "external_id")
TIMES = {"created_after": "created_at__gte", "created_before": "created_at__lt"}


class Filters(pagination.Query):
    status = OneOf(Generation.Status.values, required=False)
    model = OneOf(tuple(video_models.MODELS), required=False)
    seed = Digits(required=False, min_value=0, max_value=video_models.MAX_SEED)
    key = Name(required=False, max_length=40, help_text="A key's prefix: what was made with it.")
    external_id = Name(required=False, max_length=255)
    created_after = Moment(required=False, help_text="From then on, that instant included; UTC where it has no offset.")
    created_before = Moment(required=False, help_text="Before then.")
    metadata_key = Name(required=False, max_length=LONGEST_NAME, help_text="Its metadata has that name.")

    def knows(self, name: str) -> bool:
        return super().knows(name) or bool(LABEL.fullmatch(name))

    def to_internal_value(self, data: Any) -> Any:
        found = super().to_internal_value(data)
        given = {one[1]: text for name, text in data.items() if (one := LABEL.fullmatch(name))}
        if len(given) > MOST_NAMES:  # nothing has more of them, and each is a join
            raise serializers.ValidationError({"metadata": f"At most {MOST_NAMES} names are wanted."}, code="invalid")
        try:
            found["metadata"] = {NAME.run_validation(name): VALUE.run_validation(text) for name, text in given.items()}
        except serializers.ValidationError as error:
            raise serializers.ValidationError({"metadata": error.detail}) from error
        return found


LABELS = OpenApiParameter(
    "metadata",
    {
        "type": "object",
        "additionalProperties": {"type": "string", "maxLength": LONGEST_VALUE, **Text.told},
        **Metadata.told,
    },
    style="deepObject",
    explode=True,
    description="`metadata[order]=4711`: its metadata has that name with that value; each of several.",
)
NAME = Name(max_length=LONGEST_NAME)
VALUE = Text(max_length=LONGEST_VALUE, allow_blank=True)


Filtered = tuple[QuerySet[Any], Sequence[str]]  # generations, or labels of them, and the columns of the list's order


def page(request: Request) -> pagination.Page[Generation]:
    """Return the page of the caller's generations that the query asks for. Raises ValidationError."""
    asked = fields.validated(Filters, request.query_params)
    found = pagination.page(request, *filtered(request, asked), asked["limit"], asked.get("cursor"))
    return found._replace(rows=[row.generation if isinstance(row, Label) else row for row in found.rows])


def filtered(request: Request, asked: dict[str, Any]) -> Filtered:
    """Return what the checked filters leave of the caller's own."""
    plain = {name: asked[name] for name in PLAIN if name in asked}
    times = {lookup: asked[name] for name, lookup in TIMES.items() if name in asked}
    if "key" in asked:
        plain["api_key"] = _key(request, asked["key"])
    labels = [{"name": name, "value": value} for name, value in asked["metadata"].items()]
    labels += [{"name": asked["metadata_key"]}] if "metadata_key" in asked else []
    if labels:
        return _labelled(request, labels, times, plain)
    rows = tenant_scope.own_rows(request).filter(**plain, **times)
    if "external_id" in plain:
        rows = rows.exclude(external_id="")  # as the index says it, or SQLite does not see that it holds
    return rows, pagination.NEWEST_FIRST


def _key(request: Request, prefix: str) -> int:
    """0, which no row has, where it is none of the tenant's."""
    key = key_of(request)
    return ApiKey.objects.filter(tenant=key.tenant_id, prefix=prefix).values_list("pk", flat=True).first() or 0


def _labelled(request: Request, labels: list[dict[str, str]], times: dict[str, Any], plain: dict[str, Any]) -> Filtered:
    """By the labels themselves, which lie in the list's order."""
    first, *others = labels
    of_it = {f"generation__{name}": value for name, value in plain.items()}
    rows = Label.objects.filter(**tenant_scope.of_its_world(key_of(request)), **first, **times, **of_it)
    for other in others:
        rows = rows.filter(**{f"generation__labels__{name}": value for name, value in other.items()})
    rows = rows.select_related("generation__image", "generation__last_image").defer("tenant", "test", "name", "value")
    return rows, ("created_at", "generation_id")
